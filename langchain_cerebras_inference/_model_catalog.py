"""Models: limits, abilities, aliases, retired ids. Data, and how to look it up.

There is no allow-list: an id that is not here is sent as it is. The shared models are
those of https://inference-docs.cerebras.ai/models/overview as of October 2026, the
retired ones those of https://inference-docs.cerebras.ai/support/deprecation.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import ModelProfile

logger = logging.getLogger("langchain_cerebras_inference")

DEFAULT_MODEL = "gpt-oss-120b"

Replay: TypeAlias = Literal["reasoning", "think"]
"""How earlier reasoning goes back: in its own field, or inside the content in tags."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model as Cerebras lists it.

    Attributes:
        id: What goes into `model`.
        owner: Who trained it.
        context_tokens: Longest prompt and completion together, in tokens.
        output_tokens: Longest completion, reasoning included, in tokens.
        input_price: US dollars for a million prompt tokens.
        output_price: US dollars for a million completion tokens.
        images: Whether user messages may hold images.
        reasoning_efforts: The accepted values of `reasoning_effort`, lowest first.
        default_effort: What the server takes when none is sent.
        tool_calling: Whether tools may be given.
        deprecated: Whether Cerebras has announced its end.
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


class Retired(NamedTuple):
    """A model that Cerebras no longer serves on shared endpoints."""

    on: str
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

RETIRED: Mapping[str, Retired] = {
    "llama3.1-70b": Retired("2025-01-17"),
    "qwen-3-235b-a22b": Retired("2025-07-29"),
    "deepseek-r1-distill-llama-70b": Retired("2025-08-12"),
    "llama-4-maverick-17b-128e-instruct": Retired("2025-10-15"),
    "llama-4-scout-17b-16e-instruct": Retired("2025-11-03"),
    "qwen-3-coder-480b": Retired("2025-11-05", "qwen-3.8-27b"),
    "qwen-3-235b-a22b-thinking-2507": Retired("2025-11-14"),
    "zai-glm-4.6": Retired("2026-01-20", "qwen-3.8-27b"),
    "llama-3.3-70b": Retired("2026-02-16"),
    "llama3.3-70b": Retired("2026-02-16"),
    "qwen-3-32b": Retired("2026-02-16"),
    "llama3.1-8b": Retired("2026-05-27"),
    "qwen-3-235b-a22b-instruct-2507": Retired("2026-05-27"),
    "zai-glm-4.7": Retired("2026-08-17", "qwen-3.8-27b"),
    "gemma-4-31b": Retired("2026-09-03", "qwen-3.8-27b"),
}

ALIASES: Mapping[str, str] = {
    "llama-3.1-70b": "llama3.1-70b",
    "llama-3.1-8b": "llama3.1-8b",
    "deepseek-r1": "deepseek-r1-distill-llama-70b",
}


@cache
def resolve(model: str) -> str:
    """The id behind an alias, with one warning; any other id as it is."""
    if model not in ALIASES:
        return model
    logger.warning("the model name %r stands for %r; use that", model, ALIASES[model])
    return ALIASES[model]


def replay_style(model: str) -> Replay:
    """Where `model` wants its earlier reasoning: GLM alone reads it in the content."""
    return "think" if model.startswith("zai-glm") else "reasoning"


def takes_developer_role(model: str) -> bool:
    return model.startswith("gpt-oss")


@cache
def profile(model: str) -> ModelProfile | None:
    """LangChain's profile of a model, or `None` for one that is not known here."""
    info = MODELS.get(model)
    return None if info is None else _to_profile(info)


def follows_model(given: Any) -> bool:
    """Whether a profile is none or one from here, and not one of the user's own."""
    return given is None or any(given == profile(model) for model in MODELS)


def _to_profile(info: ModelInfo) -> ModelProfile:
    facts: dict[str, Any] = {
        "name": info.id,
        "max_input_tokens": info.context_tokens,
        "max_output_tokens": info.output_tokens,
        "text_inputs": True,
        "image_inputs": info.images,
        "image_url_inputs": False,
        "pdf_inputs": False,
        "audio_inputs": False,
        "video_inputs": False,
        "image_tool_message": False,
        "pdf_tool_message": False,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "reasoning_output": True,
        "reasoning_effort_levels": list(info.reasoning_efforts),
        "reasoning_effort_default": info.default_effort,
        "tool_calling": info.tool_calling,
        "tool_choice": info.tool_calling,
        "tool_call_streaming": info.tool_calling,
        # Agents read this as "response_format may travel with tools", which the
        # server refuses: https://inference-docs.cerebras.ai/capabilities/tool-use
        "structured_output": False,
        "attachment": info.images,
        "temperature": True,
    }
    return facts  # type: ignore[return-value] # core's TypedDict grows with versions


def merged(mine: Any, public: Any) -> list[ModelInfo]:
    """The models of `/v1/models`, with what `/public/v1/models` adds."""
    entries = {each["id"]: each for each in _entries(public)}
    return [_to_info(each, entries.get(each["id"], {})) for each in _entries(mine)]


def _entries(listing: Any) -> list[dict[str, Any]]:
    data = listing.get("data") if isinstance(listing, dict) else None
    return [
        each
        for each in (data if isinstance(data, list) else [])
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    ]


def _to_info(listed: dict[str, Any], public: dict[str, Any]) -> ModelInfo:
    known = MODELS.get(listed["id"], ModelInfo(listed["id"]))
    if not public:
        return known
    facts = (public.get(name) for name in ("limits", "pricing", "capabilities"))
    limits, prices, abilities = (each if isinstance(each, dict) else {} for each in facts)
    return replace(
        known,
        owner=public.get("owned_by") or known.owner,
        context_tokens=limits.get("max_context_length") or known.context_tokens,
        output_tokens=limits.get("max_completion_tokens") or known.output_tokens,
        input_price=_per_million(prices.get("prompt")) or known.input_price,
        output_price=_per_million(prices.get("completion")) or known.output_price,
        images=bool(abilities.get("vision", known.images)),
        tool_calling=bool(abilities.get("tools", known.tool_calling)),
        deprecated=bool(public.get("deprecated")),
    )


def _per_million(price: Any) -> float | None:
    try:
        return round(float(price) * 1_000_000, 6)
    except (TypeError, ValueError):
        return None
