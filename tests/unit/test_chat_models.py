"""The class: its fields, and how it survives being copied, rebuilt and stored."""

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.runnables import ConfigurableField, RunnableBinding
from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._settings import Arguments

SECRETS: dict[str, Any] = {
    "api_key": "csk-" + "key" * 5,
    "cookies": {"session": "cookie" * 3},
    "proxy": "http://me:" + "proxy" * 3 + "@proxy.example:3128",
    "quota_store": "redis://:" + "store" * 3 + "@store.example:6379",
    "default_headers": {"X-Gateway": "header" * 3},
}
WORDS = ["key" * 5, "cookie" * 3, "proxy" * 3, "store" * 3, "header" * 3]

DEFAULTS = {
    "model_name": "gpt-oss-120b",
    "cerebras_api_key": None,
    "cookies": None,
    "session_url": "https://inference.cerebras.ai/api/auth/session",
    "cerebras_api_base": "https://api.cerebras.ai/v1",
    "temperature": None,
    "top_p": None,
    "seed": None,
    "n": None,
    "logprobs": None,
    "top_logprobs": None,
    "frequency_penalty": None,
    "presence_penalty": None,
    "logit_bias": None,
    "user": None,
    "max_tokens": None,
    "stop": None,
    "reasoning_effort": None,
    "reasoning_format": None,
    "clear_thinking": None,
    "disable_reasoning": None,
    "replay_reasoning": True,
    "parallel_tool_calls": None,
    "service_tier": None,
    "prediction": None,
    "prompt_cache_key": None,
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
    "streaming": None,
    "stream_usage": True,
    "coalesce": False,
    "compression": "auto",
    "include_response_headers": False,
}


class Tide(BaseModel):
    """The tide at a place."""

    place: str


def make(**fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(**fields)


def secret_of(value: Any) -> str:
    assert isinstance(value, SecretStr)
    return value.get_secret_value()


# --- fields ------------------------------------------------------------------------------


def test_every_field_has_its_default() -> None:
    model = make()

    assert {name: getattr(model, name) for name in DEFAULTS} == DEFAULTS


def test_there_are_no_fields_but_these_and_langchains() -> None:
    ours = ChatCerebrasInference.__annotations__.keys() - {"model_config"}

    assert ours == DEFAULTS.keys()


def test_the_typed_arguments_are_the_fields_and_their_aliases() -> None:
    fields = ChatCerebrasInference.model_fields
    aliases = {field.alias for field in fields.values() if field.alias}

    assert Arguments.__annotations__.keys() == fields.keys() | aliases


@pytest.mark.parametrize("name", [*DEFAULTS, "tags", "metadata", "verbose", "cache"])
def test_none_is_the_default_of_every_field(name: str) -> None:
    given, plain = make(**{name: None}), make()

    assert getattr(given, name) == getattr(plain, name)
    assert given.model_fields_set == plain.model_fields_set


@pytest.mark.parametrize(
    ("name", "alias", "value"),
    [
        ("model_name", "model", "qwen-3.8-27b"),
        ("cerebras_api_base", "base_url", "https://gateway.example/v1"),
        ("max_tokens", "max_completion_tokens", 100),
        ("stop", "stop_sequences", ["."]),
    ],
)
def test_both_names_of_a_field_work_and_both_at_once_are_refused(
    name: str, alias: str, value: Any
) -> None:
    assert getattr(make(**{name: value}), name) == value
    assert getattr(make(**{alias: value}), name) == value
    assert getattr(make(**{alias: value, name: None}), name) == value
    with pytest.raises(ValidationError, match="are one field; give one of the two") as caught:
        make(**{name: value, alias: value})
    assert f"'{name}' and '{alias}'" in str(caught.value)


@pytest.mark.parametrize("name", ["api_key", "cerebras_api_key"])
def test_the_key_has_both_its_names(name: str) -> None:
    assert secret_of(make(**{name: "k"}).cerebras_api_key) == "k"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", " Did you mean 'temperature'?"),
        ("modle", " Did you mean 'model'?"),
        ("apikey", " Did you mean 'api_key'?"),
        ("zzzzzz", ""),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**{name: "value" * 3})

    [error] = caught.value.errors()
    assert error["msg"] == f"Value error, There is no field {name!r}.{hint}"
    assert "value" * 3 not in str(caught.value)


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
        ("temperature", "hot"),
        ("cerebras_api_key", 5),
        ("cerebras_api_base", "api.cerebras.ai"),
        ("session_url", "inference.cerebras.ai"),
        ("default_headers", {"a": None}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        make(**{name: value})


def test_no_limit_is_a_limit() -> None:
    assert make(timeout=float("inf")).timeout == float("inf")


def test_an_alias_of_a_model_is_resolved() -> None:
    assert make(model="deepseek-r1").model_name == "deepseek-r1-distill-llama-70b"


def test_a_base_without_a_path_gets_v1() -> None:
    assert make(base_url="https://gateway.example").cerebras_api_base == (
        "https://gateway.example/v1"
    )


def test_a_ca_bundle_may_be_a_path(tmp_path: Path) -> None:
    assert make(verify=tmp_path / "ca.pem").verify == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("CEREBRAS_API_BASE", "cerebras_api_base", "https://gateway.example/v1"),
        ("CEREBRAS_BASE_URL", "cerebras_api_base", "https://gateway.example/v1"),
        ("CEREBRAS_SESSION_URL", "session_url", "https://session.example/me"),
    ],
)
def test_a_variable_is_the_default_of_its_field(
    variable: str, field: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    assert getattr(make(), field) == value
    assert getattr(make(**{field: "https://given.example/v1"}), field) == (
        "https://given.example/v1"
    )


def test_quota_store_of_the_environment_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_QUOTA_STORE", "redis://store.example")

    assert secret_of(make().quota_store) == "redis://store.example"
    assert secret_of(make(quota_store="sqlite:///q.db").quota_store) == "sqlite:///q.db"


def test_the_proxy_of_the_environment_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_PROXY", "http://proxy.example:3128")

    assert secret_of(make().proxy) == "http://proxy.example:3128"
    assert secret_of(make(proxy="http://given.example").proxy) == "http://given.example"


# --- credentials -------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["k1", " k1\n", SecretStr("k1"), SecretStr(" k1 ")])
def test_a_key_is_stripped_and_held_as_a_secret(given: Any) -> None:
    assert secret_of(make(api_key=given).cerebras_api_key) == "k1"


def test_a_key_may_be_a_function() -> None:
    def key() -> str:
        return "k1"

    assert make(api_key=key).cerebras_api_key is key


@pytest.mark.parametrize(
    "given", [{"a": "b", "c": "d"}, "a=b; c=d", "Cookie: a=b;c=d", SecretStr("a=b; c=d")]
)
def test_cookies_are_held_as_a_header_and_a_secret(given: Any) -> None:
    assert secret_of(make(cookies=given).cookies) == "a=b; c=d"


BOTH = {"CEREBRAS_API_KEY": "env-key", "CEREBRAS_COOKIES": "env=cookie"}
BLANK = {"CEREBRAS_API_KEY": "  ", "CEREBRAS_COOKIES": "env=cookie"}
COOKIES = {"CEREBRAS_COOKIES": "env=cookie"}


@pytest.mark.parametrize(
    ("environment", "given", "key", "cookies"),
    [
        ({}, {}, None, None),
        (BOTH, {}, "env-key", None),
        (COOKIES, {}, None, "env=cookie"),
        (BLANK, {}, None, "env=cookie"),
        ({"CEREBRAS_API_KEY": " env-key\n"}, {}, "env-key", None),
        (BOTH, {"api_key": "k"}, "k", None),
        (BOTH, {"cookies": {"a": "b"}}, None, "a=b"),
        (BOTH, {"api_key": "k", "cookies": {"a": "b"}}, "k", "a=b"),
        (BOTH, {"api_key": "", "cookies": {"a": "b"}}, None, "a=b"),
        (BOTH, {"api_key": " ", "cookies": {}}, "env-key", None),
        (COOKIES, {"api_key": SecretStr(" ")}, None, "env=cookie"),
        (COOKIES, {"cookies": " "}, None, "env=cookie"),
        (COOKIES, {"cookies": SecretStr("")}, None, "env=cookie"),
        ({"CEREBRAS_COOKIES": ""}, {}, None, None),
        ({}, {"api_key": "", "cookies": ""}, None, None),
        ({"OPENAI_API_KEY": "other"}, {}, None, None),
    ],
)
def test_arguments_come_before_the_environment_and_blanks_are_nothing(
    environment: dict[str, str],
    given: dict[str, Any],
    key: str | None,
    cookies: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    model = make(**given)

    held = model.cerebras_api_key, model.cookies
    assert [each and secret_of(each) for each in held] == [key, cookies]


@pytest.mark.parametrize(
    "url", ["http://inference.example/session", "http://192.168.0.5/session"]
)
def test_cookies_go_over_https_alone(url: str) -> None:
    with pytest.raises(ValidationError, match="session_url must be https"):
        make(session_url=url)


def test_cookies_are_not_shown_to_anybody_who_answers() -> None:
    with pytest.raises(ValidationError, match="verify=False would show the cookies"):
        make(cookies={"a": "b"}, verify=False)

    local = make(cookies={"a": "b"}, verify=False, session_url="http://127.0.0.1:8080/session")
    with_key = make(api_key="k", verify=False)

    assert local.verify is False
    assert with_key.verify is False


@pytest.mark.parametrize(
    "show", [repr, str, dumps, lambda m: str(m.model_dump()), lambda m: m.model_dump_json()]
)
def test_no_secret_is_shown(show: Callable[[Any], str]) -> None:
    shown = show(make(**SECRETS))

    assert [word for word in WORDS if word in shown] == []


@pytest.mark.parametrize("wrong", [{"temperature": "hot"}, {"verify": False}, {"wrong": 1}])
def test_no_secret_is_in_an_error_of_construction(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**{**SECRETS, **wrong})

    assert [word for word in WORDS if word in str(caught.value)] == []


# --- rebuilt, copied, stored -------------------------------------------------------------

EVERY_WAY: list[Callable[[ChatCerebrasInference], ChatCerebrasInference]] = [
    copy.copy,
    copy.deepcopy,
    lambda model: model.model_copy(),
    lambda model: model.model_copy(deep=True),
    lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 # our own bytes
    lambda model: make(**{name: getattr(model, name) for name in type(model).model_fields}),
    lambda model: make(**model.__dict__),
]


@pytest.mark.parametrize("rebuilt", EVERY_WAY)
def test_a_model_survives_being_rebuilt(
    rebuilt: Callable[[ChatCerebrasInference], ChatCerebrasInference],
) -> None:
    model = make(
        model="qwen-3.8-27b", temperature=0, stop=["."], verify=True, tags=["a"], **SECRETS
    )

    again = rebuilt(model)

    assert again == model
    assert secret_of(again.cerebras_api_key) == SECRETS["api_key"]
    assert again._get_llm_string() == model._get_llm_string()


def test_cookies_that_end_like_a_file_name_survive_too() -> None:
    model = make(cookies={"last": "notes.txt"})

    again = make(**model.__dict__)

    assert again == model
    assert "last=notes.txt" in secret_of(again.cookies)


def test_a_rebuilt_model_keeps_the_environment_it_was_made_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", "env=cookie")
    model = make()
    monkeypatch.setenv("CEREBRAS_API_KEY", "later")

    again = make(**model.__dict__)

    assert again.cerebras_api_key is None
    assert secret_of(again.cookies) == "env=cookie"


def test_configurable_fields_rebuild_the_model() -> None:
    model = make(temperature=1, streaming=True, **SECRETS).configurable_fields(
        temperature=ConfigurableField(id="heat"), model_name=ConfigurableField(id="model")
    )

    made, _ = model._prepare({"configurable": {"heat": 0, "model": "llama-3.1-8b"}})  # type: ignore[attr-defined]

    assert isinstance(made, ChatCerebrasInference)
    assert made.temperature == 0
    assert made.model_name == "llama3.1-8b"
    assert made.streaming is True
    assert secret_of(made.cerebras_api_key) == SECRETS["api_key"]
    assert made.default_headers == {"X-Gateway": SecretStr("header" * 3)}


def test_a_rebuilt_model_may_still_stream() -> None:
    """Core takes an explicit `streaming=False` for a veto, and rebuilding is explicit."""
    again = make(**make().__dict__)

    assert again._streaming_disabled() is False
    assert make(streaming=False)._streaming_disabled() is True


@pytest.mark.parametrize(
    ("several", "asked", "disabled"),
    [(2, {}, True), (2, {"stream": True}, False), (1, {}, False)],
)
def test_several_answers_are_not_streamed_unless_that_is_asked_for(
    several: int, asked: dict[str, Any], disabled: bool
) -> None:
    assert make(n=several)._streaming_disabled(**asked) is disabled
    assert make()._streaming_disabled(n=several, **asked) is disabled


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_what_is_stored_comes_back_with_secrets_from_elsewhere() -> None:
    headers = SECRETS["default_headers"]
    model = make(model="qwen-3.8-27b", temperature=0, stop=["."], verify=True, **SECRETS)
    proxy = secret_of(model.proxy)

    stored = json.loads(json.dumps(dumpd(model)))
    again = load(
        stored,
        allowed_objects=[ChatCerebrasInference],
        valid_namespaces=["langchain_cerebras_inference"],
        secrets_map={
            "CEREBRAS_API_KEY": SECRETS["api_key"],
            "CEREBRAS_COOKIES": secret_of(model.cookies),
            "CEREBRAS_PROXY": proxy,
            "CEREBRAS_QUOTA_STORE": secret_of(model.quota_store),
        },
    )

    assert stored["id"] == [
        "langchain_cerebras_inference",
        "chat_models",
        "ChatCerebrasInference",
    ]
    assert again.default_headers is None
    assert again == model.model_copy(update={"default_headers": None})
    assert make(default_headers=headers).default_headers == {
        "X-Gateway": SecretStr("header" * 3)
    }


def test_what_is_stored_names_the_secrets_variables() -> None:
    stored = dumpd(make(**SECRETS))["kwargs"]

    assert stored["cerebras_api_key"]["id"] == ["CEREBRAS_API_KEY"]
    assert stored["cookies"]["id"] == ["CEREBRAS_COOKIES"]
    assert stored["proxy"]["id"] == ["CEREBRAS_PROXY"]
    assert stored["quota_store"]["id"] == ["CEREBRAS_QUOTA_STORE"]
    assert "default_headers" not in stored


def test_a_key_function_is_stored_as_a_secret() -> None:
    stored = dumpd(make(api_key=lambda: "k"))["kwargs"]

    assert stored["cerebras_api_key"]["id"] == ["CEREBRAS_API_KEY"]


# --- what traces and caches see ----------------------------------------------------------


def test_traces_see_the_fields() -> None:
    model = make(model="llama-3.1-8b", temperature=0, max_tokens=10, stop=".")

    assert model._get_ls_params() == {
        "ls_provider": "cerebras",
        "ls_model_name": "llama3.1-8b",
        "ls_model_type": "chat",
        "ls_temperature": 0,
        "ls_max_tokens": 10,
        "ls_stop": ["."],
    }
    assert make()._get_ls_params().keys() == {"ls_provider", "ls_model_name", "ls_model_type"}


@pytest.mark.parametrize(
    ("arguments", "seen"),
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
)
def test_traces_see_the_arguments_of_the_call(
    arguments: dict[str, Any], seen: dict[str, Any]
) -> None:
    params = make(model="mine", temperature=1)._get_ls_params(**arguments)

    assert {name: params.get(name) for name in seen} == seen


DECIDES: list[dict[str, Any]] = [
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
    {"base_url": "https://gateway.example/v1"},
    {"n": 2},
]


def test_the_cache_tells_apart_all_that_decides_the_answer() -> None:
    keys = [make(**fields)._get_llm_string() for fields in DECIDES]

    assert len(set(keys)) == len(DECIDES)


@pytest.mark.parametrize(
    ("fields", "others", "arguments"),
    [
        ({"temperature": 0}, {"temperature": 1}, {"temperature": None}),
        ({}, {"model": "qwen-3.8-27b"}, {"model": None}),
        ({"extra_body": {"a": 1}}, {"extra_body": {"a": 2}}, {"extra_body": {"b": 1}}),
        ({"output_version": "v1"}, {}, {}),
    ],
)
def test_the_cache_tells_models_apart_whatever_a_call_adds(
    fields: dict[str, Any], others: dict[str, Any], arguments: dict[str, Any]
) -> None:
    one, other = make(**fields), make(**others)

    assert one._get_llm_string(**arguments) != other._get_llm_string(**arguments)


def test_the_cache_knows_an_argument_by_each_of_its_names() -> None:
    model = make()

    given: list[dict[str, Any]] = [{"max_tokens": 5}, {"max_completion_tokens": 5}]
    keys = [model._get_llm_string(**each) for each in given]

    assert keys[0] == keys[1]


def test_the_cache_tells_schemas_of_one_name_apart() -> None:
    schemas: list[Any] = [
        create_model("Answer", height=(int, ...)),
        create_model("Answer", place=(str, ...)),
    ]

    for name in ("response_format", "tools"):
        given = [[each] if name == "tools" else each for each in schemas]
        assert len({make()._get_llm_string(**{name: each}) for each in given}) == 2


def test_the_cache_tells_calls_apart_by_their_arguments() -> None:
    model = make()
    calls: list[dict[str, Any]] = [
        {},
        {"temperature": 0},
        {"model": "other"},
        {"stop": ["."]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": Tide},
    ]

    keys = [model._get_llm_string(**arguments) for arguments in calls]

    assert len(set(keys)) == len(calls)


def test_the_caches_key_is_the_same_for_the_same_call_and_holds_no_secret() -> None:
    one = make(**SECRETS, tags=["a"], timeout=5, max_retries=0)._get_llm_string(stop=["."])
    other = make(stop=["."])._get_llm_string()
    alias = make(model="llama-3.1-8b")._get_llm_string()

    assert one == other
    assert alias == make()._get_llm_string(model="llama3.1-8b")
    assert [word for word in WORDS if word in one] == []


def test_the_caches_key_is_the_same_in_every_process() -> None:
    program = (
        "from langchain_cerebras_inference import ChatCerebrasInference as Chat\n"
        "print(Chat(seed=1, extra_body={'a': 1})._get_llm_string(logit_bias={'1': 2}))"
    )
    keys = {
        subprocess.check_output(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    }

    assert len(keys) == 1


def test_a_changed_model_is_another_to_traces_and_caches() -> None:
    model = make(model="mine", temperature=1)
    before = model._get_llm_string(), dumps(model)

    model.temperature = 0
    copied = model.model_copy(update={"model_name": "other"})

    assert model._get_llm_string() != before[0]
    assert dumps(model) != before[1]
    assert json.loads(dumps(copied))["kwargs"]["model_name"] == "other"
    assert copied._get_ls_params()["ls_model_name"] == "other"


def test_what_core_caches_of_a_model_is_not_kept_when_it_changes() -> None:
    """Core's traces name the model by a cached property, `_serialized`."""
    model = make(model="mine")
    first = model._serialized["kwargs"]["model_name"]

    copied = model.model_copy(update={"model_name": "other"})
    model.model_name = "third"

    assert first == "mine"
    assert copied._serialized["kwargs"]["model_name"] == "other"
    assert model._serialized["kwargs"]["model_name"] == "third"


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("cerebras_api_key", " csk-1 ", SecretStr("csk-1")),
        ("cookies", {"a": "b"}, SecretStr("a=b")),
        ("default_headers", {"X-A": "b"}, {"X-A": SecretStr("b")}),
        ("cerebras_api_base", "https://gateway.example", "https://gateway.example/v1"),
        ("timeout", None, 60.0),
    ],
)
def test_a_field_that_is_set_later_is_read_as_at_construction(
    name: str, value: Any, held: Any
) -> None:
    model = make()
    setattr(model, name, value)

    assert getattr(model, name) == held
    assert getattr(make().model_copy(update={name: value}), name) == held


def test_the_environment_has_no_say_in_a_field_that_is_set_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make(api_key="k")
    monkeypatch.setenv("CEREBRAS_COOKIES", "a=b")

    model.verify = False

    assert model.verify is False


@pytest.mark.parametrize(
    ("name", "value"), [("session_url", "http://gateway.example"), ("max_retries", -1)]
)
def test_a_field_that_is_set_later_is_refused_as_at_construction(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        setattr(make(), name, value)
    with pytest.raises(ValidationError, match=name):
        make().model_copy(update={name: value})


def test_a_subclass_may_have_a_field_of_its_own() -> None:
    class Mine(ChatCerebrasInference):
        tone: str = Field("calm", alias="mood")

    given: dict[str, Any] = {"mood": "curt", "model": "mine"}

    assert Mine(**given).tone == "curt"
    assert Mine(**given).model_name == "mine"


@pytest.mark.parametrize("value", ["a name", 5, None])
def test_what_is_no_model_is_refused_by_who_wants_one(value: Any) -> None:
    class Holder(BaseModel):
        model: ChatCerebrasInference | str

    if isinstance(value, str):
        assert Holder(model=value).model == value
    else:
        with pytest.raises(ValidationError):
            Holder(model=value)


def test_the_version_is_in_the_metadata() -> None:
    versions = (make(metadata={"a": 1}).metadata or {})["lc_versions"]

    assert versions["langchain-cerebras-inference"] == "0.1.0"
    assert "langchain-core" in versions


def test_it_has_a_type() -> None:
    assert make()._llm_type == "cerebras-inference"


@pytest.mark.parametrize(
    ("model", "known"), [("gpt-oss-120b", True), ("qwen-3.8-27b", True), ("my-own", False)]
)
def test_a_known_model_has_a_profile(model: str, known: bool) -> None:
    assert bool(make(model=model).profile) is known


def test_a_profile_of_ones_own_wins() -> None:
    profile: Any = {"max_input_tokens": 5}
    model = make(profile=profile)

    assert model.profile == profile
    assert model.model_copy(update={"model_name": "qwen-3.8-27b"}).profile == profile


@pytest.mark.parametrize("first", ["gpt-oss-120b", "my-own"])
@pytest.mark.parametrize("then", ["qwen-3.8-27b", "my-own"])
def test_the_profile_follows_the_name_of_the_model(first: str, then: str) -> None:
    model = make(model=first)
    fields: dict[str, Any] = model.__dict__ | {"model_name": then}
    copied = model.model_copy(update={"model_name": then})
    model.model_name = then

    wanted = make(model=then).profile
    assert [each.profile for each in (model, copied, make(**fields))] == [wanted] * 3


# --- tools, structured output, tokens ----------------------------------------------------


def bound(runnable: Any) -> dict[str, Any]:
    assert isinstance(runnable, RunnableBinding)
    return dict(runnable.kwargs)


def test_tools_are_bound_under_the_names_the_user_knows() -> None:
    tool = {"name": "math.add", "description": "", "parameters": {}}

    kwargs = bound(make().bind_tools([Tide, tool], tool_choice="math.add", strict=True))

    assert [each["function"]["name"] for each in kwargs["tools"]] == ["Tide", "math.add"]
    assert [each["function"]["strict"] for each in kwargs["tools"]] == [True, True]
    assert kwargs["tool_choice"]["function"]["name"] == "math.add"


def test_only_what_is_given_is_bound() -> None:
    assert bound(make().bind_tools([Tide])).keys() == {"tools"}
    assert bound(make().bind_tools([])) == {}
    assert bound(make().bind_tools([], response_format=Tide, temperature=0)) == {
        "response_format": Tide,
        "temperature": 0,
    }
    assert (
        bound(make().bind_tools([Tide], parallel_tool_calls=False))["parallel_tool_calls"]
        is False
    )


def test_tools_with_a_format_are_refused_when_they_are_bound() -> None:
    with pytest.raises(ValueError, match="ToolStrategy"):
        make().bind_tools([Tide], response_format=Tide)


def test_a_choice_of_no_tool_is_refused_when_it_is_bound() -> None:
    with pytest.raises(ValueError, match="'rain'"):
        make().bind_tools([Tide], tool_choice="rain")


def test_structured_output_asks_for_a_schema_by_default() -> None:
    chain: Any = make().with_structured_output(Tide)

    kwargs = bound(chain.first)

    assert kwargs["response_format"]["type"] == "json_schema"
    assert kwargs["response_format"]["json_schema"]["strict"] is True
    assert kwargs["ls_structured_output_format"]["kwargs"] == {
        "method": "json_schema",
        "strict": None,
    }


def test_structured_output_may_be_a_tool_call() -> None:
    chain: Any = make().with_structured_output(Tide, method="function_calling", seed=5)

    kwargs = bound(chain.first)

    assert [each["function"]["name"] for each in kwargs["tools"]] == ["Tide"]
    assert kwargs["tool_choice"] == {"type": "function", "function": {"name": "Tide"}}
    assert kwargs["seed"] == 5
    assert "parallel_tool_calls" not in kwargs


def test_a_tool_may_have_the_name_of_a_choice() -> None:
    schema = {"title": "none", "type": "object", "properties": {}}
    chain: Any = make().with_structured_output(schema, method="function_calling")

    assert bound(chain.first)["tool_choice"]["function"] == {"name": "none"}


@pytest.mark.parametrize("schema", [None, Tide])
def test_structured_output_may_be_any_json(schema: Any) -> None:
    chain: Any = make().with_structured_output(schema, method="json_mode")

    assert bound(chain.first)["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_schema_is_wanted_by_methods_that_send_one(method: Any) -> None:
    with pytest.raises(ValueError, match="needs a schema"):
        make().with_structured_output(method=method)


def test_an_unknown_method_is_refused() -> None:
    method: Any = "magic"

    with pytest.raises(ValueError, match="not 'magic'"):
        make().with_structured_output(Tide, method=method)


def test_tokens_are_estimated_without_a_network() -> None:
    model = make()
    messages = [HumanMessage("How high is the tide?"), AIMessage("Four metres.")]

    alone = model.get_num_tokens_from_messages(messages)
    with_tools = model.get_num_tokens_from_messages(messages, [Tide])

    assert model.get_num_tokens("How high is the tide?") == 6
    assert 70 < alone < 100
    assert with_tools > alone


def test_messages_can_be_trimmed_to_fit() -> None:
    messages = [HumanMessage(f"{number} is a number.") for number in range(50)]

    kept = trim_messages(messages, max_tokens=120, token_counter=make(), strategy="last")

    assert 0 < len(kept) < 50
    assert kept[-1] == messages[-1]


def test_messages_are_counted_in_whatever_order_they_are() -> None:
    half: list[Any] = [AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "a"}])]

    assert make().get_num_tokens_from_messages(half) > 0


def test_reasoning_that_stays_at_home_is_not_counted() -> None:
    thought: Any = {"reasoning_content": "It rises and falls. " * 100}
    turn = AIMessage("Four metres.", additional_kwargs=thought)

    whole, rest = (
        make(model="qwen-3.8-27b", replay_reasoning=each).get_num_tokens_from_messages([turn])
        for each in (True, False)
    )

    assert whole > rest + 300


def test_a_tokenizer_of_ones_own_counts() -> None:
    model = make(custom_get_token_ids=lambda text: [ord(each) for each in text])

    assert model.get_token_ids("Ahoy") == [65, 104, 111, 121]
    assert model.get_num_tokens("Ahoy") == 4


def test_there_are_no_token_ids() -> None:
    with pytest.raises(NotImplementedError, match="Cerebras publishes no tokenizer"):
        make().get_token_ids("Ahoy")


# --- calls that never reach the network --------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'"),
        ({"default_headers": {}}, "a setting of the model"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "up to 4 stop sequences"),
    ],
)
async def test_a_call_that_cannot_be_made_is_refused_before_the_network(
    arguments: dict[str, Any], said: str
) -> None:
    model = make(api_key="k", base_url="https://unreachable.invalid")

    with pytest.raises(ValueError, match=said):
        model.invoke("Ahoy", **arguments)
    with pytest.raises(ValueError, match=said):
        await model.ainvoke("Ahoy", **arguments)
    with pytest.raises(ValueError, match=said):
        next(model.stream("Ahoy", **arguments))
    with pytest.raises(ValueError, match=said):
        await anext(model.astream("Ahoy", **arguments))
