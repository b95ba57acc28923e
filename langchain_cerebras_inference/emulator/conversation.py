"""What Cerebras refuses in a conversation."""

import base64
import binascii
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_cerebras_inference.emulator.catalogue import Model
from langchain_cerebras_inference.emulator.refusals import (
    Refuse,
    Refused,
    bad_request,
    check_known,
)

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGE_KINDS = ("data:image/png;base64", "data:image/jpeg;base64")

_PLAIN = {"role", "content", "name"}
_PROPERTIES = {
    "system": _PLAIN,
    "developer": _PLAIN,
    "user": _PLAIN,
    "assistant": _PLAIN | {"reasoning", "tool_calls"},
    "tool": _PLAIN | {"tool_call_id"},
}


def check_messages(messages: Any, model: Model) -> None:
    """Refuse a conversation Cerebras would not continue.

    Raises:
        Refused: for the first fault.
    """
    if not isinstance(messages, list) or not messages:
        raise _refused("'messages' must be a list with at least one message")
    for index, message in enumerate(messages):
        _check_message(index, message, model)
    _check_images(messages, model)
    _check_tool_order(messages)


def _check_message(index: int, message: Any, model: Model) -> None:
    role = message.get("role") if isinstance(message, Mapping) else None
    is_unknown = not isinstance(role, str) or role not in _PROPERTIES
    if is_unknown or (role == "developer" and not model.takes_developer):
        raise _refused(f"messages.{index}: invalid role {role!r}")
    path = f"messages.{index}.{role}"
    check_known(message, _PROPERTIES[str(role)], path)
    _check_content(message, path)
    if role == "assistant":
        _check_assistant(message, path)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise _refused(f"'{path}.tool_call_id' is required")


def _check_content(message: Mapping[str, Any], path: str) -> None:
    content = message.get("content")
    if content is None and message["role"] == "assistant":
        return
    if not isinstance(content, str | list):
        raise _refused(f"'{path}.content' must be a string or a list of parts")
    for part in content if isinstance(content, list) else ():
        _check_part(part, message["role"], path)


def _check_part(part: Any, role: str, path: str) -> None:
    match part:
        case {"type": "text", "text": str()}:
            check_known(part, {"type", "text"}, f"{path}.content")
        case {"type": "image_url", "image_url": {"url": str()} as image}:
            if role != "user":
                message = "image_url content parts are only supported on user messages"
                raise _refused(message)
            check_known(part, {"type", "image_url"}, f"{path}.content")
            check_known(image, {"url"}, f"{path}.content.image_url")
        case _:
            raise _refused(f"'{path}.content' has an invalid part")


def _check_assistant(message: Mapping[str, Any], path: str) -> None:
    if not isinstance(message.get("reasoning"), str | list | None):
        raise _refused(f"'{path}.reasoning' must be a string")
    calls = message.get("tool_calls")
    if calls is not None and (not isinstance(calls, list) or not calls):
        raise _refused(f"'{path}.tool_calls' must be a list with at least one call")
    for call in calls or ():
        _check_call(call, f"{path}.tool_calls")


def _check_call(call: Any, path: str) -> None:
    match call:
        case {
            "id": str(),
            "type": "function",
            "function": {"name": str(), "arguments": str()} as function,
        }:
            check_known(call, {"id", "type", "function", "index"}, path)
            check_known(function, {"name", "arguments"}, f"{path}.function")
        case _:
            raise _refused(f"'{path}' has an invalid call")


def _check_tool_order(messages: Sequence[Mapping[str, Any]]) -> None:
    """Every call is answered at once, in the messages after it, and only once."""
    seen: set[str] = set()
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if answered not in waiting:
                raise _refused(f"no tool call {answered!r} is waiting for this message")
            waiting.remove(answered)
            continue
        _check_answered(waiting)
        for call in message.get("tool_calls") or ():
            if call["id"] in seen:
                raise _refused(f"duplicate tool call id {call['id']!r}")
            seen.add(call["id"])
            waiting.add(call["id"])
    _check_answered(waiting)


def _check_answered(waiting: set[str]) -> None:
    if waiting:
        missing = ", ".join(sorted(waiting))
        raise _refused(
            "an assistant message with 'tool_calls' must be followed by tool messages "
            f"for each 'tool_call_id'; missing: {missing}"
        )


def _check_images(messages: Sequence[Mapping[str, Any]], model: Model) -> None:
    images = list(_images(messages))
    if images and not model.sees_images:
        raise Refused(_MULTIMODAL)
    if len(images) > MAX_IMAGES:
        raise Refused(_too_large("Number of image inputs exceeds maximum"))
    if sum(map(len, map(_decoded, images))) > MAX_IMAGE_BYTES:
        raise Refused(_too_large("Total request size exceeds maximum"))


def _images(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                yield part["image_url"]["url"]


def _decoded(url: str) -> bytes:
    if url.startswith(("http:", "https:")):
        message = "HTTPS image URLs are not supported; send a base64 data URI"
        raise _refused(message)
    kind, _, data = url.partition(",")
    with contextlib.suppress(binascii.Error):
        if kind in _IMAGE_KINDS:
            return base64.b64decode(data, validate=True)
    raise _refused("Invalid image_url: expected base64 data URI")


def _too_large(message: str) -> Refuse:
    return Refuse(413, code="image_too_large", message=message)


_MULTIMODAL = Refuse(
    403,
    code="multimodal_not_enabled",
    type="invalid_request_error",
    param="model",
    message="Multimodal is not enabled for your organization and model",
)


def _refused(message: str) -> Refused:
    return bad_request(message, "messages")
