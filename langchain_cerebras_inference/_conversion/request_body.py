"""Fields and call arguments → the body of a request.

Cerebras refuses a request for one field it does not know, so what goes out is what
`_types.RequestBody` names, in its order, plus `extra_body`. Equal calls give equal bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_cerebras_inference import _model_catalog, _types
from langchain_cerebras_inference._conversion import messages as _messages
from langchain_cerebras_inference._conversion import response_format, tools
from langchain_cerebras_inference._settings import Arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "max_tokens": "max_completion_tokens",
    "stop_sequences": "stop",
}
"""Other names of arguments → the wire's."""

_ON_THE_WIRE = frozenset(_types.RequestBody.__annotations__) - {"messages", "stream"}
SETTINGS = _ON_THE_WIRE | {"extra_body", "disable_reasoning", "replay_reasoning"}
"""What decides what a request says: each is a field, or an argument of one call."""

_ARGUMENTS = SETTINGS | {"timeout", "max_retries", "coalesce"}
_DROPPED = frozenset({"stream", "stream_usage", "stream_options"})
_CHECKED: Mapping[str, tuple[Any, float | None, str]] = {
    "model": (str, None, "a model's id"),
    "stop": ((str, list, tuple), None, "a text or a list of texts"),
    "extra_body": (Mapping, None, "a mapping"),
    "n": (int, 0, "a whole number above 0"),
    "timeout": ((int, float), 0, "a number above 0"),
    "max_retries": (int, -1, "a whole number that is not negative"),
}
"""Arguments that are understood here → their type, what a number exceeds, and in words."""

_MOST_STOPS = 4
_PLAIN_TEXT = {"type": "text"}
"""The format of an answer where none is asked for."""


class Request(NamedTuple):
    """What one call sends, and how it is to be made."""

    payload: _types.RequestBody
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
    _refuse_unknown(arguments)
    merged = _settled(settings, arguments)
    if stream and (merged.get("n") or 1) > 1:
        msg = "a stream has one answer: use invoke for n > 1, or n=1."
        raise ValueError(msg)
    wire_tools, names = tools.to_wire_tools(merged["tools"] or ())
    merged["tools"] = wire_tools or None
    merged["tool_choice"] = tools.to_wire_choice(merged["tool_choice"])
    merged["stream"] = stream or None
    merged["messages"] = _messages.to_wire(
        messages, model=merged["model"], replay_reasoning=merged["replay_reasoning"]
    )
    body = {
        name: merged[name]
        for name in _types.RequestBody.__annotations__
        if merged.get(name) is not None
    }
    return Request(
        cast("_types.RequestBody", _merged(body, merged["extra_body"] or {})),
        names,
        timeout=merged["timeout"],
        max_retries=merged["max_retries"],
        coalesce=merged["coalesce"],
    )


def decisive(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the answer of a call but its messages, as plain data.

    Args:
        settings: The model's fields by their names on the wire.
        arguments: What was given for this call alone; what is no setting is left out.

    Raises:
        ValueError: If two exclude each other, or a value cannot be said to Cerebras.
    """
    merged = _settled(settings, arguments)
    return {
        name: value for name, value in merged.items() if name in SETTINGS and value is not None
    }


def _settled(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under the arguments, each in the one form that says what it means."""
    given = _known(arguments)
    _check(given)
    merged = {**settings, **given}
    merged["model"] = _model_catalog.resolve_model_id(merged["model"])
    merged["stop"] = _to_stops(merged.get("stop"))
    _settle_tools(merged)
    merged["response_format"] = response_format.to_wire_format(merged.get("response_format"))
    extra = _merged(settings.get("extra_body") or {}, given.get("extra_body") or {})
    merged["extra_body"] = extra or None
    _settle_reasoning(merged, given)
    return merged


def _known(arguments: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in arguments.items():
        wire_name = ALIASES.get(name, name)
        if value is None or wire_name not in _ARGUMENTS:
            continue
        if wire_name in known:
            names = [each for each in arguments if ALIASES.get(each, each) == wire_name]
            raise ValueError(f"{' and '.join(map(repr, names))} are one; give one of them.")
        known[wire_name] = value
    return known


def _refuse_unknown(arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if ALIASES.get(name, name) not in _ARGUMENTS | _DROPPED:
            raise ValueError(_unknown(name))


def _unknown(name: str) -> str:
    if name in Arguments.__annotations__:
        return f"{name!r} is a setting of the model, not of a call: construct a model with it."
    names = sorted(_ARGUMENTS | ALIASES.keys())
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"Cerebras knows no argument {name!r}.{hint}"
        " A field that Cerebras has added since goes into extra_body."
    )


def _settle_tools(merged: dict[str, Any]) -> None:
    """Put the tools in OpenAI's form; without any, nothing about them is said."""
    if not merged.get("tools"):
        merged.update(tools=None, tool_choice=None, parallel_tool_calls=None)
        return
    refuse_both(merged["tools"], merged.get("response_format"))
    bound = merged["tools"] = tools.to_openai_tools(merged["tools"])
    merged["tool_choice"] = tools.to_openai_choice(merged.get("tool_choice"), bound)


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


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what a field would not take either: nothing else looks at an argument."""
    for name in given.keys() & _CHECKED.keys():
        value, (kinds, above, what) = given[name], _CHECKED[name]
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if not fits or (above is not None and not value > above):
            raise ValueError(f"{name} must be {what}.")


def _to_stops(given: Any) -> list[str] | None:
    stops = [given] if isinstance(given, str) else list(given or ())
    if len(stops) > _MOST_STOPS:
        msg = f"Cerebras takes up to {_MOST_STOPS} stop sequences, not {len(stops)}."
        raise ValueError(msg)
    return stops or None


def _settle_reasoning(merged: dict[str, Any], given: Mapping[str, Any]) -> None:
    effort = given if "disable_reasoning" in given else merged
    if merged.pop("disable_reasoning", None) and effort.get("reasoning_effort") is None:
        merged["reasoning_effort"] = "none"
    # GLM strips the thoughts that are sent back to it unless it is told not to.
    style = _model_catalog.get_replay_style(merged["model"])
    if merged["replay_reasoning"] and style == "think" and merged.get("clear_thinking") is None:
        merged["clear_thinking"] = False


def _merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(body)
    for name, value in extra.items():
        inner = merged.get(name)
        both_are_objects = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(inner, value) if both_are_objects else value  # type: ignore[arg-type]
    return merged
