"""Build the body of a request from settings, call options and messages.

Cerebras rejects a request that contains even one unknown field. The body therefore has only
fields of `_types.RequestBody`, always in that order, and those that `extra_body` adds. Equal
calls give equal bytes, which the prompt cache needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_cerebras_inference import _model_catalog, _types
from langchain_cerebras_inference._conversion import response_format, tools
from langchain_cerebras_inference._conversion.messages import convert_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

_RENAMED_SETTINGS = {"model": "model_name", "max_completion_tokens": "max_tokens"}
"""Maps request fields to their settings, where the setting has another name."""

FIELD_SOURCES: Mapping[str, str] = {
    field: _RENAMED_SETTINGS.get(field, field)
    for field in _types.RequestBody.__annotations__
    if field not in ("messages", "stream")
}
"""Maps the fields of a request body to the names of their settings or call options."""

_PARAMETERS = (*FIELD_SOURCES.values(), "extra_body", "replay_reasoning")
"""Names of everything that determines a completion, except the messages."""

_MAX_STOP_SEQUENCES = 4
_PLAIN_TEXT = {"type": "text"}


class Request(NamedTuple):
    """The body of a request, and how the client should send it.

    Some fields are also in `_client.Call`. This class exists because the conversion must not
    import the client.

    Attributes:
        body: The body, ready to be encoded as JSON.
        tool_names: Maps tool names in the body to the original names.
        timeout: Seconds without progress after which the call fails.
        max_retries: The maximum number of retries after errors.
        coalesce: Whether to merge adjacent text or reasoning that has arrived together into one
            chunk. No chunk is delayed for this.
    """

    body: _types.RequestBody
    tool_names: tools.ToolNames
    timeout: float
    max_retries: int
    coalesce: bool


def build_request(
    settings: Mapping[str, Any],
    messages: Sequence[BaseMessage],
    options: Mapping[str, Any],
    *,
    stream: bool,
) -> Request:
    """Build the request of one call.

    Args:
        settings: The fields of the model, by field name.
        messages: The conversation.
        options: Call options, as `_settings.validate_options` returns them. They override
            the settings.
        stream: Whether the response is streamed.

    Raises:
        ValueError: If there are no messages, two values cannot be combined, or a message or
            value cannot be sent to Cerebras.
    """
    if not messages:
        raise ValueError("There are no messages. Pass at least one.")
    values = _merge_values(settings, options)
    if stream and (values["n"] or 1) > 1:
        raise ValueError("Streaming supports only one completion. Use generate, or set n=1.")
    tool_names: tools.ToolNames = {}
    if values["tools"]:
        values["tools"], tool_names = tools.build_request_tools(values["tools"])
        values["tool_choice"] = tools.build_request_tool_choice(values["tool_choice"])
    body: dict[str, Any] = {
        "model": values["model_name"],
        "messages": convert_messages(
            messages,
            model=values["model_name"],
            accepts_images=_model_catalog.accepts_images(
                values["model_name"], settings.get("profile")
            ),
            replay_reasoning=values["replay_reasoning"],
        ),
    }
    if stream:
        body["stream"] = True
    for field, source in FIELD_SOURCES.items():
        if values[source] is not None:
            body[field] = values[source]
    if values["extra_body"]:
        body = _merge_deeply(body, values["extra_body"])
    return Request(
        cast("_types.RequestBody", body),
        tool_names,
        values["timeout"],
        values["max_retries"],
        values["coalesce"],
    )


def build_parameters(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that determines a completion, except the messages.

    Settings and call options with the same effect give the same parameters.

    Raises:
        ValueError: If two values cannot be combined, or one cannot be sent to Cerebras.
    """
    values = _merge_values(settings, options)
    return {name: values[name] for name in _PARAMETERS if values[name] is not None}


def reject_tools_with_format(bound_tools: Sequence[Any], response_format: Any) -> None:
    """Reject tools together with a response format, as some models do.

    Raises:
        ValueError: If there are tools and a format other than plain text.
    """
    if bound_tools and response_format not in (None, _PLAIN_TEXT):
        raise ValueError(
            "Some models of Cerebras reject tools together with a response_format. In an agent,"
            " use ToolStrategy(schema) as response_format. It sends the schema as a tool."
        )


def _merge_values(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings and options, and normalize the values.

    Tools are then in OpenAI's format. `build_request` replaces names that Cerebras does not
    accept, and gives all tools the same `strict`.
    """
    values = {
        "tools": None,
        "tool_choice": None,
        "response_format": None,
        **settings,
        **options,
    }
    if values["stop"] is not None:
        values["stop"] = _convert_stop(values["stop"])
    _prepare_tools(values)
    if values["response_format"] is not None:
        values["response_format"] = response_format.build_response_format(
            values["response_format"]
        )
    if options.get("extra_body") and settings["extra_body"]:
        values["extra_body"] = _merge_deeply(settings["extra_body"], options["extra_body"])
    values["extra_body"] = values["extra_body"] or None
    _set_reasoning_defaults(values, options)
    return values


def _convert_stop(stop: str | list[str]) -> list[str] | None:
    sequences = [stop] if isinstance(stop, str) else stop
    if len(sequences) > _MAX_STOP_SEQUENCES:
        raise ValueError(
            f"Cerebras accepts up to {_MAX_STOP_SEQUENCES} stop sequences, not"
            f" {len(sequences)}. Pass fewer."
        )
    return sequences or None


def _prepare_tools(values: dict[str, Any]) -> None:
    """Convert tools to OpenAI's format; without tools, remove everything about tools."""
    if not values["tools"]:
        values.update(tools=None, tool_choice=None, parallel_tool_calls=None)
        return
    reject_tools_with_format(values["tools"], values["response_format"])
    values["tools"] = tools.convert_tools(values["tools"])
    values["tool_choice"] = tools.convert_tool_choice(values["tool_choice"], values["tools"])


def _set_reasoning_defaults(values: dict[str, Any], options: Mapping[str, Any]) -> None:
    if values["disable_reasoning"]:
        # `disable_reasoning` as a call option overrides the setting `reasoning_effort`, but not
        # a `reasoning_effort` that is passed with the same call.
        overriding = options if "disable_reasoning" in options else values
        if overriding.get("reasoning_effort") is None:
            values["reasoning_effort"] = "none"
    if (
        values["replay_reasoning"]
        and values["clear_thinking"] is None
        and _model_catalog.get_replay_style(values["model_name"]) == "think"
    ):
        # By default, GLM removes the reasoning that is sent back to it.
        values["clear_thinking"] = False


def _merge_deeply(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the entries of `extra`; an object in both is merged recursively."""
    merged = dict(base)
    for name, value in extra.items():
        current = merged.get(name)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            merged[name] = _merge_deeply(current, value)
        else:
            merged[name] = value
    return merged
