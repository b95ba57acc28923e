"""Models: limits, abilities, aliases, retired ids."""

import logging
from typing import Any, get_type_hints

import pytest
from langchain_core.language_models import ModelProfile

from langchain_cerebras_inference import _model_catalog
from langchain_cerebras_inference._model_catalog import (
    ALIASES,
    DEFAULT_MODEL,
    MODELS,
    RETIRED,
    ModelInfo,
    merged,
    profile,
    replay_style,
    resolve,
    takes_developer_role,
)


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("llama-3.1-70b", "llama3.1-70b"),
        ("llama-3.1-8b", "llama3.1-8b"),
        ("deepseek-r1", "deepseek-r1-distill-llama-70b"),
    ],
)
def test_an_alias_resolves_with_one_warning(
    alias: str, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    resolve.cache_clear()

    with caplog.at_level(logging.WARNING):
        resolved = [resolve(alias) for _ in range(3)]

    assert resolved == [model] * 3
    assert caplog.messages == [f"the model name {alias!r} stands for {model!r}; use that"]


@pytest.mark.parametrize("model", ["gpt-oss-120b", "llama3.1-8b", "my-own-endpoint", ""])
def test_any_other_id_is_sent_as_it_is(model: str, caplog: pytest.LogCaptureFixture) -> None:
    resolve.cache_clear()

    resolved = resolve(model)

    assert resolved == model
    assert caplog.messages == []


def test_what_an_alias_stands_for_is_retired_and_its_successor_is_not() -> None:
    assert set(ALIASES.values()) <= RETIRED.keys()
    assert {retired.successor for retired in RETIRED.values()} <= MODELS.keys()
    assert not MODELS.keys() & RETIRED.keys()


def test_the_default_model_is_one_that_is_served() -> None:
    assert DEFAULT_MODEL == "gpt-oss-120b"
    assert DEFAULT_MODEL in MODELS


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("gpt-oss-120b", "reasoning"),
        ("qwen-3.8-27b", "reasoning"),
        ("my-own-endpoint", "reasoning"),
        ("zai-glm-4.7", "think"),
    ],
)
def test_glm_alone_reads_its_reasoning_in_the_content(model: str, style: str) -> None:
    assert replay_style(model) == style


@pytest.mark.parametrize(
    ("model", "takes"), [("gpt-oss-120b", True), ("qwen-3.8-27b", False), ("mine", False)]
)
def test_gpt_oss_alone_knows_developers(model: str, takes: bool) -> None:
    assert takes_developer_role(model) is takes


# --- profiles ----------------------------------------------------------------------------


def test_the_profile_says_what_a_model_can_do() -> None:
    found = profile("qwen-3.8-27b")

    assert found is not None
    assert found["max_input_tokens"] == 131_072
    assert found["max_output_tokens"] == 40_960
    assert found["image_inputs"] is True
    assert found["image_url_inputs"] is False
    assert found["reasoning_output"] is True
    assert found["tool_calling"] is True


@pytest.mark.parametrize("model", MODELS)
def test_no_profile_lets_an_agent_send_a_format_with_tools(model: str) -> None:
    found = profile(model)

    assert found is not None
    assert found["structured_output"] is False


@pytest.mark.parametrize("model", MODELS)
def test_a_profile_says_only_what_langchain_asks(model: str) -> None:
    found = profile(model)

    assert found is not None
    assert found.keys() <= get_type_hints(ModelProfile).keys()


def test_an_unknown_model_has_no_profile() -> None:
    assert profile("my-own-endpoint") is None


# --- listings ----------------------------------------------------------------------------

PUBLIC: dict[str, Any] = {
    "id": "new-model",
    "owned_by": "Somebody",
    "pricing": {"prompt": "0.00000035", "completion": "0.00000075"},
    "capabilities": {"vision": True, "tools": False},
    "limits": {"max_context_length": 65_536, "max_completion_tokens": 8_192},
    "deprecated": True,
}


def test_a_listed_model_has_what_the_public_catalogue_knows() -> None:
    [found] = merged({"data": [{"id": "new-model"}]}, {"data": [PUBLIC]})

    assert found == ModelInfo(
        "new-model",
        owner="Somebody",
        context_tokens=65_536,
        output_tokens=8_192,
        input_price=0.35,
        output_price=0.75,
        images=True,
        tool_calling=False,
        deprecated=True,
    )


def test_a_model_the_public_catalogue_lacks_is_as_it_is_known_here() -> None:
    found = merged({"data": [{"id": "gpt-oss-120b"}, {"id": "my-own-endpoint"}]}, {})

    assert found == [MODELS["gpt-oss-120b"], ModelInfo("my-own-endpoint")]


def test_only_models_of_this_key_are_listed() -> None:
    assert merged({"data": []}, {"data": [PUBLIC]}) == []


@pytest.mark.parametrize(
    "public",
    [
        {"id": "gpt-oss-120b"},
        {"id": "gpt-oss-120b", "limits": None, "pricing": None, "capabilities": None},
        {"id": "gpt-oss-120b", "pricing": {"prompt": "0", "completion": "free"}},
        {"id": "gpt-oss-120b", "pricing": {"prompt": None}},
        {"id": "gpt-oss-120b", "limits": "none", "pricing": [], "capabilities": 5},
    ],
)
def test_gaps_in_the_public_catalogue_are_filled_from_here(public: dict[str, Any]) -> None:
    assert merged({"data": [{"id": "gpt-oss-120b"}]}, {"data": [public]}) == [
        MODELS["gpt-oss-120b"]
    ]


@pytest.mark.parametrize(
    "listing",
    [None, [], "models", {}, {"data": None}, {"data": ["a", None, {}, {"id": 5}]}],
)
def test_odd_entries_are_left_out(listing: Any) -> None:
    assert merged(listing, listing) == []


def test_a_model_says_what_it_is() -> None:
    assert _model_catalog.MODELS["gpt-oss-120b"].reasoning_efforts == ("low", "medium", "high")
    assert _model_catalog.MODELS["qwen-3.8-27b"].default_effort == "high"
