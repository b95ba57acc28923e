"""The model catalog: aliases, profiles and listings."""

import logging
from typing import Any, get_type_hints

import pytest
from langchain_core.language_models import ModelProfile

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._model_catalog import (
    ALIASES,
    DEFAULT_MODEL,
    MODELS,
    RETIRED_MODELS,
    ModelInfo,
    accepts_developer_role,
    find_profile,
    get_replay_style,
    merge_model_lists,
    resolve_model_id,
)


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("llama-3.1-70b", "llama3.1-70b"),
        ("llama-3.1-8b", "llama3.1-8b"),
        ("deepseek-r1", "deepseek-r1-distill-llama-70b"),
    ],
)
def test_alias_is_resolved_with_one_warning(
    alias: str, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    resolve_model_id.cache_clear()

    with caplog.at_level(logging.WARNING):
        resolved = [resolve_model_id(alias) for _ in range(3)]

    assert resolved == [model] * 3
    assert caplog.messages == [
        f"{alias!r} is an alias of the model id {model!r}. Use {model!r}."
    ]


@pytest.mark.parametrize("model", ["gpt-oss-120b", "llama3.1-8b", "my-own-endpoint", ""])
def test_other_model_ids_are_unchanged(model: str, caplog: pytest.LogCaptureFixture) -> None:
    resolve_model_id.cache_clear()

    assert resolve_model_id(model) == model
    assert caplog.messages == []


def test_successors_of_retired_models_are_in_the_catalog() -> None:
    assert set(ALIASES.values()) <= RETIRED_MODELS.keys()
    assert {retired.successor for retired in RETIRED_MODELS.values()} <= MODELS.keys()
    assert not MODELS.keys() & RETIRED_MODELS.keys()


def test_default_model_is_in_the_catalog() -> None:
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
def test_only_glm_reads_its_reasoning_in_the_content(model: str, style: str) -> None:
    assert get_replay_style(model) == style


@pytest.mark.parametrize(
    ("model", "expected"), [("gpt-oss-120b", True), ("qwen-3.8-27b", False), ("mine", False)]
)
def test_only_gpt_oss_has_the_developer_role(model: str, expected: bool) -> None:
    assert accepts_developer_role(model) is expected


# --- profiles ----------------------------------------------------------------------------


def test_profile_has_limits_and_capabilities() -> None:
    profile = find_profile("qwen-3.8-27b")

    assert profile is not None
    assert profile["max_input_tokens"] == 131_072
    assert profile["max_output_tokens"] == 40_960
    assert profile["image_inputs"] is True
    assert profile["image_url_inputs"] is False
    assert profile["reasoning_output"] is True
    assert profile["tool_calling"] is True


@pytest.mark.parametrize("model", MODELS)
def test_profile_keeps_agents_from_sending_response_format_with_tools(model: str) -> None:
    profile = find_profile(model)

    assert profile is not None
    assert profile["structured_output"] is False


@pytest.mark.parametrize("model", MODELS)
def test_profile_has_only_keys_of_langchain(model: str) -> None:
    profile = find_profile(model)

    assert profile is not None
    assert profile.keys() <= get_type_hints(ModelProfile).keys()


def test_unknown_model_has_no_profile() -> None:
    assert find_profile("my-own-endpoint") is None


# --- listings ----------------------------------------------------------------------------

PUBLIC_ENTRY: dict[str, Any] = {
    "id": "new-model",
    "owned_by": "Somebody",
    "pricing": {"prompt": "0.00000035", "completion": "0.00000075"},
    "capabilities": {"vision": True, "tools": False},
    "limits": {"max_context_length": 65_536, "max_completion_tokens": 8_192},
    "deprecated": True,
    "preview": True,
    "quantization": "FP16/8 (weights only)",
    "datacenter_locations": ["Dallas", "Montreal"],
    "description": "Writes code.",
    "supported_parameters": {"temperature": True, "logprobs": False, "seed": True},
}


def test_listed_model_has_the_details_of_the_public_catalog() -> None:
    [info] = merge_model_lists({"data": [{"id": "new-model"}]}, {"data": [PUBLIC_ENTRY]})

    assert info == ModelInfo(
        "new-model",
        owner="Somebody",
        context_tokens=65_536,
        output_tokens=8_192,
        input_price=0.35,
        output_price=0.75,
        images=True,
        tool_calling=False,
        deprecated=True,
        preview=True,
        quantization="FP16/8 (weights only)",
        datacenter_locations=("Dallas", "Montreal"),
        description="Writes code.",
        supported_parameters=("temperature", "seed"),
    )
    assert hash(info) is not None


def list_entry(**public_fields: Any) -> ModelInfo:
    """List one model with these fields in its entry of the public catalog."""
    public_entry = {"id": "new-model", **public_fields}
    [info] = merge_model_lists({"data": [{"id": "new-model"}]}, {"data": [public_entry]})
    return info


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("preview", False, False),
        ("preview", None, None),
        ("preview", "yes", None),
        ("quantization", None, None),
        ("quantization", 8, None),
        ("datacenter_locations", [], ()),
        ("datacenter_locations", ["Dallas", None], ("Dallas",)),
        ("datacenter_locations", None, None),
        ("datacenter_locations", "Dallas", None),
        ("description", "", ""),
        ("description", ["a"], None),
        ("supported_parameters", {}, ()),
        ("supported_parameters", {"seed": None, "stop": True}, ("stop",)),
        ("supported_parameters", ["seed", "stop"], ("seed", "stop")),
        ("supported_parameters", None, None),
    ],
)
def test_missing_or_unusual_details_are_none(name: str, value: Any, expected: Any) -> None:
    assert getattr(list_entry(**{name: value}), name) == expected
    assert getattr(list_entry(), name) is None


# --- profiles of listed models -----------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_profile_of_a_known_model_is_the_default_profile(model: str) -> None:
    assert MODELS[model].profile == find_profile(model)


def test_profile_of_a_listed_model_has_its_details() -> None:
    [info] = merge_model_lists({"data": [{"id": "new-model"}]}, {"data": [PUBLIC_ENTRY]})

    assert info.profile["name"] == "new-model"
    assert info.profile["max_input_tokens"] == 65_536
    assert info.profile["image_inputs"] is True
    assert info.profile["tool_calling"] is False
    assert ChatCerebrasInference(model=info.id, profile=info.profile).profile == info.profile


def test_profile_of_an_unknown_model_has_only_known_values() -> None:
    profile = ModelInfo("my-own-endpoint").profile

    assert profile["name"] == "my-own-endpoint"
    assert None not in profile.values()
    assert not profile.keys() & {"max_input_tokens", "max_output_tokens", "reasoning_output"}
    assert profile.keys() <= get_type_hints(ModelProfile).keys()


# --- invalid entries ---------------------------------------------------------------------


def test_model_that_is_not_public_has_the_details_of_the_built_in_catalog() -> None:
    infos = merge_model_lists({"data": [{"id": "gpt-oss-120b"}, {"id": "my-own-endpoint"}]}, {})

    assert infos == [MODELS["gpt-oss-120b"], ModelInfo("my-own-endpoint")]


def test_public_model_that_the_key_cannot_use_is_not_listed() -> None:
    assert merge_model_lists({"data": []}, {"data": [PUBLIC_ENTRY]}) == []


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
def test_missing_public_details_come_from_the_built_in_catalog(public: dict[str, Any]) -> None:
    assert merge_model_lists({"data": [{"id": "gpt-oss-120b"}]}, {"data": [public]}) == [
        MODELS["gpt-oss-120b"]
    ]


@pytest.mark.parametrize(
    "response",
    [None, [], "models", {}, {"data": None}, {"data": ["a", None, {}, {"id": 5}]}],
)
def test_invalid_entries_are_skipped(response: Any) -> None:
    assert merge_model_lists(response, response) == []


def test_catalog_has_reasoning_efforts() -> None:
    assert MODELS["gpt-oss-120b"].reasoning_efforts == ("low", "medium", "high")
    assert MODELS["qwen-3.8-27b"].default_effort == "high"
