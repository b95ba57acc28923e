"""Settings of the constructor, those of other classes, and call options."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, Runnable
from pydantic import Field, SecretStr, ValidationError

from langchain_cerebras_inference import ChatCerebrasInference, _types
from langchain_cerebras_inference._conversion.request_body import build_request
from langchain_cerebras_inference._setting_types import Settings
from langchain_cerebras_inference._settings import (
    CALL_OPTIONS,
    FOREIGN_SETTINGS,
    OPTIONS_WITHOUT_SETTING,
    validate_options,
)
from langchain_cerebras_inference.emulator.request_schema import ChatRequest, parse_chat_request

# --- settings of other LangChain classes ---------------------------------------

# The fields and aliases of ChatCerebras 0.8.2 (langchain-cerebras) and of ChatOpenAI 1.7.4
# (langchain-openai), which the former inherits, with values that people pass.
ACCEPTED: dict[str, Any] = {
    # ChatCerebras' own
    "model": "gpt-oss-120b",
    "model_name": "gpt-oss-120b",
    "api_key": SecretStr("csk-1"),
    "cerebras_api_key": "csk-1",
    "base_url": "https://api.cerebras.ai/v1/",
    "cerebras_api_base": "https://api.cerebras.ai/v1/",
    "reasoning_effort": "low",
    "disable_reasoning": True,
    # ChatOpenAI's
    "temperature": 0.7,
    "max_tokens": 100,
    "max_completion_tokens": 100,
    "max_retries": 2,
    "timeout": 10,
    "streaming": False,
    "stream_usage": True,
    "stop": ["END"],
    "stop_sequences": ["END"],
    "n": 1,
    "top_p": 0.9,
    "seed": 42,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {50256: -100},
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "service_tier": "auto",
    "default_headers": {"X-Cerebras-3rd-Party-Integration": "langgraph"},
    "extra_body": {"user": "me"},
    "include_response_headers": True,
    "output_version": "v1",
    # LangChain's
    "name": "model",
    "cache": InMemoryCache(),
    "verbose": False,
    "callbacks": [],
    "tags": ["a"],
    "metadata": {"a": "b"},
    "custom_get_token_ids": lambda text: [len(text)],
    "rate_limiter": InMemoryRateLimiter(),
    "disable_streaming": "tool_calling",
    "profile": {"max_input_tokens": 100},
}
UNSUPPORTED = {
    "model_kwargs": "extra_body",
    "cerebras_proxy": "Use the setting proxy",
    "openai_api_key": "Use api_key",
    "openai_api_base": "Use base_url",
    "openai_proxy": "Use the setting proxy",
    "openai_organization": "Cerebras has no organizations",
    "organization": "Cerebras has no organizations",
    "request_timeout": "Use the setting timeout",
    "stream_chunk_timeout": "Use the setting timeout",
    "reasoning": "Use reasoning_effort",
    "verbosity": "in the prompt",
    "tiktoken_model_name": "needs no tokenizer",
    "default_query": "accepts no query",
    "http_client": "aiohttp",
    "http_async_client": "aiohttp",
    "http_socket_options": "aiohttp",
    "client": "aiohttp",
    "async_client": "aiohttp",
    "root_client": "aiohttp",
    "root_async_client": "aiohttp",
    "disabled_params": "a setting that is None is not sent",
    "context_management": "Responses API",
    "include": "Responses API",
    "store": "Responses API",
    "truncation": "Responses API",
    "use_previous_response_id": "Responses API",
    "use_responses_api": "Responses API",
    "prompt_cache_options": "prompt_cache_key",
}


def create_model(**settings: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(**settings)


@pytest.mark.parametrize("name", ACCEPTED)
def test_supported_setting_of_another_class_is_accepted(name: str) -> None:
    assert create_model(**{name: ACCEPTED[name]}) is not None


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_setting_of_another_class_is_rejected_with_advice(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        create_model(**{name: "a secret"})

    [error] = caught.value.errors()
    assert error["msg"].startswith(f"Value error, Unknown setting {name!r}. ")
    assert UNSUPPORTED[name] in error["msg"]
    assert "a secret" not in str(caught.value)


def test_every_unsupported_setting_has_advice() -> None:
    assert FOREIGN_SETTINGS.keys() == UNSUPPORTED.keys()
    assert not FOREIGN_SETTINGS.keys() & {*ACCEPTED, *ChatCerebrasInference.model_fields}


def test_token_ids_in_logit_bias_may_be_numbers() -> None:
    model = create_model(logit_bias={50256: -100, "7": 1})

    assert model.logit_bias == {"50256": -100, "7": 1}


def test_logit_bias_that_is_not_a_mapping_is_rejected() -> None:
    with pytest.raises(ValidationError):
        create_model(logit_bias=5)


# --- call options ------------------------------------------------------------------------


def read(**options: Any) -> dict[str, Any]:
    return validate_options(options, ChatCerebrasInference)


# --- request parameters ------------------------------------------------------------------

# A value of every request parameter that is a setting. A new parameter needs a value here.
REQUEST_PARAMETERS: dict[str, Any] = {
    "model": "qwen-3.8-27b",
    "max_completion_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.5,
    "seed": 1,
    "n": 2,
    "stop": ["."],
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {"5": 1.0},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "me",
    "reasoning_effort": "low",
    "reasoning_format": "parsed",
    "clear_thinking": True,
    "parallel_tool_calls": False,
    "service_tier": "auto",
    "prediction": {"type": "content", "content": "Ahoy"},
    "prompt_cache_key": "chat-1",
    "model_parameters": {"style": "calm"},
}

# Settings that are not fields of the request.
SETTINGS_NOT_SENT = {
    *("cerebras_api_key", "cookies", "session_url", "cerebras_api_base", "default_headers"),
    *("timeout", "connect_timeout", "max_retries", "max_retry_wait", "pace", "quota_store"),
    *("proxy", "verify", "client_cert", "streaming", "stream_usage", "coalesce"),
    *("compression", "include_response_headers", "extra_body"),
    *("disable_reasoning", "replay_reasoning"),  # they change other fields
}
OPTIONS_NOT_SENT = {
    *("extra_body", "disable_reasoning", "replay_reasoning"),
    *("timeout", "max_retries", "coalesce"),
}
FIELDS_OF_EACH_CALL = {"messages", "stream"}

# Fields that Cerebras accepts and this package does not send.
FIELDS_OF_THE_EMULATOR_ONLY = {
    *("max_tokens", "min_tokens", "min_completion_tokens", "stream_options"),
}

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@dataclass
class ParameterNames:
    """The names in every place where a request parameter must be added.

    Attributes:
        settings: The fields of `ChatCerebrasInference`, by the name of the request field.
        types: The types of the constructor's arguments, in `_setting_types.Settings`.
        call_options: `_settings.CALL_OPTIONS`, by the name of the request field.
        other_options: `_settings.OPTIONS_WITHOUT_SETTING`.
        wire: The fields of `_types.RequestBody`.
        emulator: The fields of the emulator's `ChatRequest`.
        values: The names in `REQUEST_PARAMETERS`.
    """

    settings: set[str]
    types: set[str]
    call_options: set[str]
    other_options: set[str]
    wire: set[str]
    emulator: set[str]
    values: set[str]


def read_names() -> ParameterNames:
    fields = ChatCerebrasInference.model_fields
    own = fields.keys() - BaseChatModel.model_fields.keys()
    request_names = {"model_name": "model", "max_tokens": "max_completion_tokens"}
    return ParameterNames(
        settings={request_names.get(name, name) for name in own},
        types=set(Settings.__annotations__),
        call_options={request_names.get(name, name) for name in CALL_OPTIONS},
        other_options=set(OPTIONS_WITHOUT_SETTING),
        wire=set(_types.RequestBody.__annotations__),
        emulator=set(ChatRequest.model_fields),
        values=set(REQUEST_PARAMETERS),
    )


def find_missing_names(names: ParameterNames) -> list[str]:
    """Return a sentence about each name that is missing in one of the places."""
    options = names.other_options - {"extra_headers"}
    parameters = names.wire - options - FIELDS_OF_EACH_CALL
    checks = [
        (names.settings - SETTINGS_NOT_SENT, names.wire, "is never sent: RequestBody lacks it"),
        (parameters, names.settings, "is no setting: ChatCerebrasInference lacks it"),
        (names.settings, names.types, "has no type: Settings lacks it"),
        (parameters, names.call_options, "is no call option: CALL_OPTIONS lacks it"),
        (
            names.call_options - OPTIONS_NOT_SENT,
            names.wire,
            "is an option that is never sent: RequestBody lacks it",
        ),
        (options, names.wire, "is an option that is never sent: RequestBody lacks it"),
        (names.wire, names.emulator, "is rejected by the emulator: ChatRequest lacks it"),
        (
            names.emulator - FIELDS_OF_THE_EMULATOR_ONLY,
            names.wire,
            "is accepted by the emulator and never sent: RequestBody lacks it",
        ),
        (parameters, names.values, "is not tested: REQUEST_PARAMETERS lacks it"),
    ]
    return [f"{name} {problem}" for wanted, place, problem in checks for name in wanted - place]


def test_request_parameter_is_in_every_place() -> None:
    assert find_missing_names(read_names()) == []


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("settings", "seed is no setting: ChatCerebrasInference lacks it"),
        ("types", "seed has no type: Settings lacks it"),
        ("call_options", "seed is no call option: CALL_OPTIONS lacks it"),
        ("wire", "seed is never sent: RequestBody lacks it"),
        ("emulator", "seed is rejected by the emulator: ChatRequest lacks it"),
        ("values", "seed is not tested: REQUEST_PARAMETERS lacks it"),
    ],
)
def test_parameter_that_is_missing_in_one_place_is_named(place: str, problem: str) -> None:
    names = read_names()
    getattr(names, place).remove("seed")

    assert problem in find_missing_names(names)


@pytest.mark.parametrize("place", ["settings", "call_options", "wire", "emulator"])
def test_parameter_that_is_only_in_one_place_is_named(place: str) -> None:
    names = read_names()
    getattr(names, place).add("unlisted")

    assert any(problem.startswith("unlisted ") for problem in find_missing_names(names))


@pytest.mark.parametrize("place", ["setting", "call option"])
@pytest.mark.parametrize("name", REQUEST_PARAMETERS)
def test_request_parameter_is_sent_and_accepted(name: str, place: str) -> None:
    value = REQUEST_PARAMETERS[name]
    model = create_model(**({name: value} if place == "setting" else {}))
    options = read(tools=TOOLS, **({} if place == "setting" else {name: value}))

    body: Any = build_request(
        model.__dict__, [HumanMessage("Ahoy")], options, stream=False
    ).body

    assert body[name] == value
    accepted = parse_chat_request(body).model_dump(exclude_unset=True)
    assert accepted.keys() == body.keys()


# --- validation of call options ----------------------------------------------------------


def test_options_are_returned_by_field_name_and_none_is_left_out() -> None:
    options = read(
        model="qwen-3.8-27b",
        max_completion_tokens=5,
        stop_sequences=["."],
        temperature=0,
        seed=None,
        tools=[],
        tool_choice=None,
    )

    assert options == {
        "model_name": "qwen-3.8-27b",
        "max_tokens": 5,
        "stop": ["."],
        "temperature": 0,
        "tools": [],
    }


@pytest.mark.parametrize("name", ["stream", "stream_usage", "stream_options"])
def test_irrelevant_call_option_is_ignored(name: str) -> None:
    assert read(**{name: True}) == {}


@pytest.mark.parametrize(
    ("name", "alias", "value"),
    [
        ("model_name", "model", "qwen-3.8-27b"),
        ("max_tokens", "max_completion_tokens", 5),
        ("stop", "stop_sequences", ["."]),
    ],
)
def test_both_names_of_an_option_work_but_not_together(
    name: str, alias: str, value: Any
) -> None:
    assert read(**{name: value}) == read(**{alias: value}) == {name: value}
    assert read(**{alias: value, name: None}) == {name: value}
    with pytest.raises(
        ValueError, match=f"^'{name}' and '{alias}' are two names of one setting"
    ):
        read(**{name: value, alias: value})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", " Did you mean 'temperature'?"),
        ("max_token", " Did you mean 'max_tokens'?"),
        ("zzz", ""),
        ("messages", ""),
    ],
)
def test_unknown_option_is_rejected_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match="Unknown call option") as caught:
        read(**{name: "value"})

    assert str(caught.value).startswith(f"Unknown call option {name!r}.{hint}")
    assert "extra_body" in str(caught.value)


@pytest.mark.parametrize("name", ["request_timeout", "store"])
def test_unknown_option_of_other_class_is_rejected_with_advice(name: str) -> None:
    with pytest.raises(ValueError, match=f"^Unknown call option '{name}'") as caught:
        read(**{name: "value"})

    assert UNSUPPORTED[name] in str(caught.value)
    assert "extra_body" not in str(caught.value)


@pytest.mark.parametrize("name", ["default_headers", "api_key", "connect_timeout", "proxy"])
def test_setting_that_is_not_an_option_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}' is a setting, not a call option"):
        read(**{name: "value"})


# Option, a value that is converted or accepted, and the value that is used.
VALID_OPTIONS: list[tuple[str, Any, Any]] = [
    ("model", "llama-3.1-8b", "llama3.1-8b"),
    ("temperature", "0.5", 0.5),
    ("temperature", 0, 0.0),
    ("seed", "7", 7),
    ("n", 2, 2),
    ("max_tokens", "100", 100),
    ("stop", (".", "!"), [".", "!"]),
    ("logprobs", "true", True),
    ("logit_bias", {5: -100}, {"5": -100.0}),
    ("reasoning_effort", "low", "low"),
    ("replay_reasoning", False, False),
    ("extra_body", {"a": 1}, {"a": 1}),
    ("model_parameters", {"a": 1}, {"a": 1}),
    ("timeout", "5", 5.0),
    ("timeout", float("inf"), float("inf")),
    ("max_retries", 0, 0),
    ("coalesce", "yes", True),
]

# Option, values that are rejected, and what the error says about them.
INVALID_OPTIONS: list[tuple[str, list[Any], str]] = [
    ("model", [5, ["m"]], "Input should be a valid string"),
    ("temperature", ["hot", [0.5]], "Input should be a valid number"),
    ("seed", [1.5, "a"], "Input should be a valid integer"),
    ("n", [0, -1], "Input should be greater than or equal to 1"),
    ("n", ["a"], "Input should be a valid integer"),
    ("max_tokens", ["many"], "Input should be a valid integer"),
    ("stop", [5, True, {".": 1}], "Input should be a valid string; Input should be a valid li"),
    ("logprobs", ["maybe"], "Input should be a valid boolean"),
    ("logit_bias", [5], "Input should be a valid dictionary"),
    ("reasoning_effort", ["extreme"], "Input should be 'none', 'low', 'medium' or 'high'"),
    ("extra_body", [[1], "{}"], "Input should be a valid dictionary"),
    ("model_parameters", [[1], "{}"], "Input should be a valid dictionary"),
    ("timeout", [0, -1, float("nan")], "Input should be greater than 0"),
    ("timeout", ["long"], "Input should be a valid number"),
    ("max_retries", [-1], "Input should be greater than or equal to 0"),
    ("coalesce", ["maybe"], "Input should be a valid boolean"),
]


@pytest.mark.parametrize(("name", "value", "used"), VALID_OPTIONS)
def test_option_is_converted_like_the_setting(name: str, value: Any, used: Any) -> None:
    [(field, converted)] = read(**{name: value}).items()

    assert (converted, type(converted)) == (used, type(used))
    assert getattr(create_model(**{name: value}), field) == used


@pytest.mark.parametrize(("name", "values", "expected"), INVALID_OPTIONS)
def test_invalid_option_is_rejected_like_the_setting(
    name: str, values: list[Any], expected: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^Invalid call option '{name}': ") as caught:
            read(**{name: value})
        with pytest.raises(ValidationError):
            create_model(**{name: value})

        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)


def test_error_of_an_invalid_option_does_not_quote_the_value() -> None:
    with pytest.raises(ValueError, match=r"^Invalid call option") as caught:
        read(user=["a secret"], temperature=None)

    assert "a secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_options_are_validated_by_the_fields_of_a_subclass() -> None:
    class CautiousModel(ChatCerebrasInference):
        temperature: float | None = Field(None, le=1)

    with pytest.raises(ValueError, match="Input should be less than or equal to 1"):
        validate_options({"temperature": 1.5}, CautiousModel)
    assert read(temperature=1.5) == {"temperature": 1.5}


# --- headers and keys --------------------------------------------------------------------

INVALID_HEADERS: dict[str, tuple[Any, str]] = {
    "line feed": ({"X-Tenant": "sec\nret"}, "The value of the header 'X-Tenant' has a control"),
    "line break at the end": ({"X-Tenant": "secret\r\n"}, "The value of the header 'X-Tenant'"),
    "null": ({"X-Tenant": "sec\0ret"}, "The value of the header 'X-Tenant' has a control"),
    "escape": ({"X-Tenant": "sec\x1bret"}, "The value of the header 'X-Tenant' has a control"),
    "delete": ({"Authorization": "sec\x7fret"}, "The value of the header 'Authorization'"),
    "next line": (
        {"X-Tenant": "sec\x85ret"},
        "The value of the header 'X-Tenant' has a control",
    ),
    "secret value": ({"X-Tenant": SecretStr("sec\nret")}, "The value of the header 'X-Tenant'"),
    "line break in a name": ({"X-A\r\nX-sec-ret": "b"}, "The name of a header has a character"),
    "space in a name": ({"sec ret": "b"}, "The name of a header has a character"),
    "colon in a name": ({"sec:ret": "b"}, "The name of a header has a character"),
    "name beyond ASCII": ({"secrét": "b"}, "The name of a header has a character"),
    "empty name": ({"": "secret"}, "The name of a header has a character"),
    "two names": ({"x-a": "secret", "X-A": "b"}, "The header 'x-a' is passed twice"),
    "length": ({"Content-Length": "5"}, "The header 'Content-Length' is set by the client"),
    "encoding": ({"transfer-encoding": "secret"}, "The header 'transfer-encoding' is set by"),
    "connection": ({"Connection": "secret"}, "The header 'Connection' is set by the client"),
    "number": ({"X-Tenant": 5}, "Input should be a valid string"),
    "list": (["secret"], "Input should be a valid dictionary"),
    "text": ("secret", "Input should be a valid dictionary"),
}


@pytest.mark.parametrize("case", INVALID_HEADERS)
def test_invalid_headers_are_rejected_without_their_values(case: str) -> None:
    headers, expected = INVALID_HEADERS[case]

    with pytest.raises(ValidationError, match="default_headers") as of_setting:
        create_model(default_headers=headers)
    with pytest.raises(
        ValueError, match=r"^Invalid call option 'extra_headers': "
    ) as of_option:
        read(extra_headers=headers)

    for message in (str(of_setting.value), str(of_option.value)):
        assert expected in message
        assert ".." not in message
        for part in ("secret", "sec", "ret"):
            assert part not in message
    assert "\n" not in str(of_option.value)


@pytest.mark.parametrize("value", ["a", "a\tb", "", "é", "日本", SecretStr("a")])
def test_valid_headers_are_kept_as_secrets(value: Any) -> None:
    expected = {"X-Tenant": value if isinstance(value, SecretStr) else SecretStr(value)}

    assert read(extra_headers={"X-Tenant": value}) == {"extra_headers": expected}
    assert create_model(default_headers={"X-Tenant": value}).default_headers == expected


@pytest.mark.parametrize(
    "key", ["csk\n1", "csk\r\n1", "csk\0", "csk\t1", "\x1bcsk", "csk\x9f1"]
)
@pytest.mark.parametrize("form", [str, SecretStr])
@pytest.mark.parametrize("name", ["api_key", "cerebras_api_key"])
def test_key_with_a_control_character_is_rejected_without_the_key(
    name: str, form: Callable[[str], Any], key: str
) -> None:
    with pytest.raises(
        ValidationError, match=r"The API key \(api_key or CEREBRAS_API_KEY\) has a"
    ):
        create_model(**{name: form(key)})
    with pytest.raises(ValidationError) as caught:
        create_model().cerebras_api_key = form(key)

    assert "csk" not in str(caught.value)


def test_key_with_a_control_character_in_the_environment_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", "csk\n1")

    with pytest.raises(ValidationError, match="CEREBRAS_API_KEY") as caught:
        create_model()

    assert "csk" not in str(caught.value)


@pytest.mark.parametrize("name", ["extra_headers", "tools", "tool_choice", "response_format"])
def test_call_option_in_the_constructor_is_rejected_with_advice(name: str) -> None:
    with pytest.raises(
        ValidationError, match=f"'{name}' is a call option, not a setting. Pass it to invoke"
    ):
        create_model(**{name: {}})


Model: TypeAlias = Runnable[Any, Any]


async def invoke(model: Model, /, **options: Any) -> None:
    model.invoke("Ahoy", **options)


async def ainvoke(model: Model, /, **options: Any) -> None:
    await model.ainvoke("Ahoy", **options)


async def stream(model: Model, /, **options: Any) -> None:
    chunks: Iterator[Any] = model.stream("Ahoy", **options)
    next(chunks)


async def astream(model: Model, /, **options: Any) -> None:
    chunks: AsyncIterator[Any] = model.astream("Ahoy", **options)
    await anext(chunks)


async def batch(model: Model, /, **options: Any) -> None:
    model.batch(["Ahoy"], **options)


async def bound_invoke(model: Model, /, **options: Any) -> None:
    model.bind(**options).invoke("Ahoy")


@pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream, batch, bound_invoke])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("reasoning_effort", "extreme"),
        ("n", "several"),
        ("model", ["m"]),
        ("stop", 5),
        ("extra_headers", {"X-Tenant": "a\nb"}),
        ("extra_headers", ["X-Tenant"]),
        ("model_parameters", "none"),
    ],
)
async def test_invalid_option_is_rejected_in_every_call_style_before_the_network(
    name: str, value: Any, call: Callable[..., Any]
) -> None:
    model = create_model(api_key="k", base_url="https://unreachable.invalid")

    with pytest.raises(ValueError, match=f"^Invalid call option '{name}': "):
        await call(model, **{name: value})


async def test_invalid_option_of_a_configurable_model_is_rejected() -> None:
    model = create_model(api_key="k", base_url="https://unreachable.invalid")
    configurable = model.configurable_fields(
        temperature=ConfigurableField(id="temperature")
    ).with_config(configurable={"temperature": 1})

    with pytest.raises(ValueError, match=r"^Invalid call option 'temperature': "):
        await configurable.ainvoke("Ahoy", temperature="hot")
