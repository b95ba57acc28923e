"""What Cerebras refuses although its form is right: what does not go together."""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_cerebras_inference.emulator.catalogue import CONTEXT_TOKENS, Model, find_model
from langchain_cerebras_inference.emulator.refusals import Refuse, RequestError, bad_request
from langchain_cerebras_inference.emulator.schemas import strict_fault
from langchain_cerebras_inference.emulator.tokens import prompt_tokens
from langchain_cerebras_inference.emulator.wire import REQUEST

Json = dict[str, Any]

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGE_KINDS = ("data:image/png;base64", "data:image/jpeg;base64")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_request(body: Any) -> Model:
    """The model that shall answer `body`.

    Raises:
        RequestError: with the answer Cerebras would give instead.
    """
    REQUEST("body", body)
    model = find_model(body["model"])
    _check_roles(body, model)
    _check_tool_order(body["messages"])
    _check_images(body["messages"], model)
    _check_tools(body)
    _check_tool_choice(body)
    _check_response_format(body, model)
    _check_reasoning(body, model)
    _check_prediction(body, model)
    _check_length(body)
    return model


def _check_roles(body: Json, model: Model) -> None:
    roles = {message["role"] for message in body["messages"]}
    if "developer" in roles and not model.takes_developer:
        raise bad_request(f"role 'developer' is not supported for {model.id}", "messages")


def _check_tool_order(messages: Sequence[Json]) -> None:
    """Every call is answered at once, in the messages after it, and only once."""
    seen: set[str] = set()
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if answered not in waiting:
                raise _out_of_order(f"no tool call {answered!r} waits for an answer")
            waiting.remove(answered)
            continue
        _check_answered(waiting)
        for call in message.get("tool_calls") or ():
            if call["id"] in seen:
                raise _out_of_order(f"duplicate tool call id {call['id']!r}")
            seen.add(call["id"])
            waiting.add(call["id"])
    _check_answered(waiting)


def _check_answered(waiting: set[str]) -> None:
    if waiting:
        raise _out_of_order(
            "an assistant message with 'tool_calls' must be followed by tool messages "
            f"for each 'tool_call_id'; missing: {', '.join(sorted(waiting))}"
        )


def _out_of_order(message: str) -> RequestError:
    return bad_request(message, "messages")


def _check_images(messages: Sequence[Json], model: Model) -> None:
    images = list(_images(messages))
    if images and not model.sees_images:
        message = "Multimodal is not enabled for your organization and model"
        kind, code = "invalid_request_error", "multimodal_not_enabled"
        raise RequestError(Refuse(403, code, message, kind, "model"))
    if len(images) > MAX_IMAGES:
        message = "Number of image inputs exceeds maximum"
        raise RequestError(Refuse(413, "image_too_large", message))
    if sum(map(len, map(_decoded, images))) > MAX_IMAGE_BYTES:
        raise RequestError(Refuse(413, "image_too_large"))


def _images(messages: Sequence[Json]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "image_url":
                yield part["image_url"]["url"]


def _decoded(url: str) -> bytes:
    if url.startswith(("http:", "https:")):
        raise bad_request("HTTPS image URLs are not supported", "messages")
    kind, _, data = url.partition(",")
    with contextlib.suppress(binascii.Error):
        if kind in _IMAGE_KINDS:
            return base64.b64decode(data, validate=True)
    raise bad_request("Invalid image_url: expected base64 data URI", "messages")


def _check_tools(body: Json) -> None:
    functions = [tool["function"] for tool in body.get("tools") or ()]
    if len({bool(function.get("strict")) for function in functions}) > 1:
        raise bad_request(
            "Tools with mixed values for 'strict' are not allowed. "
            "Please set all tools to 'strict: true' or 'strict: false'",
            "tools",
        )
    for function in functions:
        if not _TOOL_NAME.fullmatch(function["name"]):
            message = f"{function['name']!r} does not match {_TOOL_NAME.pattern}"
            raise bad_request(message, "tools")
        if function.get("strict"):
            _check_strict(function.get("parameters"), "tools")


def _check_strict(schema: Any, param: str) -> None:
    if fault := strict_fault(schema):
        raise bad_request(fault, param)


def _check_tool_choice(body: Json) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        message = "'tool_choice' is only allowed when 'tools' are specified"
        raise bad_request(message, "tools")
    if isinstance(choice, str):
        is_known = choice in ("none", "auto", "required")
    else:
        names = [tool["function"]["name"] for tool in body["tools"]]
        is_known = choice["function"]["name"] in names
    if not is_known:
        raise bad_request(f"invalid 'tool_choice': {choice!r}", "tool_choice")


def _check_response_format(body: Json, model: Model) -> None:
    if _format(body) == "text":
        return
    if body.get("tools") and not model.takes_tools_with_format:
        message = '"tools" is incompatible with "response_format"'
        raise bad_request(message, "response_format")
    wanted = body["response_format"].get("json_schema") or {}
    if wanted.get("strict"):
        _check_strict(wanted["schema"], "response_format")


def _format(body: Json) -> Any:
    return (body.get("response_format") or {}).get("type", "text")


def _check_reasoning(body: Json, model: Model) -> None:
    allowed = {
        "reasoning_effort": model.efforts,
        "reasoning_format": model.reasoning_formats,
    }
    for name, values in allowed.items():
        if body.get(name) is not None and body[name] not in values:
            message = f"{name} {body[name]!r} is not supported for model {model.id}"
            raise bad_request(message, name)
    if body.get("reasoning_format") == "raw" and _format(body) != "text":
        message = '"raw" is incompatible with "response_format"'
        raise bad_request(message, "reasoning_format")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise bad_request("'top_logprobs' requires 'logprobs' to be true")


def _check_prediction(body: Json, model: Model) -> None:
    if body.get("prediction") is None:
        return
    if not model.takes_prediction:
        raise bad_request('"prediction" is not currently supported', "prediction")
    if body.get("tools") or body.get("logprobs") or (body.get("n") or 1) > 1:
        message = '"prediction" is incompatible with "tools", "logprobs" and "n"'
        raise bad_request(message, "prediction")


def _check_length(body: Json) -> None:
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    current = prompt_tokens(body) + max(0, wanted)
    if current > CONTEXT_TOKENS:
        message = (
            "Please reduce the length of the messages or completion. "
            f"Current length is {current} while limit is {CONTEXT_TOKENS}"
        )
        raise RequestError(Refuse(400, code="context_length_exceeded", message=message))
