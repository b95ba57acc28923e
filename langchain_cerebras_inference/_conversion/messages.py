"""Convert LangChain messages to the messages of a request.

Cerebras rejects a request that contains even one unknown field. It requires tool messages
directly after the calls that they answer. The field for earlier reasoning is `reasoning`, never
`reasoning_content`. The messages may also have been created by classes of other providers.
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

from langchain_cerebras_inference import _model_catalog, _surrogates
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
"""Maps roles of `ChatMessage` to roles of Cerebras."""

_REASONING_KEYS = ("reasoning", "thinking", "reasoning_content", "text", "summary", "content")
"""Keys of a reasoning block whose value may be its text, or a list of parts with text."""


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
        model: The id of the model. Roles and the field for reasoning depend on it.
        replay_reasoning: Whether to send earlier reasoning.
        order_tool_messages: Whether to move tool messages directly after the calls that
            they answer, and to reject calls and tool messages without a counterpart.

    Raises:
        ValueError: If a message cannot be sent to Cerebras; the error names its index.
    """
    converted: list[_types.Message] = []
    has_tool_calls = False
    for index, message in enumerate(messages):
        try:
            item = _convert_message(message, model, replay_reasoning=replay_reasoning)
        except ValueError as error:
            raise ValueError(f"messages[{index}] ({message.type}): {error}") from None
        if item["role"] == "tool" or "tool_calls" in item:
            has_tool_calls = True
        converted.append(item)
    if has_tool_calls and order_tool_messages:
        return _order_tool_messages(converted, messages)
    return converted


def extract_reasoning(message: AIMessage) -> str:
    """Return the reasoning in a message, in whichever field the provider's class stored it."""
    fields = message.additional_kwargs
    reasoning = fields.get("reasoning_content") or fields.get("reasoning")
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
        unknown_role = getattr(message, "role", message.type)
        raise ValueError(
            f"Cerebras does not have the role {unknown_role!r}. Use system, user, assistant or"
            " tool messages."
        )
    if role == "developer" and not _model_catalog.accepts_developer_role(model):
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
    """Convert the valid tool calls, and after them the invalid ones that have a name."""
    converted = []
    for call in message.tool_calls:
        arguments = _surrogates.encode_json(call["args"], inf_nan_mode="null").decode()
        converted.append(_convert_tool_call(call, arguments))
    for invalid_call in message.invalid_tool_calls:
        if invalid_call.get("name"):
            arguments = tool_arguments.remove_truncation_marker(invalid_call.get("args") or "")
            converted.append(_convert_tool_call(invalid_call, arguments))
    return converted


def _convert_tool_call(call: Mapping[str, Any], arguments: str) -> _types.ToolCall:
    name = tools.to_accepted_name(call.get("name") or "")
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": name, "arguments": arguments or "{}"},
    }


# --- order of tool messages --------------------------------------------------------------


def _order_tool_messages(
    converted: list[_types.Message], messages: Sequence[BaseMessage]
) -> list[_types.Message]:
    """Move each tool message directly after the call it answers, in the order of the calls.

    Args:
        converted: The messages of a request. Assistant messages with tool calls and tool
            messages are changed: ids become unique, and invalid calls without a tool message
            are removed.
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
                f"messages[{index}] (tool): No earlier message has an unanswered tool call"
                f" with the id {message['tool_call_id']!r}. Remove this message, or restore"
                " the call."
            )
        ordered.append(message)
        if "tool_calls" in message:
            pairs = _pair_calls_with_tool_messages(message, messages[index], index, remaining)
            _make_ids_unique(pairs, used_ids)
            ordered += [tool_message for _, tool_message in pairs]
    return ordered


def _pair_calls_with_tool_messages(
    message: _types.Message,
    original: BaseMessage,
    index: int,
    remaining: list[tuple[int, _types.Message]],
) -> list[tuple[_types.ToolCall, _types.Message]]:
    """Remove from `remaining` the tool messages for the calls of `message`.

    If a valid call has no tool message, raise an error. If an invalid call has none, remove it
    from `message`.

    Returns:
        Each remaining call of `message` with its tool message.
    """
    pairs = []
    # `_convert_tool_calls` puts the valid calls before the invalid ones.
    valid_count = len(original.tool_calls) if isinstance(original, AIMessage) else 0
    for position, call in enumerate(message.pop("tool_calls")):
        tool_message = _take_tool_message(call["id"], remaining)
        if tool_message is not None:
            pairs.append((call, tool_message))
        elif position < valid_count:
            raise ValueError(
                f"messages[{index}] (ai): No tool message answers the call of"
                f" {call['function']['name']!r} (id {call['id']!r}) before the next tool"
                " calls. Add one."
            )
    if pairs:
        message["tool_calls"] = [call for call, _ in pairs]
    elif "reasoning" not in message:
        message.setdefault("content", "")
    return pairs


def _take_tool_message(
    call_id: str, remaining: list[tuple[int, _types.Message]]
) -> _types.Message | None:
    """Remove and return the tool message with this id, if it precedes the next tool calls."""
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
    """Give each call a unique id, and use it in its tool message, too."""
    for call, tool_message in pairs:
        original_id = call["id"] or "call"
        unique_id, number = original_id, 1
        while unique_id in used_ids:
            number += 1
            unique_id = f"{original_id}_{number}"
        used_ids.add(unique_id)
        call["id"] = tool_message["tool_call_id"] = unique_id
