"""What an answer cost and how fast it came, in LangChain's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages.ai import UsageMetadata

from langchain_cerebras_inference._conversion import type_checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails

    from langchain_cerebras_inference import _types


def to_usage(usage: _types.Usage | None) -> UsageMetadata | None:
    """Make LangChain's usage; its details are parts of the totals."""
    if not usage:
        return None
    prompt = type_checks.count(usage.get("prompt_tokens"))
    completion = type_checks.count(usage.get("completion_tokens"))
    made = UsageMetadata(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=type_checks.count(usage.get("total_tokens")) or prompt + completion,
    )
    asked = usage.get("prompt_tokens_details") or {}
    answered = usage.get("completion_tokens_details") or {}
    # Images and predictions are counted, as 0, in answers to which there were none.
    input_details = _counts(
        cache_read=asked.get("cached_tokens"), image=usage.get("image_tokens") or None
    )
    output_details = _counts(
        reasoning=answered.get("reasoning_tokens"),
        accepted_prediction=answered.get("accepted_prediction_tokens") or None,
        rejected_prediction=answered.get("rejected_prediction_tokens") or None,
    )
    if input_details:
        made["input_token_details"] = cast("InputTokenDetails", input_details)
    if output_details:
        made["output_token_details"] = cast("OutputTokenDetails", output_details)
    return made


def _counts(**counts: Any) -> dict[str, int]:
    return {name: type_checks.count(each) for name, each in counts.items() if each is not None}


def to_speed(reply: Mapping[str, Any]) -> float | None:
    """Tokens a second, where the reply tells both."""
    tokens = (reply.get("usage") or {}).get("completion_tokens")
    seconds = (reply.get("time_info") or {}).get("completion_time")
    return round(tokens / seconds, 1) if tokens and seconds else None
