"""Checks of a chat request that concern several fields, or that differ by model."""

import base64
import contextlib
import re
from collections.abc import Sequence

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError, bad_request
from langchain_cerebras_inference.emulator.models import MAX_CONTEXT_TOKENS, Model, find_model
from langchain_cerebras_inference.emulator.request_schema import (
    AssistantMessage,
    ChatRequest,
    JSONSchemaFormat,
    Message,
    NamedToolChoice,
    TextFormat,
    ToolMessage,
    parse_chat_request,
)
from langchain_cerebras_inference.emulator.strict_schema import find_strict_schema_error
from langchain_cerebras_inference.emulator.tokens import count_prompt_tokens, list_images

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGE_PREFIXES = ("data:image/png;base64", "data:image/jpeg;base64")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_request(body: object) -> tuple[ChatRequest, Model]:
    """Parse a request body, and check all of it.

    Raises:
        RequestError: If Cerebras would reject it.
    """
    request = parse_chat_request(body)
    model = find_model(request.model)
    _check_roles(request, model)
    _check_tool_messages(request.messages)
    _check_images(request, model)
    _check_tools(request)
    _check_tool_choice(request)
    _check_response_format(request, model)
    _check_reasoning(request, model)
    _check_logprobs(request)
    _check_prediction(request, model)
    _check_context_length(request)
    return request, model


def _check_roles(request: ChatRequest, model: Model) -> None:
    roles = {message.role for message in request.messages}
    if "developer" in roles and not model.accepts_developer_role:
        raise bad_request(f"role 'developer' is not supported for {model.id}", "messages")


def _check_tool_messages(messages: Sequence[Message]) -> None:
    """Check that each tool call has one tool message, right after its assistant message."""
    call_ids: set[str] = set()
    open_call_ids: set[str] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_call_ids:
                text = (
                    f"there is no tool call {message.tool_call_id!r} that still needs a result "
                    "before this tool message"
                )
                raise bad_request(text, "messages")
            open_call_ids.remove(message.tool_call_id)
            continue
        _check_no_open_calls(open_call_ids)
        if isinstance(message, AssistantMessage):
            for call in message.tool_calls or ():
                if call.id in call_ids:
                    raise bad_request(f"duplicate tool call id {call.id!r}", "messages")
                call_ids.add(call.id)
                open_call_ids.add(call.id)
    _check_no_open_calls(open_call_ids)


def _check_no_open_calls(open_call_ids: set[str]) -> None:
    if open_call_ids:
        raise bad_request(
            "an assistant message with 'tool_calls' must be followed by tool messages "
            f"for each 'tool_call_id'; missing: {', '.join(sorted(open_call_ids))}",
            "messages",
        )


def _check_images(request: ChatRequest, model: Model) -> None:
    urls = list_images(request)
    if urls and not model.accepts_images:
        message = "Multimodal is not enabled for your organization and model"
        code = "multimodal_not_enabled"
        raise RequestError(Refuse(403, code, message, "invalid_request_error", "model"))
    if len(urls) > MAX_IMAGES:
        message = "Number of image inputs exceeds maximum"
        raise RequestError(Refuse(413, "image_too_large", message))
    if sum(len(_decode_image(url)) for url in urls) > MAX_IMAGE_BYTES:
        raise RequestError(Refuse(413, "image_too_large"))


def _decode_image(url: str) -> bytes:
    if url.startswith(("http:", "https:")):
        raise bad_request("HTTPS image URLs are not supported", "messages")
    prefix, _, data = url.partition(",")
    with contextlib.suppress(ValueError):
        if prefix in _IMAGE_PREFIXES:
            return base64.b64decode(data, validate=True)
    raise bad_request("Invalid image_url: expected base64 data URI", "messages")


def _check_tools(request: ChatRequest) -> None:
    if len({bool(function.strict) for function in request.functions}) > 1:
        raise bad_request(
            "Tools with mixed values for 'strict' are not allowed. "
            "Please set all tools to 'strict: true' or 'strict: false'",
            "tools",
        )
    for function in request.functions:
        if not _TOOL_NAME.fullmatch(function.name):
            message = f"{function.name!r} does not match {_TOOL_NAME.pattern}"
            raise bad_request(message, "tools")
        if function.strict:
            _check_strict_schema(function.parameters, "tools")


def _check_strict_schema(schema: object, param: str) -> None:
    if error := find_strict_schema_error(schema):
        raise bad_request(error, param)


def _check_tool_choice(request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice is not None and not request.tools:
        message = "'tool_choice' is only allowed when 'tools' are specified"
        raise bad_request(message, "tools")
    if isinstance(choice, NamedToolChoice):
        name = choice.function.name
        if name not in {function.name for function in request.functions}:
            raise bad_request(f"'tool_choice' names an unknown tool: {name!r}", "tool_choice")


def _has_text_format(request: ChatRequest) -> bool:
    return request.response_format is None or isinstance(request.response_format, TextFormat)


def _check_response_format(request: ChatRequest, model: Model) -> None:
    if _has_text_format(request):
        return
    if request.tools and not model.accepts_tools_with_response_format:
        message = '"tools" is incompatible with "response_format"'
        raise bad_request(message, "response_format")
    if isinstance(request.response_format, JSONSchemaFormat):
        schema = request.response_format.json_schema
        if schema.strict:
            _check_strict_schema(schema.json_schema, "response_format")


def _check_reasoning(request: ChatRequest, model: Model) -> None:
    fields = (
        ("reasoning_effort", request.reasoning_effort, model.reasoning_efforts),
        ("reasoning_format", request.reasoning_format, model.reasoning_formats),
    )
    for name, value, supported in fields:
        if value is not None and value not in supported:
            message = f"{name} {value!r} is not supported for model {model.id}"
            raise bad_request(message, name)
    if request.reasoning_format == "raw" and not _has_text_format(request):
        message = '"raw" is incompatible with "response_format"'
        raise bad_request(message, "reasoning_format")


def _check_logprobs(request: ChatRequest) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise bad_request("'top_logprobs' requires 'logprobs' to be true")


def _check_prediction(request: ChatRequest, model: Model) -> None:
    if request.prediction is None:
        return
    if not model.accepts_prediction:
        raise bad_request('"prediction" is not currently supported', "prediction")
    if request.tools or request.logprobs or request.choice_count > 1:
        message = '"prediction" is incompatible with "tools", "logprobs" and "n"'
        raise bad_request(message, "prediction")


def _check_context_length(request: ChatRequest) -> None:
    length = count_prompt_tokens(request) + (request.completion_token_limit or 0)
    if length > MAX_CONTEXT_TOKENS:
        message = (
            "Please reduce the length of the messages or completion. "
            f"Current length is {length} while limit is {MAX_CONTEXT_TOKENS}"
        )
        raise RequestError(Refuse(400, code="context_length_exceeded", message=message))
