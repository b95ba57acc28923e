"""Messages → wire.

Cerebras refuses a whole request for one property it does not know, wants each tool call
answered directly after it, and takes earlier reasoning as `reasoning`, never as
`reasoning_content`. Histories come from other providers' classes too.
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
from langchain_cerebras_inference._conversion import content, order, tool_arguments, tools

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
_SAID = ("reasoning", "thinking", "reasoning_content", "text", "summary", "content")
"""Where a thought has its words, or the parts that have them."""


def to_wire(
    messages: Sequence[BaseMessage],
    *,
    model: str,
    replay_reasoning: bool = True,
    ordered: bool = True,
) -> list[_types.Message]:
    """Make the messages of a request.

    Args:
        messages: The history; it is not changed.
        model: The resolved id, which decides roles and where reasoning goes.
        replay_reasoning: Whether earlier reasoning goes back at all.
        ordered: Whether tool messages must be, and are put, where they belong.

    Raises:
        ValueError: If a message cannot be said to Cerebras; it is named by its place.
    """
    wire = []
    for place, message in enumerate(messages):
        try:
            wire.append(_to_wire_message(message, model, replay_reasoning=replay_reasoning))
        except ValueError as error:
            msg = f"messages[{place}] ({message.type}): {error}"
            raise ValueError(msg) from None
    return order.in_tool_order(wire, messages) if ordered else wire


def _to_wire_message(
    message: BaseMessage, model: str, *, replay_reasoning: bool
) -> _types.Message:
    if isinstance(message, AIMessage):
        return _to_wire_assistant(message, model, replay_reasoning=replay_reasoning)
    if isinstance(message, ToolMessage):
        return {
            "role": "tool",
            "content": content.to_text(message.content),
            "tool_call_id": message.tool_call_id,
        }
    return _to_wire_prompt(message, model)


def _to_wire_prompt(message: BaseMessage, model: str) -> _types.Message:
    role = _role_of(message)
    if role == "developer" and not _model_catalog.has_developer_role(model):
        role = "system"
    convert = content.to_parts if role == "user" else content.to_text
    wire: _types.Message = {"role": role, "content": convert(message.content)}
    if message.name:
        wire["name"] = message.name
    return wire


def _role_of(message: BaseMessage) -> _types.Role:
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, SystemMessage):
        is_developer = message.additional_kwargs.get("__openai_role__") == "developer"
        return "developer" if is_developer else "system"
    role = _ROLES.get(message.role) if isinstance(message, ChatMessage) else None
    if role is None:
        msg = "Cerebras knows no such role; use system, user, assistant or tool messages."
        raise ValueError(msg)
    return role


# --- assistant ---------------------------------------------------------------------------


def _to_wire_assistant(
    message: AIMessage, model: str, *, replay_reasoning: bool
) -> _types.Message:
    text = content.to_speech(message.content)
    thoughts = reasoning_of(message) if replay_reasoning else ""
    calls = _to_wire_calls(message)
    wire: _types.Message = {"role": "assistant"}
    if thoughts and _model_catalog.get_replay_style(model) == "think":
        text = f"<think>{thoughts}</think>{text}"
    elif thoughts:
        wire["reasoning"] = thoughts
    if text or not (calls or thoughts):
        wire["content"] = text
    if calls:
        wire["tool_calls"] = calls
    if message.name:
        wire["name"] = message.name
    return wire


def reasoning_of(message: AIMessage) -> str:
    """What the model thought, from wherever the class that made the message put it."""
    kept = message.additional_kwargs
    said = kept.get("reasoning_content") or kept.get("reasoning")
    if isinstance(said, (str, dict)):
        return _thought(said)
    if isinstance(message.content, str):
        return ""
    return "".join(
        _thought(block)
        for block in message.content
        if isinstance(block, dict) and block.get("type") in content.THOUGHTS
    )


def _thought(said: Any) -> str:
    if isinstance(said, list):
        return "".join(map(_thought, said))
    if isinstance(said, dict):
        return next((_thought(said[key]) for key in _SAID if said.get(key)), "")
    return said if isinstance(said, str) else ""


def _to_wire_calls(message: AIMessage) -> list[_types.ToolCall]:
    valid = [
        _call(each, to_json(each["args"], inf_nan_mode="null").decode())
        for each in message.tool_calls
    ]
    invalid = [
        _call(each, tool_arguments.remove_invalid_suffix(each.get("args") or ""))
        for each in message.invalid_tool_calls
        if each.get("name")
    ]
    return valid + invalid


def _call(call: Mapping[str, Any], encoded: str) -> _types.ToolCall:
    name = tools.to_wire_name(call.get("name") or "")
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": name, "arguments": encoded or "{}"},
    }
