"""Fields and call arguments → the body of a request.

Cerebras refuses a request for one field it does not know, so what goes out is what
`_wire.Payload` names, in its order, plus `extra_body`. Equal calls give equal bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_cerebras_inference import _catalogue, _wire
from langchain_cerebras_inference._conversion import messages as _messages
from langchain_cerebras_inference._conversion import schemas, structured, tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "max_tokens": "max_completion_tokens",
    "stop_sequences": "stop",
}
"""Other names of arguments → the wire's."""

_ON_THE_WIRE = frozenset(_wire.Payload.__annotations__) - {"messages", "stream"}
SETTINGS = _ON_THE_WIRE | {"extra_body", "disable_reasoning", "replay_reasoning"}
"""What decides what a request says: each is a field, or an argument of one call."""

_ARGUMENTS = SETTINGS | {"timeout", "max_retries", "coalesce"}
_DROPPED = frozenset({"stream", "stream_usage", "stream_options"})
_MOST_STOPS = 4
_PLAIN_TEXT = {"type": "text"}
"""The format of an answer where none is asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one call sends, and how it is to be made."""

    payload: _wire.Payload
    names: tools.Names
    timeout: float
    max_retries: int
    coalesce: bool


def to_request(
    settings: Mapping[str, Any],
    messages: Sequence[BaseMessage],
    arguments: Mapping[str, Any],
    *,
    stream: bool,
) -> Request:
    """Make the request of one call.

    Args:
        settings: The model's fields by their names on the wire, besides
            `SETTINGS` of ours, `timeout`, `max_retries` and `coalesce`.
        messages: The history; it is not changed.
        arguments: What was given for this call alone; `None` leaves the field's value.
        stream: Whether the answer is to be streamed.

    Raises:
        ValueError: If an argument is unknown, two exclude each other, or a message or
            value cannot be said to Cerebras.
    """
    if not messages:
        msg = "there is no message; Cerebras answers to at least one."
        raise ValueError(msg)
    given = _known(arguments)
    merged = {**settings, **given}
    model = merged["model"] = _catalogue.resolve(merged["model"])
    names = _add_tools(merged)
    _check(merged, stream=stream)
    _mend_reasoning(merged, given, model)
    merged["stream"] = stream or None
    merged["messages"] = _messages.to_wire(
        messages, model=model, replay_reasoning=merged["replay_reasoning"]
    )
    body = {
        name: merged[name]
        for name in _wire.Payload.__annotations__
        if merged.get(name) is not None
    }
    for extra in (settings.get("extra_body"), given.get("extra_body")):
        body = _merged(body, extra or {})
    return Request(
        cast("_wire.Payload", body),
        names,
        timeout=merged["timeout"],
        max_retries=merged["max_retries"],
        coalesce=merged["coalesce"],
    )


def _known(arguments: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in arguments.items():
        wire_name = ALIASES.get(name, name)
        if wire_name not in _ARGUMENTS | _DROPPED:
            raise ValueError(_unknown(name))
        if value is None or wire_name in _DROPPED:
            continue
        if wire_name in known:
            names = [each for each in arguments if ALIASES.get(each, each) == wire_name]
            raise ValueError(f"{' and '.join(map(repr, names))} are one; give one of them.")
        known[wire_name] = value
    return known


def _unknown(name: str) -> str:
    names = sorted(_ARGUMENTS | ALIASES.keys())
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"Cerebras knows no argument {name!r}.{hint}"
        " A field that Cerebras has added since goes into extra_body."
    )


def _add_tools(merged: dict[str, Any]) -> tools.Names:
    """Put the tools in their wire form; without any, nothing about them is sent."""
    if not merged.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            merged.pop(name, None)
        return {}
    refuse_both(merged["tools"], merged.get("response_format"))
    bound = tools.to_openai_tools(merged["tools"])
    merged["tools"], names = tools.to_wire_tools(bound)
    choice = tools.to_openai_choice(merged.get("tool_choice"), bound)
    merged["tool_choice"] = tools.to_wire_choice(choice)
    return names


def refuse_both(bound: Sequence[Any], response_format: Any) -> None:
    """Refuse tools together with a response format, as the server would.

    Raises:
        ValueError: If there are both.
    """
    if bound and response_format not in (None, _PLAIN_TEXT):
        msg = (
            "Cerebras refuses tools and response_format in one request; with an agent use"
            " ToolStrategy(schema) for the response, which is a tool itself."
        )
        raise ValueError(msg)


def _check(merged: dict[str, Any], *, stream: bool) -> None:
    if stream and (merged.get("n") or 1) > 1:
        msg = "a stream has one answer: use invoke for n > 1, or n=1."
        raise ValueError(msg)
    for name in ("timeout", "max_retries"):
        if not isinstance(merged[name], (int, float)) or merged[name] < 0:
            raise ValueError(f"{name} must be a number that is not negative.")
    stop = merged.get("stop")
    stops = [stop] if isinstance(stop, str) else list(stop or ())
    if len(stops) > _MOST_STOPS:
        msg = f"Cerebras takes up to {_MOST_STOPS} stop sequences, not {len(stops)}."
        raise ValueError(msg)
    merged["stop"] = stops or None
    if merged.get("response_format") == _PLAIN_TEXT:
        merged["response_format"] = None
    if merged.get("response_format") is not None:
        merged["response_format"] = _to_wire_format(merged["response_format"])


def _to_wire_format(given: Any) -> dict[str, Any]:
    """A format or schema that came from elsewhere, an agent say, fit for Cerebras."""
    if not isinstance(given, Mapping) or "type" not in given or "properties" in given:
        return structured.to_response_format(given, strict=None)
    described = given.get("json_schema")
    if given.get("type") != "json_schema" or not isinstance(described, Mapping):
        return dict(given)
    schema, strict = schemas.to_wire_schema(
        described.get("schema") or {}, strict=described.get("strict")
    )
    name = tools.to_wire_name(described.get("name") or "answer")
    return {
        **given,
        "json_schema": {**described, "name": name, "schema": schema, "strict": strict},
    }


def _mend_reasoning(merged: dict[str, Any], given: Mapping[str, Any], model: str) -> None:
    effort = given if "disable_reasoning" in given else merged
    if merged.get("disable_reasoning") and effort.get("reasoning_effort") is None:
        merged["reasoning_effort"] = "none"
    # GLM strips the thoughts that are sent back to it unless it is told not to.
    replays = merged["replay_reasoning"] and _catalogue.replay_style(model) == "think"
    if replays and merged.get("clear_thinking") is None:
        merged["clear_thinking"] = False


def _merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(body)
    for name, value in extra.items():
        inner = merged.get(name)
        both_are_objects = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(inner, value) if both_are_objects else value  # type: ignore[arg-type]
    return merged
