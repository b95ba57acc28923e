"""LangServe and FastAPI: what a model says passes through them as it is."""

from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.messages import AIMessage
from langserve import RemoteRunnable, add_routes

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import add_chunks, collect

# sse-starlette keeps an event of the first loop it runs on, and fails on any other.
pytestmark = pytest.mark.asyncio(loop_scope="module")

Remote: TypeAlias = RemoteRunnable[Any, Any]

CALL = Reply(
    reasoning="Let me see what there is to do.",
    content="I will ask a tool about this.",
    tool_calls=[ToolCall("magic", {"input": 3}, id="a")],
)


@pytest.fixture
def app(model: ChatCerebrasInference) -> FastAPI:
    app = FastAPI()
    add_routes(app, model, path="/model")

    @app.get("/invoke")
    def invoke() -> str:
        return str(model.invoke("Hello!").text)

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(chunk.text for chunk in model.stream("Hello!"))

    return app


def client_of(app: FastAPI, base_url: str = "http://app") -> httpx.AsyncClient:
    """Asks the app, without a socket between them."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)


@pytest.fixture
def remote(app: FastAPI) -> Remote:
    remote: Remote = RemoteRunnable("http://app/model/")
    remote.async_client = client_of(app, remote.url)
    return remote


def seen(message: AIMessage) -> dict[str, Any]:
    """All of a message that does not depend on the time."""
    return {
        "blocks": message.content_blocks,
        "calls": message.tool_calls,
        "usage": message.usage_metadata,
        "provider": message.response_metadata["model_provider"],
        "finish": message.response_metadata["finish_reason"],
    }


async def test_a_remote_model_says_what_the_model_says(
    remote: Remote, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[CALL] * 4)
    expected = seen(await model.ainvoke("Hello!"))

    whole = await remote.ainvoke("Hello!")
    [together] = await remote.abatch(["Hello!"])
    chunks = await collect(remote.astream("Hello!"))

    assert len(chunks) > 2
    assert [seen(each) for each in (whole, together, add_chunks(chunks))] == [expected] * 3


@pytest.mark.filterwarnings("ignore:astream_log is deprecated")
async def test_a_remote_log_holds_every_chunk_and_their_sum(
    remote: Remote, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[CALL] * 2)
    expected = seen(await model.ainvoke("Hello!"))

    first, *rest = await collect(remote.astream_log("Hello!"))
    state = sum(rest, first).state

    assert seen(state["final_output"]) == expected
    assert seen(add_chunks(state["streamed_output"])) == expected
    assert len(state["streamed_output"]) > 2


@pytest.mark.parametrize("path", ["/invoke", "/stream"])
async def test_a_synchronous_route_answers(path: str, app: FastAPI) -> None:
    answer = await client_of(app).get(path)

    assert answer.status_code == 200
    assert "You said" in answer.text
