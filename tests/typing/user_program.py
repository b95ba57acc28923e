"""A user's program: mypy and basedpyright check it, and nothing runs it."""

from pathlib import Path
from typing import assert_type

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

from langchain_cerebras_inference import (
    CerebrasError,
    CerebrasRateLimitError,
    ChatCerebrasInference,
    Credential,
    ModelInfo,
    QuotaInfo,
    __version__,
)
from langchain_cerebras_inference.batch import (
    BatchProgress,
    BatchResult,
    arun_batch,
    estimate_cost,
    run_batch,
)
from langchain_cerebras_inference.emulator import Emulator


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


class Pun(TypedDict):
    """A shorter joke."""

    text: str


@tool
def weather(city: str) -> str:
    """Get the weather of a city."""
    return f"Fair in {city}."


async def fetch_key() -> str:
    """Fetch the API key from a secret store."""
    return "key"


with_defaults = ChatCerebrasInference()

with_aliases = ChatCerebrasInference(
    model="gpt-oss-120b",
    api_key="key",
    cookies={"name": "value"},
    base_url="https://api.cerebras.ai/v1",
    max_completion_tokens=100,
    stop_sequences=["END"],
    timeout=30,
)

with_field_names = ChatCerebrasInference(
    model_name="gpt-oss-120b",
    cerebras_api_key=SecretStr("key"),
    cookies="name=value; other=value",
    session_url="https://inference.cerebras.ai/api/auth/session",
    cerebras_api_base="https://api.cerebras.ai/v1",
    temperature=0,
    top_p=0.9,
    seed=1,
    logit_bias={"50256": -100},
    max_tokens=100,
    stop=["END"],
    reasoning_effort="low",
    extra_body={"field": 1},
    default_headers={"X-Name": "value"},
    timeout=None,
    connect_timeout=5.0,
    max_retries=0,
    max_retry_wait=10,
    pace=True,
    quota_store="sqlite:///quotas.db",
    proxy="http://localhost:8080",
    verify=Path("ca.pem"),
    client_cert=(Path("client.pem"), "client.key"),
    model_parameters={"style": "calm"},
    streaming=True,
    coalesce=False,
    compression="auto",
)

with_other_credentials = [
    ChatCerebrasInference(api_key=lambda: "key"),
    ChatCerebrasInference(api_key=fetch_key),
    ChatCerebrasInference(cookies=Path("cookies.txt")),
]

# A misspelled setting is a type error; mypy fails if it does not need this comment.
ChatCerebrasInference(modle="gpt-oss-120b")  # type: ignore[call-arg]


def use_sync_methods(model: ChatCerebrasInference) -> None:
    assert_type(model.invoke("Hello"), AIMessage)
    model.invoke([HumanMessage("Hello")], stop=["END"], temperature=0.5)
    model.invoke("Hello", extra_headers={"X-Tenant": SecretStr("one"), "X-Trace": "a"})
    assert_type(model.model, str)
    assert_type(model.batch(["Hello", "Goodbye"]), list[AIMessage])
    for chunk in model.stream("Hello"):
        assert_type(chunk, AIMessageChunk)
    for info in model.list_models():
        assert_type(info, ModelInfo)
        ChatCerebrasInference(model=info.id, profile=info.profile)
    assert_type(model.credential(), Credential)
    model.warm_up()
    model.close()
    with ChatCerebrasInference(model="gpt-oss-120b") as opened:
        assert_type(opened, ChatCerebrasInference)


async def use_async_methods(model: ChatCerebrasInference) -> None:
    assert_type(await model.ainvoke("Hello"), AIMessage)
    async for chunk in model.astream("Hello"):
        assert_type(chunk, AIMessageChunk)
    for info in await model.alist_models():
        assert_type(info, ModelInfo)
    assert_type(await model.acredential(), Credential)
    await model.awarm_up()
    await model.aclose()
    async with ChatCerebrasInference(model="gpt-oss-120b") as opened:
        assert_type(opened, ChatCerebrasInference)


def bind_tools(model: ChatCerebrasInference) -> None:
    bound = model.bind_tools([weather, Joke, fetch_key, {"title": "schema"}])
    assert_type(bound.invoke("Hello"), AIMessage)
    model.bind_tools([weather], tool_choice="any", strict=True)
    model.bind_tools([weather], tool_choice=True, parallel_tool_calls=False)
    model.bind_tools([weather], tool_choice={"type": "function"})


def request_structured_output(model: ChatCerebrasInference) -> None:
    joke = model.with_structured_output(Joke).invoke("Tell a joke")
    if isinstance(joke, Joke):
        assert_type(joke.punchline, str)
    model.with_structured_output(Pun, method="function_calling", strict=True)
    model.with_structured_output({"title": "pun"}, method="json_mode")
    model.with_structured_output(Joke, method="json_schema", include_raw=True)


def build_chain(model: ChatCerebrasInference) -> None:
    prompt = ChatPromptTemplate.from_template("Tell a joke about {topic}")
    chain = prompt | model | StrOutputParser()
    assert_type(chain.invoke({"topic": "cats"}), str)


def handle_errors(model: ChatCerebrasInference) -> float | None:
    try:
        model.invoke("Hello")
    except CerebrasRateLimitError as error:
        return error.retry_after
    except CerebrasError as error:
        assert_type(error.status, int | None)
        assert_type(error.code, str | None)
        assert_type(error.request_id, str | None)
        assert_type(error.is_retryable, bool)
    return None


def run_batches(model: ChatCerebrasInference) -> None:
    def show(progress: BatchProgress) -> None:
        assert_type(progress.cost, float | None)
        assert_type(progress.quota, QuotaInfo | None)

    prompts = [{"id": number, "prompt": "Hello"} for number in range(3)]
    for result in run_batch(model, prompts, schema=Joke, on_progress=show):
        assert_type(result, BatchResult)
        assert_type(result.text, str)
        assert_type(result.error, Exception | None)
    run_batch(model, ["Hello", [HumanMessage("Hi")], {"prompt": "Hello"}], concurrency=4)
    run_batch(model, (f"Hello {number}" for number in range(3)))


async def run_async_batch(model: ChatCerebrasInference) -> float | None:
    async for result in arun_batch(model, ["Hello"]):
        if result.usage is not None:
            return estimate_cost("gpt-oss-120b", result.usage)
    quota = await model.aquota()
    assert_type(quota.limits["requests-minute"].remaining, float | None)
    return quota.used_share


def use_emulator() -> str:
    with Emulator() as server:
        model = ChatCerebrasInference(
            base_url=server.base_url,
            session_url=server.session_url,
            api_key=server.api_key,
            cookies=server.cookies,
        )
        return f"{__version__}: {model.invoke('Hello').text}"
