"""Tool calls, and the turns of a conversation that follow them."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
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
    assert request["tool_calls"][0]["function"]["arguments"] == '{"query": "lla'
    assert result["content"].startswith("This tool call was not run")
