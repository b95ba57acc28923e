"""The rest of what can be said to Cerebras, said to the emulator, which refuses much."""

import asyncio
import base64
import gzip
import json
import logging
from datetime import date
from typing import Annotated, Any

import pytest
from langchain.chat_models import base as registry
from langchain.chat_models import init_chat_model
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel, Field, create_model

from langchain_cerebras_inference import (
    CerebrasPermissionDeniedError,
    ChatCerebrasInference,
    enable_init_chat_model,
)
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply, ToolCall
from tests.integration.call_styles import CALL_STYLES

QWEN = "qwen-3.8-27b"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
styles = pytest.mark.parametrize("style", CALL_STYLES)


def model_of(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key, **fields)


# --- reasoning ---------------------------------------------------------------------------


@styles
def test_inline_thoughts_are_reasoning_in_every_style(style: str, server: Emulator) -> None:
    server.script(Reply(content="<think>\nIs it?</think>\n\nIt is."))

    answer = CALL_STYLES[style](model_of(server), "Is it?")

    assert answer.text == "It is."
    assert answer.content_blocks == [
        {"type": "reasoning", "reasoning": "Is it?"},
        {"type": "text", "text": "It is."},
    ]


@styles
def test_an_answer_without_room_for_text_says_what_helps_once(
    style: str, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    answer = CALL_STYLES[style](model_of(server, max_tokens=3), "Hello!")

    [warning] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert answer.text == ""
    assert answer.additional_kwargs["reasoning_content"] == "The user says:"
    assert "max_tokens" in warning.getMessage()
    assert "reasoning_effort" in warning.getMessage()


# --- what may be said --------------------------------------------------------------------


@styles
def test_whatever_may_be_set_is_taken(style: str, server: Emulator) -> None:
    settings: dict[str, Any] = {
        "temperature": 2,
        "top_p": 0,
        "seed": 0,
        "max_tokens": -1,
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "logit_bias": {7: -100},
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

    answer = CALL_STYLES[style](model_of(server, **settings), "Hello!")

    body = server.requests[0].body
    assert body["max_completion_tokens"] == -1
    assert body["logit_bias"] == {"7": -100}
    assert body["stop"] == ["\n\n\n"]
    renamed = {"max_tokens", "logit_bias", "stop"}
    assert {name: body[name] for name in settings if name not in renamed} == {
        name: value for name, value in settings.items() if name not in renamed
    }
    assert answer.response_metadata["logprobs"]["content"]
    assert answer.response_metadata["reasoning_logprobs"]["content"]


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high"])
def test_every_effort_is_taken(effort: Any, server: Emulator) -> None:
    model_of(server, model=QWEN, reasoning_effort=effort).invoke("Hello!")
    model_of(server, model=QWEN).invoke("Hello!", reasoning_effort=effort)

    assert [each.body["reasoning_effort"] for each in server.requests] == [effort] * 2


@styles
def test_a_prediction_is_taken(style: str, server: Emulator) -> None:
    prediction = {"type": "content", "content": "Hello."}

    answer = CALL_STYLES[style](model_of(server, prediction=prediction), "Hello!")

    assert server.requests[0].body["prediction"] == prediction
    assert answer.usage_metadata
    assert answer.usage_metadata["output_token_details"] == {
        "reasoning": 15,
        "rejected_prediction": 2,
    }


def test_extra_body_may_say_what_is_new(server: Emulator) -> None:
    model_of(server, extra_body={"min_tokens": 1}).invoke("Hi!", extra_body={"user": "me"})

    body = server.requests[0].body
    assert (body["min_tokens"], body["user"]) == (1, "me")


@pytest.mark.parametrize(("name", "role"), [("gpt-oss-120b", "developer"), (QWEN, "system")])
def test_a_developer_is_heard_by_every_model(name: str, role: str, server: Emulator) -> None:
    rules = ChatMessage(role="developer", content="Be brief.")

    model_of(server, model=name).invoke([rules, HumanMessage("Hi!", name="ada")])

    sent = server.requests[0].body["messages"]
    assert sent[0] == {"role": role, "content": "Be brief."}
    assert sent[1]["name"] == "ada"


@styles
def test_a_compressed_request_says_the_same(style: str, server: Emulator) -> None:
    question = "How high is the tide at 日本? " * 200

    for compression in (False, True):
        CALL_STYLES[style](model_of(server, compression=compression), question)

    plain, small = server.requests
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.content) == plain.content


# --- several answers ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3])
def test_several_answers_are_the_generations_of_one_result(n: int, server: Emulator) -> None:
    model = model_of(server)

    results = [
        model.generate([[HumanMessage("Hello!")]], n=n),
        asyncio.run(model.agenerate([[HumanMessage("Hello!")]], n=n)),
    ]

    for result in results:
        [generations] = result.generations
        assert len({each.text for each in generations}) == n
        assert all(each.generation_info == {"finish_reason": "stop"} for each in generations)


def test_several_answers_are_not_streamed(server: Emulator) -> None:
    model = model_of(server, n=2)

    with pytest.raises(ValueError, match="A stream has one completion"):
        next(model.stream("Hello!"))

    assert not server.requests


def test_several_answers_come_whole_even_in_a_graph_that_streams(server: Emulator) -> None:
    model = model_of(server, n=2)

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState).add_node(node).set_entry_point("node").compile()
    [(message, _)] = graph.stream({"messages": ["Hello!"]}, stream_mode="messages")

    assert isinstance(message, AIMessage)
    assert message.text
    assert "stream" not in server.requests[0].body


# --- images ------------------------------------------------------------------------------


IMAGES: dict[str, dict[str, Any]] = {
    "OpenAI": {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"},
    },
    "OpenAI, bare": {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
    "version 0": {
        "type": "image",
        "source_type": "base64",
        "data": PNG,
        "mime_type": "image/png",
    },
    "version 1": {"type": "image", "base64": PNG, "mime_type": "image/png"},
    "version 1, by address": {"type": "image", "url": f"data:image/png;base64,{PNG}"},
    "Anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    },
}


@styles
@pytest.mark.parametrize("form", IMAGES)
def test_a_model_that_sees_gets_an_image_of_any_form(
    form: str, style: str, server: Emulator
) -> None:
    content: Any = [{"type": "text", "text": "What is it?"}, IMAGES[form]]

    answer = CALL_STYLES[style](model_of(server, model=QWEN), [HumanMessage(content)])

    assert answer.text
    assert answer.usage_metadata
    assert answer.usage_metadata["input_token_details"] == {"cache_read": 0, "image": 400}
    [message] = server.requests[0].body["messages"]
    assert message["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


@styles
def test_a_model_that_does_not_see_says_so(style: str, server: Emulator) -> None:
    question = [HumanMessage([IMAGES["version 1"]])]

    with pytest.raises(CerebrasPermissionDeniedError, match="Multimodal is not enabled"):
        CALL_STYLES[style](model_of(server), question)


@styles
def test_the_address_of_an_image_is_refused_before_it_is_sent(
    style: str, server: Emulator
) -> None:
    image: Any = {"type": "image", "url": "https://example.com/a.png"}

    with pytest.raises(ValueError, match="as base64 PNG or JPEG data, not by URL"):
        CALL_STYLES[style](model_of(server, model=QWEN), [HumanMessage([image])])

    assert not server.requests


# --- tools -------------------------------------------------------------------------------


def search(query: str = "") -> str:
    """Search for something."""
    return f"Found {query}."


DOTTED = StructuredTool.from_function(search, name="web.search")


@styles
def test_a_name_cerebras_refuses_is_its_own_again_in_the_answer(
    style: str, server: Emulator
) -> None:
    bound = model_of(server).bind_tools([DOTTED], tool_choice="web.search")

    answer = CALL_STYLES[style](bound, "Hello!")
    history = ["Hello!", answer, DOTTED.invoke(answer.tool_calls[0])]
    CALL_STYLES[style](bound.bind(tool_choice=None), history)

    first, second = (request.body for request in server.requests)
    name = first["tools"][0]["function"]["name"]
    assert answer.tool_calls[0]["name"] == "web.search"
    assert "." not in name
    assert first["tool_choice"]["function"]["name"] == name
    assert second["messages"][1]["tool_calls"][0]["function"]["name"] == name


@styles
def test_a_tool_the_model_made_up_reaches_the_agent_unchanged(
    style: str, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("repo_browser.open", {"path": "/"}, id="a")]))

    answer = CALL_STYLES[style](model_of(server).bind_tools([DOTTED]), "Hello!")

    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("repo_browser.open", {"path": "/"})


@styles
def test_calls_without_ids_can_be_answered_turn_after_turn(
    style: str, server: Emulator
) -> None:
    server.script(*[Reply(tool_calls=[ToolCall("web.search", id="")])] * 3)
    bound = model_of(server).bind_tools([DOTTED])
    history: list[Any] = [HumanMessage("Hello!")]

    for _ in range(4):
        answer = CALL_STYLES[style](bound, history)
        history += [
            answer,
            *(ToolMessage("Yes.", tool_call_id=call["id"]) for call in answer.tool_calls),
        ]

    sent = server.requests[-1].body["messages"]
    ids = [call["id"] for message in sent for call in message.get("tool_calls", [])]
    assert len(set(ids)) == 3
    assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == ids


NO_ARGUMENTS: dict[str, dict[str, Any]] = {
    "empty": {"arguments": ""},
    "null": {"arguments": None},
    "null as text": {"arguments": "null"},
    "an empty object": {"arguments": "{}"},
    "absent": {},
}


def called(function: dict[str, Any]) -> Reply:
    """One call, whole in a stream too."""
    call = {"index": 0, "id": "a", "type": "function", "function": function}
    message = {"role": "assistant", "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    return Reply(
        events=[{"choices": [choice | {"delta": message}]}],
        body={"choices": [choice | {"message": message}]},
    )


@styles
@pytest.mark.parametrize("form", NO_ARGUMENTS)
def test_no_arguments_are_none_in_every_form_and_go_back_in_one(
    form: str, style: str, server: Emulator
) -> None:
    server.script(called({"name": "search", **NO_ARGUMENTS[form]}))
    bound = model_of(server).bind_tools([search])

    answer = CALL_STYLES[style](bound, "Hello!")
    CALL_STYLES[style](bound, ["Hello!", answer, ToolMessage("Yes.", tool_call_id="a")])

    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("search", {})]
    assert answer.invalid_tool_calls == []
    [sent] = server.requests[1].body["messages"][1]["tool_calls"]
    assert sent["function"] == {"name": "search", "arguments": "{}"}


@styles
def test_a_conversation_goes_on_after_a_call_that_was_cut(style: str, server: Emulator) -> None:
    cut = ToolCall("web.search", '{"query": "lla', id="a")
    server.script(Reply(tool_calls=[cut], finish_reason="length"))
    bound = model_of(server).bind_tools([DOTTED])

    answer = CALL_STYLES[style](bound, "Hello!")
    after = CALL_STYLES[style](bound, ["Hello!", answer, "Try again."])

    assert answer.invalid_tool_calls
    assert after.text
    assert "tool_calls" not in server.requests[1].body["messages"][1]


# --- schemas -----------------------------------------------------------------------------


class Walk(BaseModel):
    """A walk."""

    x: str
    then: "Walk | None" = None


STRICT: dict[str, tuple[Any, Any, Any]] = {
    "a list with bounds": (Annotated[list[str], Field(min_length=1, max_length=2)], ["a"], []),
    "a pattern": (Annotated[str, Field(pattern="^[A-Z]+$")], "A", "a"),
    "a number with bounds": (Annotated[int, Field(gt=0)], 1, 0),
    "a format": (date, "2026-01-31", "tomorrow"),
    "an option": (int | None, None, "a"),
}
NOT_STRICT: dict[str, tuple[Any, Any, Any]] = {
    "a map": (dict[str, int], {"a": 1}, {"a": "b"}),
    "recursion": (Walk, {"x": "a", "then": {"x": "b"}}, {"x": "a", "then": {}}),
}


@pytest.mark.parametrize("kind", [*STRICT, *NOT_STRICT])
def test_what_pydantic_can_say_is_taken_and_held_to(kind: str, server: Emulator) -> None:
    annotation, right, wrong = (STRICT | NOT_STRICT)[kind]
    schema: Any = create_model("Answer", x=(annotation, ...))
    chain = model_of(server).with_structured_output(schema)

    assert chain.invoke('The "x" of it, in JSON.')
    server.script(*(Reply(content=json.dumps({"x": x})) for x in (right, wrong)))
    answer: Any = chain.invoke("Again.")
    with pytest.raises(OutputParserException):
        chain.invoke("And again.")

    assert answer.model_dump(mode="json", exclude_unset=True) == {"x": right}
    sent = server.requests[0].body["response_format"]["json_schema"]
    assert sent["strict"] is (kind in STRICT)


# --- beside the calls --------------------------------------------------------------------


def test_models_are_listed_with_what_the_public_catalogue_knows(server: Emulator) -> None:
    model = model_of(server)

    listed = model.list_models()

    assert asyncio.run(model.alist_models()) == listed
    assert [each.id for each in listed] == ["gpt-oss-120b", QWEN]
    gpt, qwen = listed
    assert (gpt.context_tokens, gpt.output_tokens, gpt.images) == (131_072, 40_960, False)
    assert (qwen.input_price, qwen.output_price, qwen.images) == (0.99, 1.49, True)
    assert qwen.owner == "Alibaba"


def test_models_are_listed_without_a_public_catalogue_too(server: Emulator) -> None:
    server.script_models(Reply(body={"data": [{"id": "my-own"}]}), Refuse(404))

    [listed] = model_of(server).list_models()

    assert listed.id == "my-own"
    assert listed.context_tokens is None


@pytest.fixture
def enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is known for one test."""
    monkeypatch.setattr(registry, "_BUILTIN_PROVIDERS", dict(registry._BUILTIN_PROVIDERS))
    enable_init_chat_model()


def test_init_chat_model_knows_the_provider_once_it_is_enabled(
    enabled: None, server: Emulator
) -> None:
    where: dict[str, Any] = {"base_url": server.base_url, "api_key": server.api_key}

    model = init_chat_model("cerebras:gpt-oss-120b", temperature=0, **where)
    configurable: Any = init_chat_model(configurable_fields=("model",), **where)
    answer = configurable.invoke(
        "Hello!", config={"configurable": {"model": f"cerebras:{QWEN}"}}
    )

    assert isinstance(model, ChatCerebrasInference)
    assert (model.model_name, model.temperature) == ("gpt-oss-120b", 0)
    assert model.invoke("Hello!").text
    assert answer.response_metadata["model_name"] == QWEN


def test_without_being_asked_nothing_is_registered() -> None:
    with pytest.raises(ValueError, match="cerebras"):
        init_chat_model("cerebras:gpt-oss-120b")


@pytest.mark.parametrize(
    "table", [None, {}, [], {"groq": ("module",)}, {"groq": ("a", "b", 1)}]
)
def test_a_registry_that_has_changed_is_named(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_BUILTIN_PROVIDERS", table)

    with pytest.raises(RuntimeError, match="LangChain has changed its table of providers"):
        enable_init_chat_model()
