"""The model catalog: limits, capabilities, aliases and retired models.

It is not an allow-list: the id of a model that is not listed here is sent unchanged.
Source of the models: https://inference-docs.cerebras.ai/models/overview (October 2026)
Source of the retired models: https://inference-docs.cerebras.ai/support/deprecation
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import ModelProfile

T = TypeVar("T")

logger = logging.getLogger("langchain_cerebras_inference")

DEFAULT_MODEL = "gpt-oss-120b"

PRICES_DATE = "October 2026"
"""The date of the prices in `MODELS`."""

ReplayStyle: TypeAlias = Literal["reasoning", "think"]
"""Where earlier reasoning is put in a request: in the field `reasoning`, or in the content, in
`<think>` tags."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model with its limits, prices and capabilities.

    Unknown values are `None`; unknown capabilities have the defaults below.

    Attributes:
        id: The value for `model`.
        owner: The organization that trained the model.
        context_tokens: Maximum length of prompt and completion together, in tokens.
        output_tokens: Maximum length of a completion, reasoning included, in tokens.
        input_price: Price of a million prompt tokens, in US dollars.
        output_price: Price of a million completion tokens, in US dollars.
        images: Whether user messages can contain images.
        reasoning_efforts: The values that `reasoning_effort` accepts, lowest first.
        default_effort: The effort that the server uses if the request has no
            `reasoning_effort`.
        tool_calling: Whether the model can call tools.
        deprecated: Whether Cerebras has announced that it will retire the model.
        preview: Whether Cerebras offers the model only as a preview.
        quantization: The number format of the weights, in Cerebras' words.
        datacenter_locations: Where the model runs.
        description: What the model is for, in Cerebras' words.
        supported_parameters: The names of the request parameters that the model supports,
            according to the public catalog, which is not complete.
    """

    id: str
    owner: str | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    images: bool = False
    reasoning_efforts: tuple[str, ...] = ()
    default_effort: str | None = None
    tool_calling: bool = True
    deprecated: bool = False
    preview: bool | None = None
    quantization: str | None = None
    datacenter_locations: tuple[str, ...] | None = None
    description: str | None = None
    supported_parameters: tuple[str, ...] | None = None

    @property
    def profile(self) -> ModelProfile:
        """LangChain's profile of the model, with the keys whose values are known."""
        return _build_profile(self)


class RetiredModel(NamedTuple):
    """A model that Cerebras no longer serves on shared endpoints.

    Attributes:
        date: When it was retired.
        successor: The model to use instead.
    """

    date: str
    successor: str = DEFAULT_MODEL


MODELS: Mapping[str, ModelInfo] = {
    model.id: model
    for model in (
        ModelInfo(
            "gpt-oss-120b",
            owner="OpenAI",
            context_tokens=131_072,
            output_tokens=40_960,
            input_price=0.35,
            output_price=0.75,
            reasoning_efforts=("low", "medium", "high"),
            default_effort="medium",
        ),
        ModelInfo(
            "qwen-3.8-27b",
            owner="Qwen",
            context_tokens=131_072,
            output_tokens=40_960,
            input_price=0.99,
            output_price=1.49,
            images=True,
            reasoning_efforts=("none", "low", "medium", "high"),
            default_effort="high",
        ),
    )
}

RETIRED_MODELS: Mapping[str, RetiredModel] = {
    "llama3.1-70b": RetiredModel("2025-01-17"),
    "qwen-3-235b-a22b": RetiredModel("2025-07-29"),
    "deepseek-r1-distill-llama-70b": RetiredModel("2025-08-12"),
    "llama-4-maverick-17b-128e-instruct": RetiredModel("2025-10-15"),
    "llama-4-scout-17b-16e-instruct": RetiredModel("2025-11-03"),
    "qwen-3-coder-480b": RetiredModel("2025-11-05", "qwen-3.8-27b"),
    "qwen-3-235b-a22b-thinking-2507": RetiredModel("2025-11-14"),
    "zai-glm-4.6": RetiredModel("2026-01-20", "qwen-3.8-27b"),
    "llama-3.3-70b": RetiredModel("2026-02-16"),
    "llama3.3-70b": RetiredModel("2026-02-16"),
    "qwen-3-32b": RetiredModel("2026-02-16"),
    "llama3.1-8b": RetiredModel("2026-05-27"),
    "qwen-3-235b-a22b-instruct-2507": RetiredModel("2026-05-27"),
    "zai-glm-4.7": RetiredModel("2026-08-17", "qwen-3.8-27b"),
    "gemma-4-31b": RetiredModel("2026-09-03", "qwen-3.8-27b"),
}

ALIASES: Mapping[str, str] = {
    "llama-3.1-70b": "llama3.1-70b",
    "llama-3.1-8b": "llama3.1-8b",
    "deepseek-r1": "deepseek-r1-distill-llama-70b",
}


@cache
def resolve_model_id(model: str) -> str:
    """Return the id for an alias and log a warning, once per alias (cached).

    Any other model id is returned unchanged.
    """
    if model not in ALIASES:
        return model
    model_id = ALIASES[model]
    logger.warning("%r is an alias of the model id %r. Use %r.", model, model_id, model_id)
    return model_id


def get_replay_style(model: str) -> ReplayStyle:
    """Return where a model expects its earlier reasoning. GLM expects it in the content."""
    return "think" if model.startswith("zai-glm") else "reasoning"


def accepts_developer_role(model: str) -> bool:
    """Return whether a model accepts messages with the role `developer`."""
    return model.startswith("gpt-oss")


def accepts_images(model: str, profile: ModelProfile | None = None) -> bool | None:
    """Return whether a model accepts images, or `None` if this is unknown.

    Args:
        model: The id of the model.
        profile: The profile of the model. One that the user has set takes precedence.
    """
    catalog_profile = find_profile(model) or {}
    user_profile = {} if profile is None or is_default_profile(profile) else profile
    return user_profile.get("image_inputs", catalog_profile.get("image_inputs"))


@cache
def find_profile(model: str) -> ModelProfile | None:
    """Return LangChain's profile of a model, or `None` if it is not in the catalog."""
    info = MODELS.get(model)
    return None if info is None else _build_profile(info)


def is_default_profile(profile: Any) -> bool:
    """Return whether a profile is `None` or from this catalog, and not set by the user."""
    return profile is None or any(profile == find_profile(model) for model in MODELS)


def _build_profile(info: ModelInfo) -> ModelProfile:
    profile: dict[str, Any] = {
        "name": info.id,
        "max_input_tokens": info.context_tokens,
        "max_output_tokens": info.output_tokens,
        "text_inputs": True,
        "image_inputs": info.images,
        "image_url_inputs": False,
        "pdf_inputs": False,
        "audio_inputs": False,
        "video_inputs": False,
        "image_tool_message": info.images,
        "pdf_tool_message": False,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "reasoning_output": bool(info.reasoning_efforts) or None,
        "reasoning_effort_levels": list(info.reasoning_efforts) or None,
        "reasoning_effort_default": info.default_effort,
        "tool_calling": info.tool_calling,
        "tool_choice": info.tool_calling,
        "tool_call_streaming": info.tool_calling,
        # Agents would send `response_format` together with tools, which some models
        # reject: https://inference-docs.cerebras.ai/capabilities/tool-use
        "structured_output": False,
        "attachment": info.images,
        "temperature": True,
    }
    # older versions of langchain-core know fewer keys
    return {name: value for name, value in profile.items() if value is not None}  # type: ignore[return-value]


def merge_model_lists(usable_models: Any, public_catalog: Any) -> list[ModelInfo]:
    """Merge two responses: the models for the user's key, and the public catalog.

    Args:
        usable_models: The response of `/v1/models`. All its models are listed, and no others.
        public_catalog: The response of `/public/v1/models`, which has limits and prices.
    """
    public_entries = {entry["id"]: entry for entry in _get_entries(public_catalog)}
    return [
        _build_info(entry["id"], public_entries.get(entry["id"]))
        for entry in _get_entries(usable_models)
    ]


def _get_entries(response: Any) -> list[dict[str, Any]]:
    """Return the entries of a model list. Those without an id are skipped."""
    entries = response.get("data") if isinstance(response, dict) else None
    return [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]


def _build_info(model: str, public_entry: dict[str, Any] | None) -> ModelInfo:
    """Merge an entry of the public catalog, which takes precedence, with this catalog."""
    info = MODELS.get(model, ModelInfo(model))
    if public_entry is None:
        return info
    limits = _get_object(public_entry, "limits")
    prices = _get_object(public_entry, "pricing")
    capabilities = _get_object(public_entry, "capabilities")
    return replace(
        info,
        owner=public_entry.get("owned_by") or info.owner,
        context_tokens=limits.get("max_context_length") or info.context_tokens,
        output_tokens=limits.get("max_completion_tokens") or info.output_tokens,
        input_price=_to_price_per_million(prices.get("prompt")) or info.input_price,
        output_price=_to_price_per_million(prices.get("completion")) or info.output_price,
        images=bool(capabilities.get("vision", info.images)),
        tool_calling=bool(capabilities.get("tools", info.tool_calling)),
        deprecated=bool(public_entry.get("deprecated")),
        preview=_get_value(public_entry, "preview", bool),
        quantization=_get_value(public_entry, "quantization", str),
        datacenter_locations=_get_names(public_entry, "datacenter_locations"),
        description=_get_value(public_entry, "description", str),
        supported_parameters=_get_names(public_entry, "supported_parameters"),
    )


def _get_value(entry: dict[str, Any], key: str, expected_type: type[T]) -> T | None:
    value = entry.get(key)
    return value if isinstance(value, expected_type) else None


def _get_names(entry: dict[str, Any], key: str) -> tuple[str, ...] | None:
    """Return names from a list, or from an object those with the value `true`."""
    value = entry.get(key)
    if isinstance(value, dict):
        return tuple(name for name in value if value[name] is True)
    if isinstance(value, list):
        return tuple(name for name in value if isinstance(name, str))
    return None


def _get_object(entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _to_price_per_million(price_per_token: Any) -> float | None:
    try:
        return round(float(price_per_token) * 1_000_000, 6)
    except (TypeError, ValueError):
        return None
