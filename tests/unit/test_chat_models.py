"""ChatCerebrasInference: its settings, and how it is copied, serialized, traced and cached."""

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.runnables import ConfigurableField, RunnableBinding
from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model

from langchain_cerebras_inference import ChatCerebrasInference, __version__
from langchain_cerebras_inference._conversion.request_body import FIELD_SOURCES
from langchain_cerebras_inference._setting_types import Settings
from langchain_cerebras_inference._settings import OPTIONS_WITHOUT_SETTING

Options: TypeAlias = dict[str, Any]

SECRETS: Options = {
    "api_key": "csk-" + "key" * 5,
    "cookies": {"session": "cookie" * 3},
    "proxy": "http://me:" + "proxy" * 3 + "@proxy.example:3128",
    "quota_store": "redis://:" + "store" * 3 + "@store.example:6379",
    "default_headers": {"X-Gateway": "header" * 3},
}
SECRET_WORDS = ["key" * 5, "cookie" * 3, "proxy" * 3, "store" * 3, "header" * 3]

DEFAULTS: Options = {
    # A request parameter that is not set is not sent.
    **{name: None for name in FIELD_SOURCES.values() if name not in OPTIONS_WITHOUT_SETTING},
    "model_name": "gpt-oss-120b",
    "cerebras_api_key": None,
    "cookies": None,
    "session_url": "https://inference.cerebras.ai/api/auth/session",
    "cerebras_api_base": "https://api.cerebras.ai/v1",
    "disable_reasoning": None,
    "replay_reasoning": True,
    "extra_body": None,
    "default_headers": None,
    "timeout": 60.0,
    "connect_timeout": 10.0,
    "max_retries": 2,
    "max_retry_wait": 60.0,
    "pace": "auto",
    "quota_store": None,
    "proxy": None,
    "verify": True,
    "client_cert": None,
    "streaming": None,
    "stream_usage": True,
    "coalesce": False,
    "compression": "auto",
    "include_response_headers": False,
}

ALIASES = [
    ("cerebras_api_key", "api_key", SecretStr("k")),
    ("model_name", "model", "qwen-3.8-27b"),
    ("cerebras_api_base", "base_url", "https://gateway.example/v1"),
    ("max_tokens", "max_completion_tokens", 100),
    ("stop", "stop_sequences", ["."]),
]


class Tide(BaseModel):
    """The tide at a place."""

    place: str


def make_model(**settings: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(**settings)


def reveal(value: Any) -> Any:
    """Return the text of a secret, and any other value as it is."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


# --- settings ----------------------------------------------------------------------------


def test_every_setting_has_its_default() -> None:
    model = make_model()
    settings = ChatCerebrasInference.__annotations__.keys() - {"model_config"}

    assert {name: getattr(model, name) for name in settings} == DEFAULTS


def test_typed_constructor_has_every_setting_and_alias() -> None:
    fields = ChatCerebrasInference.model_fields
    aliases = {field.alias for field in fields.values() if field.alias}

    assert Settings.__annotations__.keys() == fields.keys() | aliases


@pytest.mark.parametrize("name", [*DEFAULTS, "tags", "metadata", "verbose", "cache"])
def test_none_means_the_default(name: str) -> None:
    model, default = make_model(**{name: None}), make_model()

    assert getattr(model, name) == getattr(default, name)
    assert model.model_fields_set == default.model_fields_set


@pytest.mark.parametrize(("name", "alias", "value"), ALIASES, ids=str)
def test_setting_can_be_given_by_either_name(name: str, alias: str, value: Any) -> None:
    assert getattr(make_model(**{name: value}), name) == value
    assert getattr(make_model(**{alias: value}), name) == value
    assert getattr(make_model(**{alias: value, name: None}), name) == value


@pytest.mark.parametrize(("name", "alias", "value"), ALIASES, ids=str)
def test_setting_given_by_both_names_is_rejected(name: str, alias: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="Pass only one") as caught:
        make_model(**{name: value, alias: value})

    assert f"'{name}'" in str(caught.value)
    assert f"'{alias}'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("temprature", "temperature"), ("modle", "model"), ("apikey", "api_key")],
)
def test_unknown_setting_is_rejected_with_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(ValidationError, match=f"Did you mean '{suggestion}'") as caught:
        make_model(**{name: "value" * 3})

    assert f"'{name}'" in str(caught.value)
    assert "value" * 3 not in str(caught.value)


def test_unknown_setting_without_a_similar_name_is_rejected_without_a_suggestion() -> None:
    with pytest.raises(ValidationError, match="'zzzzzz'") as caught:
        make_model(zzzzzz=1)

    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("connect_timeout", 0),
        ("max_retries", -1),
        ("max_retry_wait", -1),
        ("reasoning_effort", "extreme"),
        ("compression", "always"),
        ("pace", "slow"),
        ("quota_store", "redis.example:6379"),
        ("quota_store", "postgres://redis.example"),
        ("quota_store", "sqlite://"),
        ("quota_store", "sqlite://quotas.db"),
        ("quota_store", "redis://user:sec/ret@redis.example"),
        ("quota_store", "redis://:s#cret@redis.example"),
        ("quota_store", "redis://redis.example:99999"),
        ("temperature", "hot"),
        ("cerebras_api_key", 5),
        ("cerebras_api_base", "api.cerebras.ai"),
        ("session_url", "inference.cerebras.ai"),
        ("default_headers", {"a": None}),
        ("client_cert", 5),
        ("client_cert", ("a.pem", "b.pem", "c.pem")),
        ("client_cert", ["a.pem"]),
        ("client_cert", ("a.pem", 5)),
        ("client_cert", True),
    ],
    ids=str,
)
def test_invalid_value_is_rejected(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        make_model(**{name: value})


def test_timeout_can_be_infinite() -> None:
    assert make_model(timeout=float("inf")).timeout == float("inf")


def test_model_alias_is_resolved() -> None:
    assert make_model(model="deepseek-r1").model_name == "deepseek-r1-distill-llama-70b"


def test_base_url_without_a_path_gets_v1() -> None:
    model = make_model(base_url="https://gateway.example")

    assert model.cerebras_api_base == "https://gateway.example/v1"


@pytest.mark.parametrize(
    ("value", "used"),
    [
        ("client.pem", "client.pem"),
        (Path("client.pem"), "client.pem"),
        (("client.pem", "client.key"), ("client.pem", "client.key")),
        (["client.pem", "client.key"], ("client.pem", "client.key")),
        ((Path("client.pem"), "client.key"), ("client.pem", "client.key")),
    ],
    ids=str,
)
def test_client_certificate_is_a_path_or_a_pair_of_paths(value: Any, used: Any) -> None:
    model = make_model(client_cert=value)

    assert model.client_cert == used
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301 # our own bytes
    stored = json.loads(dumps(model))["kwargs"]["client_cert"]
    assert make_model(client_cert=stored) == model


def test_model_property_is_the_model_name() -> None:
    model = make_model(model="deepseek-r1")
    first = model.model
    model.model = "qwen-3.8-27b"

    assert first == "deepseek-r1-distill-llama-70b"
    assert model.model == model.model_name == "qwen-3.8-27b"
    assert model.profile == make_model(model="qwen-3.8-27b").profile
    assert model.model_copy(update={"model": "mine"}).model_name == "mine"
    assert "model" not in model.model_dump()


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda model: str(model.bind(n=1))])
def test_repr_of_a_model_has_the_settings_but_not_the_profile(
    show: Callable[[Any], str],
) -> None:
    text = show(make_model(model="qwen-3.8-27b", temperature=0.5))

    assert "qwen-3.8-27b" in text
    assert "temperature=0.5" in text
    assert "profile" not in text
    assert "max_input_tokens" not in text


def test_verify_accepts_the_path_of_a_ca_bundle(tmp_path: Path) -> None:
    assert make_model(verify=tmp_path / "ca.pem").verify == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("variable", "setting", "value"),
    [
        ("CEREBRAS_API_BASE", "cerebras_api_base", "https://environment.example/v1"),
        ("CEREBRAS_BASE_URL", "cerebras_api_base", "https://environment.example/v1"),
        ("CEREBRAS_SESSION_URL", "session_url", "https://environment.example/session"),
        ("CEREBRAS_PROXY", "proxy", "http://environment.example:3128"),
        ("CEREBRAS_QUOTA_STORE", "quota_store", "redis://environment.example:6379"),
    ],
)
def test_environment_variable_is_the_default_of_its_setting(
    variable: str, setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    argument = f"{value.partition(':')[0]}://argument.example/v1"

    assert reveal(getattr(make_model(), setting)) == value
    assert reveal(getattr(make_model(**{setting: argument}), setting)) == argument


# --- credentials -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["k1", " k1\n", SecretStr("k1"), SecretStr(" k1 ")], ids=repr)
def test_api_key_is_stripped_and_kept_as_a_secret(key: Any) -> None:
    assert make_model(api_key=key).cerebras_api_key == SecretStr("k1")


def test_api_key_can_be_a_function() -> None:
    def key() -> str:
        return "k1"

    assert make_model(api_key=key).cerebras_api_key is key


@pytest.mark.parametrize(
    "cookies",
    [{"a": "b", "c": "d"}, "a=b; c=d", "Cookie: a=b;c=d", SecretStr("a=b; c=d")],
    ids=repr,
)
def test_cookies_are_kept_as_a_header_value_and_a_secret(cookies: Any) -> None:
    assert make_model(cookies=cookies).cookies == SecretStr("a=b; c=d")


BOTH_IN_ENVIRONMENT = {"CEREBRAS_API_KEY": "env-key", "CEREBRAS_COOKIES": "env=cookie"}
COOKIES_IN_ENVIRONMENT = {"CEREBRAS_COOKIES": "env=cookie"}

# environment, settings, the key that is used, the cookies that are used
CREDENTIALS: dict[str, tuple[dict[str, str], Options, str | None, str | None]] = {
    "no credential": ({}, {}, None, None),
    "key before cookies in the environment": (BOTH_IN_ENVIRONMENT, {}, "env-key", None),
    "cookies from the environment": (COOKIES_IN_ENVIRONMENT, {}, None, "env=cookie"),
    "key argument before the environment": (BOTH_IN_ENVIRONMENT, {"api_key": "k"}, "k", None),
    "cookies argument before a key in the environment": (
        BOTH_IN_ENVIRONMENT,
        {"cookies": {"a": "b"}},
        None,
        "a=b",
    ),
    "both arguments": (
        BOTH_IN_ENVIRONMENT,
        {"api_key": "k", "cookies": {"a": "b"}},
        "k",
        "a=b",
    ),
    "blank key in the environment": (
        {"CEREBRAS_API_KEY": "  ", "CEREBRAS_COOKIES": "env=cookie"},
        {},
        None,
        "env=cookie",
    ),
    "blank cookies in the environment": ({"CEREBRAS_COOKIES": ""}, {}, None, None),
    "key with spaces in the environment": (
        {"CEREBRAS_API_KEY": " env-key\n"},
        {},
        "env-key",
        None,
    ),
    "blank key argument beside cookies": (
        BOTH_IN_ENVIRONMENT,
        {"api_key": "", "cookies": {"a": "b"}},
        None,
        "a=b",
    ),
    "blank arguments before the environment": (
        BOTH_IN_ENVIRONMENT,
        {"api_key": " ", "cookies": {}},
        "env-key",
        None,
    ),
    "blank secret key argument": (
        COOKIES_IN_ENVIRONMENT,
        {"api_key": SecretStr(" ")},
        None,
        "env=cookie",
    ),
    "blank cookies argument": (COOKIES_IN_ENVIRONMENT, {"cookies": " "}, None, "env=cookie"),
    "blank secret cookies argument": (
        COOKIES_IN_ENVIRONMENT,
        {"cookies": SecretStr("")},
        None,
        "env=cookie",
    ),
    "blank arguments alone": ({}, {"api_key": "", "cookies": ""}, None, None),
    "key of another provider": ({"OPENAI_API_KEY": "other"}, {}, None, None),
}


@pytest.mark.parametrize("case", CREDENTIALS)
def test_credential_settings_come_before_the_environment_and_blank_ones_are_ignored(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, settings, key, cookies = CREDENTIALS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    model = make_model(**settings)

    assert reveal(model.cerebras_api_key) == key
    assert reveal(model.cookies) == cookies


@pytest.mark.parametrize(
    "url", ["http://inference.example/session", "http://192.168.0.5/session"]
)
def test_session_url_without_https_is_rejected(url: str) -> None:
    with pytest.raises(ValidationError, match="must be https"):
        make_model(session_url=url)


def test_cookies_without_tls_verification_are_rejected() -> None:
    with pytest.raises(ValidationError, match="verify=False"):
        make_model(cookies={"a": "b"}, verify=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"cookies": {"a": "b"}, "session_url": "http://127.0.0.1:8080/session"},
        {"api_key": "k"},
    ],
    ids=["cookies for this machine", "key"],
)
def test_tls_verification_can_be_turned_off(settings: Options) -> None:
    assert make_model(**settings, verify=False).verify is False


# --- copying and rebuilding --------------------------------------------------------------

COPIES: dict[str, Callable[[ChatCerebrasInference], ChatCerebrasInference]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "deep model_copy": lambda model: model.model_copy(deep=True),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 # our own bytes
    "constructor with every field": lambda model: make_model(
        **{name: getattr(model, name) for name in type(model).model_fields}
    ),
    "constructor with __dict__": lambda model: make_model(**model.__dict__),
}


@pytest.mark.parametrize("method", COPIES)
def test_copied_model_equals_the_original(method: str) -> None:
    model = make_model(
        model="qwen-3.8-27b", temperature=0, stop=["."], verify=True, tags=["a"], **SECRETS
    )

    copied = COPIES[method](model)

    assert copied == model
    assert reveal(copied.cerebras_api_key) == SECRETS["api_key"]
    assert copied._get_llm_string() == model._get_llm_string()


def test_cookies_that_look_like_a_file_name_stay_equal_after_copying() -> None:
    model = make_model(cookies={"last": "notes.txt"})

    rebuilt = make_model(**model.__dict__)

    assert rebuilt == model
    assert "last=notes.txt" in reveal(rebuilt.cookies)


def test_copied_model_keeps_its_credential_when_the_environment_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", "env=cookie")
    model = make_model()
    monkeypatch.setenv("CEREBRAS_API_KEY", "later")

    rebuilt = make_model(**model.__dict__)

    assert rebuilt.cerebras_api_key is None
    assert reveal(rebuilt.cookies) == "env=cookie"


def test_configurable_fields_change_only_the_configured_settings() -> None:
    configurable: Any = make_model(
        temperature=1, streaming=True, **SECRETS
    ).configurable_fields(
        temperature=ConfigurableField(id="heat"), model_name=ConfigurableField(id="model")
    )

    model, _ = configurable.prepare({"configurable": {"heat": 0, "model": "llama-3.1-8b"}})

    assert isinstance(model, ChatCerebrasInference)
    assert model.temperature == 0
    assert model.model_name == "llama3.1-8b"
    assert model.streaming is True
    assert reveal(model.cerebras_api_key) == SECRETS["api_key"]
    assert model.default_headers == {"X-Gateway": SecretStr("header" * 3)}


def test_only_an_explicit_streaming_false_disables_streaming() -> None:
    """LangChain reads `streaming` from the explicitly set fields; rebuilding sets them all."""
    rebuilt = make_model(**make_model().__dict__)

    assert rebuilt._streaming_disabled() is False
    assert make_model(streaming=False)._streaming_disabled() is True


@pytest.mark.parametrize(
    ("n", "options", "is_disabled"),
    [(2, {}, True), (2, {"stream": True}, False), (1, {}, False)],
    ids=str,
)
def test_several_completions_disable_streaming_unless_it_is_requested(
    n: int, options: Options, is_disabled: bool
) -> None:
    assert make_model(n=n)._streaming_disabled(**options) is is_disabled
    assert make_model()._streaming_disabled(n=n, **options) is is_disabled


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("cerebras_api_key", " csk-1 ", SecretStr("csk-1")),
        ("cookies", {"a": "b"}, SecretStr("a=b")),
        ("default_headers", {"X-A": "b"}, {"X-A": SecretStr("b")}),
        ("cerebras_api_base", "https://gateway.example", "https://gateway.example/v1"),
        ("timeout", None, 60.0),
    ],
    ids=str,
)
def test_assigned_setting_is_converted_as_in_the_constructor(
    name: str, value: Any, expected: Any
) -> None:
    model = make_model()
    setattr(model, name, value)

    assert getattr(model, name) == expected
    assert getattr(make_model().model_copy(update={name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("session_url", "http://gateway.example"), ("max_retries", -1)]
)
def test_assigned_setting_is_validated_as_in_the_constructor(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        setattr(make_model(), name, value)
    with pytest.raises(ValidationError, match=name):
        make_model().model_copy(update={name: value})


def test_assigning_a_setting_does_not_read_the_environment_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model(api_key="k")
    monkeypatch.setenv("CEREBRAS_COOKIES", "a=b")

    model.verify = False  # would be rejected if the cookies were read now

    assert model.verify is False


def test_subclass_can_add_a_field() -> None:
    class Subclass(ChatCerebrasInference):
        tone: str = Field("calm", alias="mood")

    settings: Options = {"mood": "curt", "model": "mine"}

    assert Subclass(**settings).tone == "curt"
    assert Subclass(**settings).model_name == "mine"


def test_pydantic_field_for_a_model_rejects_other_values() -> None:
    class Holder(BaseModel):
        model: ChatCerebrasInference | str

    assert Holder(model="a name").model == "a name"
    for value in (5, None):
        with pytest.raises(ValidationError):
            Holder.model_validate({"model": value})


# --- serialization -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
@pytest.mark.parametrize("source", ["secrets_map", "secrets_from_env"])
def test_serialized_model_has_no_secrets_and_loads_if_they_are_passed_again(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(model="qwen-3.8-27b", temperature=0, stop=["."], verify=True, **SECRETS)
    secrets = {
        "CEREBRAS_API_KEY": reveal(model.cerebras_api_key),
        "CEREBRAS_COOKIES": reveal(model.cookies),
        "CEREBRAS_PROXY": reveal(model.proxy),
        "CEREBRAS_QUOTA_STORE": reveal(model.quota_store),
    }

    stored = json.dumps(dumpd(model))
    if source == "secrets_from_env":
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
    loaded = load(
        json.loads(stored),
        allowed_objects=[ChatCerebrasInference],
        valid_namespaces=["langchain_cerebras_inference"],
        secrets_map=secrets if source == "secrets_map" else None,
        secrets_from_env=source == "secrets_from_env",
    )

    assert [word for word in SECRET_WORDS if word in stored] == []
    assert loaded == model.model_copy(update={"default_headers": None})


def test_serialized_model_names_its_class_and_the_variables_of_its_secrets() -> None:
    stored = dumpd(make_model(**SECRETS))

    assert stored["id"] == [
        "langchain_cerebras_inference",
        "chat_models",
        "ChatCerebrasInference",
    ]
    assert stored["kwargs"]["cerebras_api_key"]["id"] == ["CEREBRAS_API_KEY"]
    assert stored["kwargs"]["cookies"]["id"] == ["CEREBRAS_COOKIES"]
    assert stored["kwargs"]["proxy"]["id"] == ["CEREBRAS_PROXY"]
    assert stored["kwargs"]["quota_store"]["id"] == ["CEREBRAS_QUOTA_STORE"]
    assert "default_headers" not in stored["kwargs"]


def test_api_key_function_is_serialized_as_a_secret() -> None:
    stored = dumpd(make_model(api_key=lambda: "k"))["kwargs"]

    assert stored["cerebras_api_key"]["id"] == ["CEREBRAS_API_KEY"]


# --- traces ------------------------------------------------------------------------------


def test_trace_parameters_describe_the_settings() -> None:
    model = make_model(model="llama-3.1-8b", temperature=0, max_tokens=10, stop=".")

    assert model._get_ls_params() == {
        "ls_provider": "cerebras",
        "ls_model_name": "llama3.1-8b",
        "ls_model_type": "chat",
        "ls_temperature": 0,
        "ls_max_tokens": 10,
        "ls_stop": ["."],
    }
    assert make_model()._get_ls_params().keys() == {
        "ls_provider",
        "ls_model_name",
        "ls_model_type",
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "deepseek-r1"}, {"ls_model_name": "deepseek-r1-distill-llama-70b"}),
        ({"model_name": "other"}, {"ls_model_name": "other"}),
        ({"model": None, "temperature": None}, {"ls_model_name": "mine", "ls_temperature": 1}),
        ({"temperature": 0}, {"ls_temperature": 0}),
        ({"max_tokens": 5}, {"ls_max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"ls_max_tokens": 5}),
        ({"stop": ["a"]}, {"ls_stop": ["a"]}),
        ({"stop_sequences": "a"}, {"ls_stop": ["a"]}),
    ],
    ids=str,
)
def test_trace_parameters_follow_the_call_options(options: Options, expected: Options) -> None:
    parameters = make_model(model="mine", temperature=1)._get_ls_params(**options)

    assert {name: parameters.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("headers", "traced"),
    [
        ({"X-Tenant": "header" * 3}, {"X-Tenant": "***"}),
        ({"Authorization": SecretStr("header" * 3)}, {"Authorization": "***"}),
        ({}, {}),
        (["header" * 3], "***"),
        ("header" * 3, "***"),
    ],
    ids=str,
)
def test_traced_call_options_have_no_header_values(headers: Any, traced: Any) -> None:
    parameters = make_model()._get_invocation_params(
        stop=["."], extra_headers=headers, temperature=0
    )

    assert parameters["extra_headers"] == traced
    assert (parameters["stop"], parameters["temperature"]) == (["."], 0)
    assert "header" * 3 not in repr(parameters)
    assert "extra_headers" not in make_model()._get_invocation_params()


def test_metadata_has_the_package_versions() -> None:
    versions = (make_model(metadata={"a": 1}).metadata or {})["lc_versions"]

    assert versions["langchain-cerebras-inference"] == __version__
    assert "langchain-core" in versions


def test_llm_type_is_cerebras_inference() -> None:
    assert make_model()._llm_type == "cerebras-inference"


# --- cache keys --------------------------------------------------------------------------

DIFFERENT_SETTINGS: list[Options] = [
    {},
    {"model": "qwen-3.8-27b"},
    {"temperature": 0},
    {"temperature": 1},
    {"max_tokens": 5},
    {"stop": ["."]},
    {"seed": 0},
    {"top_p": 0.5},
    {"logprobs": True},
    {"frequency_penalty": 1},
    {"presence_penalty": 1},
    {"logit_bias": {"5": 1}},
    {"reasoning_effort": "low"},
    {"reasoning_format": "hidden"},
    {"clear_thinking": True},
    {"disable_reasoning": True},
    {"replay_reasoning": False},
    {"extra_body": {"a": 1}},
    {"model_parameters": {"a": 1}},
    {"base_url": "https://gateway.example/v1"},
    {"n": 2},
]

DIFFERENT_OPTIONS: list[Options] = [
    {},
    {"temperature": 0},
    {"model": "other"},
    {"stop": ["."]},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"response_format": Tide},
]


def test_cache_key_depends_on_every_setting_that_changes_the_completion() -> None:
    keys = {make_model(**settings)._get_llm_string() for settings in DIFFERENT_SETTINGS}

    assert len(keys) == len(DIFFERENT_SETTINGS)


def test_cache_key_depends_on_the_call_options() -> None:
    keys = {make_model()._get_llm_string(**options) for options in DIFFERENT_OPTIONS}

    assert len(keys) == len(DIFFERENT_OPTIONS)


@pytest.mark.parametrize(
    ("settings", "other_settings", "options"),
    [
        ({"temperature": 0}, {"temperature": 1}, {"temperature": None}),
        ({}, {"model": "qwen-3.8-27b"}, {"model": None}),
        ({"extra_body": {"a": 1}}, {"extra_body": {"a": 2}}, {"extra_body": {"b": 1}}),
        ({"output_version": "v1"}, {}, {}),
    ],
    ids=str,
)
def test_cache_key_depends_on_settings_that_call_options_do_not_override(
    settings: Options, other_settings: Options, options: Options
) -> None:
    key = make_model(**settings)._get_llm_string(**options)
    other_key = make_model(**other_settings)._get_llm_string(**options)

    assert key != other_key


def test_cache_key_depends_on_the_content_of_schemas() -> None:
    height: Any = create_model("Answer", height=(int, ...))
    place: Any = create_model("Answer", place=(str, ...))
    model = make_model()

    assert model._get_llm_string(tools=[height]) != model._get_llm_string(tools=[place])
    assert model._get_llm_string(response_format=height) != model._get_llm_string(
        response_format=place
    )


def test_cache_key_does_not_depend_on_the_use_of_aliases() -> None:
    model = make_model()
    by_alias = make_model(model="llama-3.1-8b")

    assert model._get_llm_string(max_tokens=5) == model._get_llm_string(max_completion_tokens=5)
    assert by_alias._get_llm_string() == model._get_llm_string(model="llama3.1-8b")


def test_cache_key_does_not_depend_on_where_a_setting_is_given() -> None:
    in_constructor = make_model(stop=["."])._get_llm_string()

    assert in_constructor == make_model()._get_llm_string(stop=["."])


def test_cache_key_ignores_secrets_tags_timeouts_and_retries() -> None:
    key = make_model(**SECRETS, tags=["a"], timeout=5, max_retries=0)._get_llm_string()

    assert key == make_model()._get_llm_string()
    assert [word for word in SECRET_WORDS if word in key] == []


HEADERS_WITH_OWN_CACHE_KEY: list[Options] = [
    {},
    {"X-Tenant": "one"},
    {"X-Tenant": "two"},
    {"X-Tenant": "one", "X-Region": "eu"},
    {"X-Region": "one"},
    {"Authorization": "Bearer " + "tenant" * 3},
    {"Authorization": "Bearer other"},
]


def test_cache_key_has_a_digest_of_the_extra_headers() -> None:
    model = make_model()

    keys = {
        model._get_llm_string(extra_headers=headers) for headers in HEADERS_WITH_OWN_CACHE_KEY
    }

    assert len(keys) == len(HEADERS_WITH_OWN_CACHE_KEY)
    assert model._get_llm_string() in keys
    assert not any("tenant" in key for key in keys)


def test_cache_key_does_not_depend_on_the_form_of_the_extra_headers() -> None:
    forms: list[Options] = [
        {"X-Tenant": "one", "X-Region": "eu"},
        {"x-region": SecretStr("eu"), "X-TENANT": SecretStr("one")},
    ]

    assert len({make_model()._get_llm_string(extra_headers=form) for form in forms}) == 1


def test_cache_key_is_the_same_in_another_process() -> None:
    script = (
        "from langchain_cerebras_inference import ChatCerebrasInference as Chat\n"
        "options = {'logit_bias': {'1': 2}, 'extra_headers': {'X-Tenant': 'one'}}\n"
        "print(Chat(seed=1, extra_body={'a': 1})._get_llm_string(**options))"
    )
    other_hash_seed = os.environ | {"PYTHONHASHSEED": "1"}

    key = subprocess.check_output(
        [sys.executable, "-c", script], env=other_hash_seed, text=True
    )

    model = make_model(seed=1, extra_body={"a": 1})
    options: Options = {"logit_bias": {"1": 2}, "extra_headers": {"X-Tenant": "one"}}
    assert key.strip() == model._get_llm_string(**options)


def test_changed_model_has_another_cache_key_and_other_traces() -> None:
    model = make_model(model="mine", temperature=1)
    key, serialized = model._get_llm_string(), dumps(model)

    model.temperature = 0
    copied = model.model_copy(update={"model_name": "other"})

    assert model._get_llm_string() != key
    assert dumps(model) != serialized
    assert json.loads(dumps(copied))["kwargs"]["model_name"] == "other"
    assert copied._get_ls_params()["ls_model_name"] == "other"


def test_changed_model_is_traced_under_its_new_name() -> None:
    """LangChain's tracers read `_serialized`, a cached property of langchain-core."""
    model = make_model(model="mine")
    first = model._serialized["kwargs"]["model_name"]

    copied = model.model_copy(update={"model_name": "other"})
    model.model_name = "third"

    assert first == "mine"
    assert copied._serialized["kwargs"]["model_name"] == "other"
    assert model._serialized["kwargs"]["model_name"] == "third"


# --- profiles ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "is_known"), [("gpt-oss-120b", True), ("qwen-3.8-27b", True), ("my-own", False)]
)
def test_known_model_has_a_profile(model: str, is_known: bool) -> None:
    assert bool(make_model(model=model).profile) is is_known


def test_profile_argument_replaces_the_known_profile() -> None:
    profile: Any = {"max_input_tokens": 5}
    model = make_model(profile=profile)

    assert model.profile == profile
    assert model.model_copy(update={"model_name": "qwen-3.8-27b"}).profile == profile


@pytest.mark.parametrize("old_name", ["gpt-oss-120b", "my-own"])
@pytest.mark.parametrize("new_name", ["qwen-3.8-27b", "my-own"])
def test_profile_follows_the_model_name(old_name: str, new_name: str) -> None:
    model = make_model(model=old_name)
    settings: Options = model.__dict__ | {"model_name": new_name}
    rebuilt = make_model(**settings)
    copied = model.model_copy(update={"model_name": new_name})
    model.model_name = new_name

    expected = make_model(model=new_name).profile
    assert model.profile == expected
    assert copied.profile == expected
    assert rebuilt.profile == expected


# --- tools and structured output ---------------------------------------------------------


def get_bound_options(runnable: Any) -> Options:
    """Return the call options that a runnable binds to its model."""
    assert isinstance(runnable, RunnableBinding)
    return dict(runnable.kwargs)


def test_bind_tools_keeps_the_names_of_the_tools() -> None:
    tool = {"name": "math.add", "description": "", "parameters": {}}

    options = get_bound_options(
        make_model().bind_tools([Tide, tool], tool_choice="math.add", strict=True)
    )

    functions = [tool["function"] for tool in options["tools"]]
    assert [function["name"] for function in functions] == ["Tide", "math.add"]
    assert [function["strict"] for function in functions] == [True, True]
    assert options["tool_choice"]["function"]["name"] == "math.add"


@pytest.mark.parametrize(
    ("tools", "options", "expected"),
    [
        ([Tide], {}, {}),
        ([Tide], {"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ([], {}, {}),
        (
            [],
            {"response_format": Tide, "temperature": 0},
            {"response_format": Tide, "temperature": 0},
        ),
    ],
    ids=str,
)
def test_bind_tools_binds_only_the_options_that_are_passed(
    tools: list[Any], options: Options, expected: Options
) -> None:
    bound = get_bound_options(make_model().bind_tools(tools, **options))

    assert bool(bound.pop("tools", [])) is bool(tools)
    assert bound == expected


def test_bind_tools_rejects_a_response_format() -> None:
    with pytest.raises(ValueError, match="ToolStrategy"):
        make_model().bind_tools([Tide], response_format=Tide)


def test_bind_tools_rejects_the_choice_of_an_unknown_tool() -> None:
    with pytest.raises(ValueError, match="'rain'"):
        make_model().bind_tools([Tide], tool_choice="rain")


def test_structured_output_sends_a_strict_schema_by_default() -> None:
    chain: Any = make_model().with_structured_output(Tide)

    options = get_bound_options(chain.first)

    assert options["response_format"]["type"] == "json_schema"
    assert options["response_format"]["json_schema"]["strict"] is True
    assert options["ls_structured_output_format"]["kwargs"] == {
        "method": "json_schema",
        "strict": None,
    }


def test_structured_output_by_function_calling_forces_one_tool() -> None:
    chain: Any = make_model().with_structured_output(Tide, method="function_calling", seed=5)

    options = get_bound_options(chain.first)

    assert [tool["function"]["name"] for tool in options["tools"]] == ["Tide"]
    assert options["tool_choice"] == {"type": "function", "function": {"name": "Tide"}}
    assert options["seed"] == 5
    assert "parallel_tool_calls" not in options


def test_structured_output_tool_can_be_named_none() -> None:
    schema = {"title": "none", "type": "object", "properties": {}}
    chain: Any = make_model().with_structured_output(schema, method="function_calling")

    assert get_bound_options(chain.first)["tool_choice"]["function"] == {"name": "none"}


@pytest.mark.parametrize("schema", [None, Tide])
def test_structured_output_by_json_mode_sends_no_schema(schema: Any) -> None:
    chain: Any = make_model().with_structured_output(schema, method="json_mode")

    assert get_bound_options(chain.first)["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_without_the_schema_it_needs_is_rejected(method: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        make_model().with_structured_output(method=method)


def test_structured_output_by_an_unknown_method_is_rejected() -> None:
    method: Any = "magic"

    with pytest.raises(ValueError, match="'magic'"):
        make_model().with_structured_output(Tide, method=method)


# --- token counts ------------------------------------------------------------------------


def test_tokens_are_estimated_without_network() -> None:
    model = make_model()
    messages = [HumanMessage("How high is the tide?"), AIMessage("Four metres.")]

    without_tools = model.get_num_tokens_from_messages(messages)
    with_tools = model.get_num_tokens_from_messages(messages, [Tide])

    assert model.get_num_tokens("How high is the tide?") == 6
    assert 70 < without_tools < 100
    assert with_tools > without_tools


def test_messages_can_be_trimmed_to_a_token_limit() -> None:
    messages = [HumanMessage(f"{number} is a number.") for number in range(50)]

    trimmed = trim_messages(
        messages, max_tokens=120, token_counter=make_model(), strategy="last"
    )

    assert 0 < len(trimmed) < 50
    assert trimmed[-1] == messages[-1]


def test_tokens_of_an_incomplete_history_are_counted() -> None:
    history: list[Any] = [AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "a"}])]

    assert make_model().get_num_tokens_from_messages(history) > 0


def test_reasoning_is_counted_only_if_it_is_replayed() -> None:
    reasoning = {"reasoning_content": "It rises and falls. " * 100}
    messages: list[Any] = [AIMessage("Four metres.", additional_kwargs=reasoning)]

    with_reasoning, without_reasoning = (
        make_model(model="qwen-3.8-27b", replay_reasoning=replay).get_num_tokens_from_messages(
            messages
        )
        for replay in (True, False)
    )

    assert with_reasoning > without_reasoning + 300


def test_custom_tokenizer_is_used() -> None:
    model = make_model(custom_get_token_ids=lambda text: [ord(char) for char in text])

    assert model.get_token_ids("Ahoy") == [65, 104, 111, 121]
    assert model.get_num_tokens("Ahoy") == 4


def test_token_ids_without_a_custom_tokenizer_are_an_error() -> None:
    with pytest.raises(NotImplementedError, match="publishes no tokenizer"):
        make_model().get_token_ids("Ahoy")


# --- call options ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"default_headers": {}}, "default_headers"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "4 stop sequences"),
    ],
    ids=str,
)
async def test_invalid_call_option_is_rejected_before_any_request(
    options: Options, reason: str
) -> None:
    model = make_model(api_key="k", base_url="https://unreachable.invalid")

    with pytest.raises(ValueError, match=reason):
        model.invoke("Ahoy", **options)
    with pytest.raises(ValueError, match=reason):
        await model.ainvoke("Ahoy", **options)
    with pytest.raises(ValueError, match=reason):
        next(model.stream("Ahoy", **options))
    with pytest.raises(ValueError, match=reason):
        await anext(model.astream("Ahoy", **options))
