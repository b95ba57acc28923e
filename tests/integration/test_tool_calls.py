"""Tool calls, and the turns of a conversation that follow them."""

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import StructuredTool

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import CallStyle, every_call_style


def search(query: str = "") -> str:
    """Search for something."""
    return f"Found {query}."


# Cerebras does not accept a dot in the name of a tool.
DOTTED_TOOL = StructuredTool.from_function(search, name="web.search")


@every_call_style
def test_unsupported_tool_name_is_replaced_in_requests_and_restored_in_messages(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    bound = model.bind_tools([DOTTED_TOOL], tool_choice="web.search")

    message = call(bound, "Hello!")
    history = ["Hello!", message, DOTTED_TOOL.invoke(message.tool_calls[0])]
    call(bound.bind(tool_choice=None), history)

    first, second = (request.body for request in server.requests)
    sent_name = first["tools"][0]["function"]["name"]
    assert "." not in sent_name
    assert first["tool_choice"]["function"]["name"] == sent_name
    assert message.tool_calls[0]["name"] == "web.search"
    assert second["messages"][1]["tool_calls"][0]["function"]["name"] == sent_name


@every_call_style
def test_call_of_an_unknown_tool_is_returned_unchanged(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    unknown = ToolCall("repo_browser.open", {"path": "/"}, id="a")
    server.script(Reply(tool_calls=[unknown]))

    message = call(model.bind_tools([DOTTED_TOOL]), "Hello!")

    [tool_call] = message.tool_calls
    assert (tool_call["name"], tool_call["args"]) == ("repo_browser.open", {"path": "/"})


@every_call_style
def test_tool_calls_without_ids_get_different_ids(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[Reply(tool_calls=[ToolCall("web.search", id="")])] * 3)
    bound = model.bind_tools([DOTTED_TOOL])
    history: list[Any] = [HumanMessage("Hello!")]

    for _ in range(4):
        message = call(bound, history)
        history.append(message)
        for tool_call in message.tool_calls:
            history.append(ToolMessage("Yes.", tool_call_id=tool_call["id"]))

    sent = server.requests[-1].body["messages"]
    call_ids = [tool["id"] for message in sent for tool in message.get("tool_calls", [])]
    result_ids = [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    assert len(set(call_ids)) == 3
    assert result_ids == call_ids


WITHOUT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "empty": {"arguments": ""},
    "null": {"arguments": None},
    "null as text": {"arguments": "null"},
    "empty object": {"arguments": "{}"},
    "missing": {},
}


def reply_with_function(function: dict[str, Any]) -> Reply:
    """Create a reply with one tool call, which is one event of a stream."""
    tool_call = {"index": 0, "id": "a", "type": "function", "function": function}
    message = {"role": "assistant", "tool_calls": [tool_call]}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    return Reply(
        events=[{"choices": [choice | {"delta": message}]}],
        body={"choices": [choice | {"message": message}]},
    )


@every_call_style
@pytest.mark.parametrize("case", WITHOUT_ARGUMENTS)
def test_tool_call_without_arguments_has_empty_arguments(
    case: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(reply_with_function({"name": "search", **WITHOUT_ARGUMENTS[case]}))
    bound = model.bind_tools([search])

    message = call(bound, "Hello!")
    call(bound, ["Hello!", message, ToolMessage("Yes.", tool_call_id="a")])

    [tool_call] = message.tool_calls
    [sent] = server.requests[1].body["messages"][1]["tool_calls"]
    assert (tool_call["name"], tool_call["args"]) == ("search", {})
    assert message.invalid_tool_calls == []
    assert sent["function"] == {"name": "search", "arguments": "{}"}


# Arguments that are complete, but not strict JSON, and the value of `query`.
LENIENT_ARGUMENTS = {
    "line feed": ('{"query": "a\nb"}', "a\nb"),
    "control characters": ('{"query": "\x00\t\r\n\x1f"}', "\x00\t\r\n\x1f"),
    "brackets after a line feed": ('{"query": "\n}]"}', "\n}]"),
    "fence": ('```json\n{"query": "a"}\n```', "a"),
    "prose around a fence": ('It is:\n```\n{"query": "a\n```"}\n```\nDone.', "a\n```"),
    "escaped lone surrogate": ('{"query": "a\\ud83d b"}', "a\ufffd b"),
    "escaped pair of surrogates": ('{"query": "\\ud83d\\ude00\n"}', "😀\n"),
    "lone surrogate": ('{"query": "a\ud83d b\n"}', "a\ufffd b\n"),
}
all_lenient_arguments = pytest.mark.parametrize("case", LENIENT_ARGUMENTS)
both_models = pytest.mark.parametrize("name", ["gpt-oss-120b", "qwen-3.8-27b"])


@both_models
@every_call_style
@all_lenient_arguments
def test_complete_arguments_that_are_not_strict_json_are_a_tool_call(
    case: str, call: CallStyle, name: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    arguments, query = LENIENT_ARGUMENTS[case]
    server.script(Reply(tool_calls=[ToolCall("search", arguments, id="a")]))
    bound = model.bind_tools([search]).bind(model=name)

    message = call(bound, "Hello!")
    call(bound, ["Hello!", message, ToolMessage("Yes.", tool_call_id="a")])

    [tool_call] = message.tool_calls
    [sent] = server.requests[1].body["messages"][1]["tool_calls"]
    assert tool_call["args"] == json.loads(sent["function"]["arguments"]) == {"query": query}
    assert message.invalid_tool_calls == []


@both_models
@all_lenient_arguments
@pytest.mark.parametrize("coalesce", [False, True])
def test_complete_arguments_that_are_not_strict_json_are_a_tool_call_in_v3_events(
    case: str, coalesce: bool, name: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    arguments, query = LENIENT_ARGUMENTS[case]
    server.script(Reply(tool_calls=[ToolCall("search", arguments, id="a")]))
    bound = model.bind_tools([search]).bind(model=name, coalesce=coalesce)

    events: Any = bound.stream_events("Hello!", version="v3")
    received = list(events)

    assert not has_surrogates(received)
    assert [call["args"] for call in events.output.tool_calls] == [{"query": query}]


# --- surrogates: halves of characters ----------------------------------------------------

SURROGATE = re.compile("[\ud800-\udfff]")
HALVES = [("a\ud83d", "\ude00b"), ("a\ud83d", "b"), ("a", "\ude00b")]
JOINED = ["a😀b", "a\ufffdb", "a\ufffdb"]


def reply_in_halves(first: str, second: str) -> Reply:
    """Create a reply with a text, reasoning and tool arguments in two deltas each."""
    call = {"index": 0, "id": "a", "type": "function"}
    starts = {"name": "search", "arguments": '{"query":"' + first}
    deltas: list[dict[str, Any]] = [
        {"reasoning": first},
        {"reasoning": second},
        {"content": first},
        {"content": second},
        {"tool_calls": [call | {"function": starts}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": second + '"}'}}]},
    ]
    function = {"name": "search", "arguments": '{"query":"' + first + second + '"}'}
    message = {
        "reasoning": first + second,
        "content": first + second,
        "tool_calls": [call | {"function": function}],
    }
    choice = {"index": 0, "finish_reason": "tool_calls"}
    return Reply(
        events=[
            *({"choices": [{"index": 0, "delta": delta}]} for delta in deltas),
            {"choices": [choice | {"delta": {}}]},
        ],
        body={"choices": [choice | {"message": message}]},
    )


@pytest.mark.parametrize("number", range(len(HALVES)))
@pytest.mark.parametrize("coalesce", [False, True])
@every_call_style
def test_halves_of_a_character_are_joined_or_replaced_in_messages(
    call: CallStyle,
    coalesce: bool,
    number: int,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(reply_in_halves(*HALVES[number]))

    message = call(model.bind_tools([search]).bind(coalesce=coalesce), "Hello!")

    assert message.text == JOINED[number]
    assert message.additional_kwargs["reasoning_content"] == JOINED[number]
    assert [tool_call["args"] for tool_call in message.tool_calls] == [
        {"query": JOINED[number]}
    ]


@pytest.mark.parametrize("number", range(len(HALVES)))
@pytest.mark.parametrize("coalesce", [False, True])
def test_no_chunk_and_no_v3_event_has_half_of_a_character(
    coalesce: bool, number: int, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[reply_in_halves(*HALVES[number])] * 2)
    bound = model.bind_tools([search]).bind(coalesce=coalesce)

    chunks: list[Any] = list(bound.stream("Hello!"))
    events: Any = bound.stream_events("Hello!", version="v3")

    assert not [chunk for chunk in chunks if has_surrogates(chunk.model_dump())]
    assert not [event for event in events if has_surrogates(event)]
    message = events.output
    assert message.text == "".join(chunk.text for chunk in chunks) == JOINED[number]
    assert [tool_call["args"] for tool_call in message.tool_calls] == [
        {"query": JOINED[number]}
    ]


def has_surrogates(value: Any) -> bool:
    return SURROGATE.search(json.dumps(value, ensure_ascii=False)) is not None


@every_call_style
def test_halves_of_a_character_are_joined_or_replaced_in_requests(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    half, pair = "x\ud83d", "\ud83d\ude00"
    tool = {
        "name": f"find{half}",
        "description": half,
        "parameters": {"type": "object", "properties": {half: {"description": pair}}},
    }
    history = [
        SystemMessage([half, "\ude00"]),
        HumanMessage(pair, name=half),
        AIMessage(
            half,
            additional_kwargs={"reasoning_content": half},
            tool_calls=[{"name": f"find{half}", "args": {half: [pair, half]}, "id": half}],
        ),
        ToolMessage(half, tool_call_id=half),
    ]

    message = call(model.bind_tools([tool]).bind(stop=[half], user=pair), history)

    [request] = server.requests
    assert message.text or message.tool_calls
    assert b"\\ud8" not in request.content
    assert request.body["stop"] == ["x\ufffd"]
    assert request.body["user"] == "😀"
    _, human, ai, tool_message = request.body["messages"]
    assert human == {"role": "user", "content": "😀", "name": "x\ufffd"}
    assert (ai["content"], ai["reasoning"]) == ("x\ufffd", "x\ufffd")
    [sent_call] = ai["tool_calls"]
    assert json.loads(sent_call["function"]["arguments"]) == {"x\ufffd": ["😀", "x\ufffd"]}
    assert sent_call["id"] == tool_message["tool_call_id"] == "x\ufffd"
    assert tool_message["content"] == "x\ufffd"
    [sent_tool] = request.body["tools"]
    assert sent_tool["function"]["name"] == sent_call["function"]["name"]
    assert sent_tool["function"]["description"] == "x\ufffd"
    assert sent_tool["function"]["parameters"]["properties"] == {
        "x\ufffd": {"description": "😀"}
    }


@every_call_style
def test_conversation_continues_after_a_truncated_tool_call(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    truncated = ToolCall("web.search", '{"query": "lla', id="a")
    server.script(Reply(tool_calls=[truncated], finish_reason="length"))
    bound = model.bind_tools([DOTTED_TOOL])

    message = call(bound, "Hello!")
    next_message = call(bound, ["Hello!", message, "Try again."])

    assert message.invalid_tool_calls
    assert next_message.text
    _, request, result, _ = server.requests[1].body["messages"]
    assert request["tool_calls"][0]["function"]["arguments"] == "{}"
    assert result["content"].startswith("This tool call was not run")
    assert '{"query": "lla' in result["content"]
