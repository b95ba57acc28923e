"""Convert LangChain messages to the messages of a request.

Cerebras rejects a request for one property that it does not know, wants tool messages
directly after the calls they answer, and takes earlier reasoning as `reasoning`, never as
`reasoning_content`. The messages may come from other providers' classes.
Source: https://inference-docs.cerebras.ai/api-reference/chat-completions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic_core import to_json

from langchain_cerebras_inference import _model_catalog
from langchain_cerebras_inference._conversion import content, tool_arguments, tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_cerebras_inference import _types

_ROLES: Mapping[str, _types.Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
"""Roles of `ChatMessage`, and those of Cerebras."""

_REASONING_KEYS = ("reasoning", "thinking", "reasoning_content", "text", "summary", "content")
"""Keys under which a reasoning block may have its text, or a list of parts with text."""


def convert_messages(
    messages: Sequence[BaseMessage],
    *,
    model: str,
    replay_reasoning: bool = True,
    order_tool_messages: bool = True,
) -> list[_types.Message]:
    """Convert messages to those of a request.

    Args:
        messages: The conversation; it is not changed.
        model: The id of the model, which decides about roles and the place of reasoning.
        replay_reasoning: Whether earlier reasoning is sent.
        order_tool_messages: Whether to move tool messages behind the calls they answer,
            and to reject calls and tool messages that do not belong together.

    Raises:
        ValueError: If a message cannot be sent to Cerebras; the error names its index.
    """
    converted: list[_types.Message] = []
    has_tools = False
    for index, message in enumerate(messages):
        try:
            result = _convert_message(message, model, replay_reasoning=replay_reasoning)
        except ValueError as error:
            raise ValueError(f"messages[{index}] ({message.type}): {error}") from None
        has_tools = has_tools or result["role"] == "tool" or "tool_calls" in result
        converted.append(result)
    if has_tools and order_tool_messages:
        return _order_tool_messages(converted, messages)
    return converted


def extract_reasoning(message: AIMessage) -> str:
    """Return the reasoning in a message, wherever the provider's class has put it."""
    extra = message.additional_kwargs
    reasoning = extra.get("reasoning_content") or extra.get("reasoning")
    if isinstance(reasoning, (str, dict)):
        return _join_reasoning(reasoning)
    if isinstance(message.content, str):
        return ""
    return "".join(
        _join_reasoning(block)
        for block in message.content
        if isinstance(block, dict) and block.get("type") in content.REASONING_TYPES
    )


def _convert_message(
    message: BaseMessage, model: str, *, replay_reasoning: bool
) -> _types.Message:
    if isinstance(message, AIMessage):
        return _convert_assistant_message(message, model, replay_reasoning=replay_reasoning)
    if isinstance(message, ToolMessage):
        return {
            "role": "tool",
            "content": content.join_text(message.content),
            "tool_call_id": message.tool_call_id,
        }
    if isinstance(message, HumanMessage):
        role: _types.Role = "user"
    else:
        role = _get_role(message, model)
    convert = content.convert_user_content if role == "user" else content.join_text
    converted: _types.Message = {"role": role, "content": convert(message.content)}
    if message.name:
        converted["name"] = message.name
    return converted


def _get_role(message: BaseMessage, model: str) -> _types.Role:
    if isinstance(message, SystemMessage):
        # langchain-openai marks developer messages like this.
        is_developer = message.additional_kwargs.get("__openai_role__") == "developer"
        role: _types.Role = "developer" if is_developer else "system"
    elif isinstance(message, ChatMessage) and message.role in _ROLES:
        role = _ROLES[message.role]
    else:
        raise ValueError(
            "Cerebras does not have this role; use system, user, assistant or tool messages."
        )
    if role == "developer" and not _model_catalog.has_developer_role(model):
        return "system"
    return role


def _convert_assistant_message(
    message: AIMessage, model: str, *, replay_reasoning: bool
) -> _types.Message:
    text = content.join_assistant_text(message.content)
    reasoning = extract_reasoning(message) if replay_reasoning else ""
    tool_calls = _convert_tool_calls(message)
    converted: _types.Message = {"role": "assistant"}
    if reasoning and _model_catalog.get_replay_style(model) == "think":
        text = f"<think>{reasoning}</think>{text}"
    elif reasoning:
        converted["reasoning"] = reasoning
    if text or not (tool_calls or reasoning):
        converted["content"] = text
    if tool_calls:
        converted["tool_calls"] = tool_calls
    if message.name:
        converted["name"] = message.name
    return converted


def _join_reasoning(value: Any) -> str:
    """Join the text of a reasoning block, of a part of one, or of a list of parts."""
    if isinstance(value, list):
        return "".join(map(_join_reasoning, value))
    if isinstance(value, dict):
        keys = (key for key in _REASONING_KEYS if value.get(key))
        return next((_join_reasoning(value[key]) for key in keys), "")
    return value if isinstance(value, str) else ""


def _convert_tool_calls(message: AIMessage) -> list[_types.ToolCall]:
    """Convert the valid tool calls, and behind them the invalid ones that have a name."""
    converted = []
    for call in message.tool_calls:
        arguments = to_json(call["args"], inf_nan_mode="null").decode()
        converted.append(_convert_tool_call(call, arguments))
    for invalid_call in message.invalid_tool_calls:
        if invalid_call.get("name"):
            arguments = tool_arguments.remove_truncation_marker(invalid_call.get("args") or "")
            converted.append(_convert_tool_call(invalid_call, arguments))
    return converted


def _convert_tool_call(call: Mapping[str, Any], arguments: str) -> _types.ToolCall:
    name = tools.map_name(call.get("name") or "")
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": name, "arguments": arguments or "{}"},
    }


# --- order of tool messages --------------------------------------------------------------


def _order_tool_messages(
    converted: list[_types.Message], messages: Sequence[BaseMessage]
) -> list[_types.Message]:
    """Move each tool message directly behind the call it answers, in the calls' order.

    Args:
        converted: The messages of a request; those with tool calls are changed.
        messages: The messages from which they were converted.

    Raises:
        ValueError: If a call has no tool message, or a tool message has no call.
    """
    ordered: list[_types.Message] = []
    used_ids: set[str] = set()
    remaining = list(enumerate(converted))
    while remaining:
        index, message = remaining.pop(0)
        if message["role"] == "tool":
            raise ValueError(
                f"messages[{index}] (tool): no earlier message has an unanswered tool call"
                f" with the id {message['tool_call_id']!r}; remove this message, or restore"
                " the call."
            )
        ordered.append(message)
        if "tool_calls" in message:
            pairs = _pair_calls_with_results(message, messages[index], index, remaining)
            _make_ids_unique(pairs, used_ids)
            ordered += [result for _, result in pairs]
    return ordered


def _pair_calls_with_results(
    message: _types.Message,
    original: BaseMessage,
    index: int,
    remaining: list[tuple[int, _types.Message]],
) -> list[tuple[_types.ToolCall, _types.Message]]:
    """Take the results of a message's calls out of the remaining messages.

    Invalid calls without a result are removed from the message; valid ones are an error.
    """
    pairs = []
    valid_calls = len(original.tool_calls) if isinstance(original, AIMessage) else 0
    for position, call in enumerate(message.pop("tool_calls")):
        result = _take_result(call["id"], remaining)
        if result is not None:
            pairs.append((call, result))
        elif position < valid_calls:
            raise ValueError(
                f"messages[{index}] (ai): no tool message answers the call of"
                f" {call['function']['name']!r} (id {call['id']!r}) before the next tool"
                " calls; add one."
            )
    if pairs:
        message["tool_calls"] = [call for call, _ in pairs]
    elif "reasoning" not in message:
        message.setdefault("content", "")
    return pairs


def _take_result(
    call_id: str, remaining: list[tuple[int, _types.Message]]
) -> _types.Message | None:
    """Remove and return the tool message with this id that precedes the next tool calls."""
    for position, (_, message) in enumerate(remaining):
        if "tool_calls" in message:
            break
        if message["role"] == "tool" and message["tool_call_id"] == call_id:
            del remaining[position]
            return message
    return None


def _make_ids_unique(
    pairs: list[tuple[_types.ToolCall, _types.Message]], used_ids: set[str]
) -> None:
    """Replace missing and repeated ids of calls, and those of their results with them."""
    for call, result in pairs:
        original_id = call["id"] or "call"
        unique_id, number = original_id, 1
        while unique_id in used_ids:
            number += 1
            unique_id = f"{original_id}_{number}"
        used_ids.add(unique_id)
        call["id"] = result["tool_call_id"] = unique_id
