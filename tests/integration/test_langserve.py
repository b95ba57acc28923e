"""LangServe and FastAPI pass on what a model returns."""

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

# sse-starlette keeps an event of the first event loop it runs on, and fails on any other.
pytestmark = pytest.mark.asyncio(loop_scope="module")

RemoteModel: TypeAlias = RemoteRunnable[Any, Any]

REPLY = Reply(
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


def create_client(app: FastAPI, base_url: str = "http://app") -> httpx.AsyncClient:
    """Create a client that calls the app in this process, without a socket."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)


@pytest.fixture
def remote_model(app: FastAPI) -> RemoteModel:
    remote: RemoteModel = RemoteRunnable("http://app/model/")
    remote.async_client = create_client(app, remote.url)
    return remote


def summarize(message: AIMessage) -> dict[str, Any]:
    """Return the parts of a message that are the same for every call."""
    return {
        "content_blocks": message.content_blocks,
        "tool_calls": message.tool_calls,
        "usage": message.usage_metadata,
        "provider": message.response_metadata["model_provider"],
        "finish_reason": message.response_metadata["finish_reason"],
    }


async def test_remote_model_returns_what_the_model_returns(
    remote_model: RemoteModel, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[REPLY] * 4)
    expected = summarize(await model.ainvoke("Hello!"))

    invoked = await remote_model.ainvoke("Hello!")
    [batched] = await remote_model.abatch(["Hello!"])
    chunks = await collect(remote_model.astream("Hello!"))

    assert summarize(invoked) == expected
    assert summarize(batched) == expected
    assert summarize(add_chunks(chunks)) == expected
    assert len(chunks) > 2


@pytest.mark.filterwarnings("ignore:astream_log is deprecated")
async def test_remote_log_contains_every_chunk_and_their_sum(
    remote_model: RemoteModel, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[REPLY] * 2)
    expected = summarize(await model.ainvoke("Hello!"))

    first, *others = await collect(remote_model.astream_log("Hello!"))
    state = sum(others, first).state

    assert summarize(state["final_output"]) == expected
    assert summarize(add_chunks(state["streamed_output"])) == expected
    assert len(state["streamed_output"]) > 2


@pytest.mark.parametrize("path", ["/invoke", "/stream"])
async def test_sync_fastapi_route_can_call_the_model(path: str, app: FastAPI) -> None:
    response = await create_client(app).get(path)

    assert response.status_code == 200
    assert "You said" in response.text
