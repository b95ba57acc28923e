"""Requests that the emulator checks as Cerebras does, and the completions for them."""

import asyncio
import base64
import gzip
import json
import logging
from datetime import date
from typing import Annotated, Any

import pydantic
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel, Field

from langchain_cerebras_inference import (
    CerebrasInvalidRequestError,
    CerebrasPermissionDeniedError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply
from tests.integration.call_styles import CallStyle, every_call_style
from tests.integration.helpers import create_model

QWEN = "qwen-3.8-27b"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


# --- settings and call options ------------------------------------------------------


@every_call_style
def test_request_settings_are_sent_and_logprobs_returned(
    call: CallStyle, server: Emulator
) -> None:
    settings: dict[str, Any] = {
        "temperature": 2,
        "top_p": 0,
        "seed": 0,
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "logprobs": True,
        "top_logprobs": 20,
        "stop": ["\n\n\n"],
        "user": "me",
        "reasoning_effort": "low",
        "reasoning_format": "parsed",
        "clear_thinking": False,
        "service_tier": "auto",
        "prompt_cache_key": "conversation-1",
    }
    model = create_model(server, **settings, max_tokens=-1, logit_bias={7: -100})

    message = call(model, "Hello!")

    body = server.requests[0].body
    assert {name: body[name] for name in settings} == settings
    assert body["max_completion_tokens"] == -1
    assert body["logit_bias"] == {"7": -100}
    assert message.response_metadata["logprobs"]["content"]
    assert message.response_metadata["reasoning_logprobs"]["content"]


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high"])
def test_reasoning_effort_is_a_setting_and_a_call_option(effort: Any, server: Emulator) -> None:
    create_model(server, model=QWEN, reasoning_effort=effort).invoke("Hello!")
    create_model(server, model=QWEN).invoke("Hello!", reasoning_effort=effort)

    efforts = [request.body["reasoning_effort"] for request in server.requests]
    assert efforts == [effort, effort]


@every_call_style
def test_prediction_is_sent_and_its_tokens_are_counted(
    call: CallStyle, server: Emulator
) -> None:
    prediction = {"type": "content", "content": "Hello."}

    message = call(create_model(server, prediction=prediction), "Hello!")

    assert server.requests[0].body["prediction"] == prediction
    details = message.usage_metadata["output_token_details"]
    assert details["rejected_prediction"] == 2
    assert details["reasoning"] > 0


def test_extra_body_adds_fields_to_the_request(server: Emulator) -> None:
    model = create_model(server, extra_body={"min_tokens": 1})

    model.invoke("Hi!", extra_body={"user": "me"})

    body = server.requests[0].body
    assert (body["min_tokens"], body["user"]) == (1, "me")


@pytest.mark.parametrize("url", [None, 5])
def test_invalid_image_in_extra_body_raises_the_error_of_the_server_and_ends_the_request(
    url: Any, server: Emulator
) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    server.script(Refuse(400))
    model = create_model(server)

    with pytest.raises(CerebrasInvalidRequestError):
        model.invoke("Hi!", extra_body={"messages": [{"role": "user", "content": [part]}]})

    assert model.quota().in_flight == 0


@pytest.mark.parametrize(
    ("model_name", "role"), [("gpt-oss-120b", "developer"), (QWEN, "system")]
)
def test_developer_role_falls_back_to_system(
    model_name: str, role: str, server: Emulator
) -> None:
    instructions = ChatMessage(role="developer", content="Be brief.")
    question = HumanMessage("Hi!", name="ada")

    create_model(server, model=model_name).invoke([instructions, question])

    first, second = server.requests[0].body["messages"]
    assert first == {"role": role, "content": "Be brief."}
    assert second["name"] == "ada"


@every_call_style
def test_compressed_request_has_the_same_body(call: CallStyle, server: Emulator) -> None:
    prompt = "How high is the tide at 日本? " * 200

    call(create_model(server, compression=False), prompt)
    call(create_model(server, compression=True), prompt)

    plain, compressed = server.requests
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content


# --- reasoning ----------------------------------------------------------------------


@every_call_style
def test_think_tags_become_reasoning(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="<think>\nIs it?</think>\n\nIt is."))

    message = call(model, "Is it?")

    assert message.text == "It is."
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "Is it?"},
        {"type": "text", "text": "It is."},
    ]


@every_call_style
def test_completion_without_text_logs_one_warning_with_the_settings_that_help(
    call: CallStyle, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    message = call(create_model(server, max_tokens=3), "Hello!")

    [warning] = [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert message.text == ""
    assert message.additional_kwargs["reasoning_content"] == "The user says:"
    assert "max_tokens" in warning
    assert "reasoning_effort" in warning


# --- several completions ------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
def test_several_completions_are_generations_of_one_result(
    n: int, model: ChatCerebrasInference
) -> None:
    prompts: Any = [[HumanMessage("Hello!")]]

    results = [
        model.generate(prompts, n=n),
        asyncio.run(model.agenerate(prompts, n=n)),
    ]

    for result in results:
        [generations] = result.generations
        assert len({generation.text for generation in generations}) == n
        for generation in generations:
            assert generation.generation_info == {"finish_reason": "stop"}


def test_llm_output_has_the_summed_token_usage(model: ChatCerebrasInference) -> None:
    prompts: Any = [[HumanMessage("Hello!")], [HumanMessage("Write 20 words.")]]

    results = [
        model.generate(prompts),
        asyncio.run(model.agenerate(prompts)),
    ]

    for result in results:
        first: list[Any] = [generations[0] for generations in result.generations]
        messages = [generation.message for generation in first]
        usages = [message.response_metadata["token_usage"] for message in messages]
        assert result.llm_output is not None
        assert result.llm_output["model_name"] == "gpt-oss-120b"
        total = result.llm_output["token_usage"]
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert total[name] == sum(usage[name] for usage in usages)
        assert total["total_tokens"] == sum(
            message.usage_metadata["total_tokens"] for message in messages
        )


@every_call_style
def test_response_metadata_has_the_token_usage(
    call: CallStyle, model: ChatCerebrasInference
) -> None:
    message = call(model, "Hello!")

    usage = message.response_metadata["token_usage"]
    assert usage["total_tokens"] == message.usage_metadata["total_tokens"]


@every_call_style
def test_reasoning_content_of_a_gateway_is_returned_as_reasoning(
    call: CallStyle, server: Emulator
) -> None:
    message = {"role": "assistant", "reasoning_content": "Is it?", "content": "Yes."}
    choice = {"index": 0, "finish_reason": "stop"}
    deltas = [{"reasoning_content": "Is "}, {"reasoning_content": "it?", "content": "Yes."}]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"choices": [{**choice, "delta": {}}]}
    body = {"choices": [{**choice, "message": message}]}
    server.script(Reply(events=[*events, end], body=body))

    result = call(create_model(server), "Hello!")

    assert result.additional_kwargs["reasoning_content"] == "Is it?"
    assert [block["type"] for block in result.content_blocks] == ["reasoning", "text"]
    assert result.text == "Yes."


@every_call_style
@pytest.mark.parametrize("place", ["setting", "call option"])
def test_model_parameters_are_sent(place: str, call: CallStyle, server: Emulator) -> None:
    options: dict[str, Any] = {"model_parameters": {"style": {"tone": "calm"}}}
    model = create_model(server, **(options if place == "setting" else {}))

    call(model if place == "setting" else model.bind(**options), "Hello!")

    assert server.requests[0].body["model_parameters"] == options["model_parameters"]


def test_stream_of_several_completions_is_rejected(server: Emulator) -> None:
    model = create_model(server, n=2)

    with pytest.raises(ValueError, match="only one completion"):
        next(model.stream("Hello!"))

    assert not server.requests


def test_several_completions_arrive_whole_in_a_streaming_graph(server: Emulator) -> None:
    model = create_model(server, n=2)

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState).add_node(node).set_entry_point("node").compile()
    [(message, _)] = graph.stream({"messages": ["Hello!"]}, stream_mode="messages")

    assert isinstance(message, AIMessage)
    assert message.text
    assert "stream" not in server.requests[0].body


# --- images -------------------------------------------------------------------------

DATA_URL = f"data:image/png;base64,{PNG}"
IMAGES: dict[str, dict[str, Any]] = {
    "OpenAI": {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "high"}},
    "OpenAI with the URL alone": {"type": "image_url", "image_url": DATA_URL},
    "LangChain v0": {
        "type": "image",
        "source_type": "base64",
        "data": PNG,
        "mime_type": "image/png",
    },
    "LangChain v1": {"type": "image", "base64": PNG, "mime_type": "image/png"},
    "LangChain v1 with a data URL": {"type": "image", "url": DATA_URL},
    "Anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    },
}


@every_call_style
@pytest.mark.parametrize("image_format", IMAGES)
def test_image_of_every_format_is_sent(
    image_format: str, call: CallStyle, server: Emulator
) -> None:
    question = {"type": "text", "text": "What is it?"}
    prompt = HumanMessage([question, IMAGES[image_format]])

    message = call(create_model(server, model=QWEN), [prompt])

    [sent] = server.requests[0].body["messages"]
    assert message.text
    assert message.usage_metadata["input_token_details"] == {"cache_read": 0, "image": 400}
    assert sent["content"] == [question, {"type": "image_url", "image_url": {"url": DATA_URL}}]


@every_call_style
def test_image_for_a_model_without_vision_is_an_error(
    call: CallStyle, model: ChatCerebrasInference
) -> None:
    prompt = HumanMessage([IMAGES["LangChain v1"]])

    with pytest.raises(CerebrasPermissionDeniedError, match="Multimodal is not enabled"):
        call(model, [prompt])


@every_call_style
def test_image_url_is_rejected_before_any_request(call: CallStyle, server: Emulator) -> None:
    prompt = HumanMessage([{"type": "image", "url": "https://example.com/a.png"}])

    with pytest.raises(ValueError, match="base64 PNG or JPEG"):
        call(create_model(server, model=QWEN), [prompt])

    assert not server.requests


# --- structured output --------------------------------------------------------------


class Walk(BaseModel):
    """A walk."""

    x: str
    then: "Walk | None" = None


# annotation, a valid value, an invalid value
STRICT_FIELDS: dict[str, tuple[Any, Any, Any]] = {
    "list with bounds": (Annotated[list[str], Field(min_length=1, max_length=2)], ["a"], []),
    "pattern": (Annotated[str, Field(pattern="^[A-Z]+$")], "A", "a"),
    "number with bounds": (Annotated[int, Field(gt=0)], 1, 0),
    "format": (date, "2026-01-31", "tomorrow"),
    "optional": (int | None, None, "a"),
}
OTHER_FIELDS: dict[str, tuple[Any, Any, Any]] = {
    "dict": (dict[str, int], {"a": 1}, {"a": "b"}),
    "recursion": (Walk, {"x": "a", "then": {"x": "b"}}, {"x": "a", "then": {}}),
}


@pytest.mark.parametrize("kind", [*STRICT_FIELDS, *OTHER_FIELDS])
def test_schema_of_a_pydantic_class_is_accepted_and_its_objects_are_validated(
    kind: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    annotation, valid, invalid = (STRICT_FIELDS | OTHER_FIELDS)[kind]
    schema: Any = pydantic.create_model("Answer", x=(annotation, ...))
    chain = model.with_structured_output(schema)

    assert chain.invoke('The "x" of it, in JSON.')
    server.script(
        Reply(content=json.dumps({"x": valid})), Reply(content=json.dumps({"x": invalid}))
    )
    parsed: Any = chain.invoke("Again.")
    with pytest.raises(OutputParserException):
        chain.invoke("And again.")

    sent = server.requests[0].body["response_format"]["json_schema"]
    assert parsed.model_dump(mode="json", exclude_unset=True) == {"x": valid}
    assert sent["strict"] is (kind in STRICT_FIELDS)
