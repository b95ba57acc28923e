"""What Cerebras refuses: parameters it does not know, or not like this."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_cerebras_inference.emulator.catalogue import (
    ARCHIVED,
    CONTEXT_TOKENS,
    MODELS,
    Model,
)
from langchain_cerebras_inference.emulator.conversation import check_messages
from langchain_cerebras_inference.emulator.refusals import Refuse, Refused, bad_request
from langchain_cerebras_inference.emulator.tokens import prompt_tokens
from langchain_cerebras_inference.emulator.tooling import (
    check_response_format,
    check_tool_choice,
    check_tools,
)

Check = Callable[[str, Any], None]

MAX_STOPS = 4
MAX_TOP_LOGPROBS = 20
MAX_CACHE_KEY = 1024


def check_request(body: Any) -> Model:
    """The model that shall answer `body`.

    Raises:
        Refused: with the answer Cerebras would give instead.
    """
    if not isinstance(body, dict):
        raise bad_request("The request body must be a JSON object.")
    _check_properties(body)
    model = find_model(body.get("model"))
    check_messages(body.get("messages"), model)
    check_tools(body.get("tools"))
    check_tool_choice(body.get("tool_choice"), body.get("tools"))
    check_response_format(body, model)
    _check_reasoning(body, model)
    _check_logprobs(body)
    _check_prediction(body, model)
    _check_length(body)
    return model


def find_model(name: Any) -> Model:
    """The model called `name`.

    Raises:
        Refused: if it is archived, or there is none.
    """
    if not isinstance(name, str):
        raise bad_request("'model' is required and must be a string.", "model")
    if name in MODELS:
        return MODELS[name]
    if name in ARCHIVED:
        raise Refused(_archived(name))
    message = f"Model {name} does not exist or you do not have access to it."
    raise Refused(Refuse(404, message=message))


def _archived(name: str) -> Refuse:
    return Refuse(
        404,
        code="model_archived",
        type="model_archived_error",
        message=f"Model {name} is archived and unavailable for the organization.",
    )


def _check_properties(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name not in _PROPERTIES:
            raise bad_request(f"property 'body.{name}' is unsupported")
        if value is not None:
            _PROPERTIES[name](name, value)


def _check_reasoning(body: Mapping[str, Any], model: Model) -> None:
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in model.efforts:
        raise bad_request(
            f"reasoning_effort '{effort}' is not supported for model {model.id}",
            "reasoning_effort",
        )
    style = body.get("reasoning_format")
    if style is not None and style not in model.reasoning_formats:
        raise bad_request(
            f"reasoning_format '{style}' is not supported for model {model.id}",
            "reasoning_format",
        )
    kind = (body.get("response_format") or {}).get("type")
    if style == "raw" and kind in ("json_object", "json_schema"):
        raise bad_request(
            'reasoning_format "raw" is incompatible with "response_format"',
            "reasoning_format",
        )


def _check_logprobs(body: Mapping[str, Any]) -> None:
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise bad_request("'top_logprobs' requires 'logprobs' to be true")


def _check_prediction(body: Mapping[str, Any], model: Model) -> None:
    if body.get("prediction") is None:
        return
    if not model.takes_prediction:
        raise bad_request('"prediction" is not currently supported', "prediction")
    clashing = [name for name in ("tools", "logprobs") if body.get(name)]
    clashing += ["n"] if (body.get("n") or 1) > 1 else []
    if clashing:
        raise bad_request(
            f'"prediction" is incompatible with "{clashing[0]}"', "prediction"
        )


def _check_length(body: Mapping[str, Any]) -> None:
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    current = prompt_tokens(body) + max(0, wanted)
    if current > CONTEXT_TOKENS:
        message = (
            "Please reduce the length of the messages or completion. "
            f"Current length is {current} while limit is {CONTEXT_TOKENS}"
        )
        refusal = Refuse(400, code="context_length_exceeded", message=message)
        raise Refused(refusal)


def _number(low: float, high: float) -> Check:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise bad_request(f"'{name}' must be a number", name)
        if not low <= value <= high:
            raise bad_request(f"'{name}' must be between {low} and {high}", name)

    return check


def _integer(low: float = float("-inf"), high: float = float("inf")) -> Check:
    in_range = _number(low, high)

    def check(name: str, value: Any) -> None:
        if not isinstance(value, int):
            raise bad_request(f"'{name}' must be an integer", name)
        in_range(name, value)

    return check


def _string(longest: float = float("inf")) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise bad_request(f"'{name}' must be a string", name)
        if len(value) > longest:
            raise bad_request(f"'{name}' is longer than {longest} characters", name)

    return check


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise bad_request(f"'{name}' must be one of {', '.join(allowed)}", name)

    return check


def _a(kind: type) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise bad_request(f"'{name}' must be of type {kind.__name__}", name)

    return check


def _stops(name: str, value: Any) -> None:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise bad_request("'stop' must be a string or a list of strings", name)
    if len(stops) > MAX_STOPS:
        raise bad_request(f"'stop' takes at most {MAX_STOPS} sequences", name)


def _logit_bias(name: str, value: Any) -> None:
    _a(dict)(name, value)
    for bias in value.values():
        _number(-100, 100)(name, bias)


def _stream_options(name: str, value: Any) -> None:
    _a(dict)(name, value)
    for option in value.keys() - {"include_usage"}:
        raise bad_request(f"property 'body.stream_options.{option}' is unsupported")


def _prediction(name: str, value: Any) -> None:
    _a(dict)(name, value)
    has_form = value.keys() == {"type", "content"} and value["type"] == "content"
    if not has_form or not isinstance(value["content"], str | list):
        raise bad_request("'prediction' must have type 'content' and content", name)


# Whatever is not named here is refused; null is taken for "not given".
_PROPERTIES: dict[str, Check] = {
    "model": _string(),
    "messages": _a(list),
    "max_completion_tokens": _integer(-1),
    "max_tokens": _integer(-1),
    "min_completion_tokens": _integer(-1),
    "min_tokens": _integer(-1),
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "logit_bias": _logit_bias,
    "logprobs": _a(bool),
    "top_logprobs": _integer(0, MAX_TOP_LOGPROBS),
    "n": _integer(1),
    "seed": _integer(),
    "stop": _stops,
    "stream": _a(bool),
    "stream_options": _stream_options,
    "tools": _a(list),
    "tool_choice": lambda _name, _value: None,
    "parallel_tool_calls": _a(bool),
    "response_format": _a(dict),
    "reasoning_effort": _one_of("none", "low", "medium", "high"),
    "reasoning_format": _one_of("none", "parsed", "text_parsed", "raw", "hidden"),
    "clear_thinking": _a(bool),
    "prediction": _prediction,
    "prompt_cache_key": _string(MAX_CACHE_KEY),
    "service_tier": _one_of("auto", "default", "flex", "priority"),
    "user": _string(),
}
