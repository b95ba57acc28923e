"""What an answer cost and how fast it came, in LangChain's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import (
    InputTokenDetails,
    OutputTokenDetails,
    UsageMetadata,
)

from langchain_cerebras_inference._conversion import checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_cerebras_inference import _wire


def to_usage(usage: _wire.Usage | None) -> UsageMetadata | None:
    """Make LangChain's usage; reasoning and cached tokens are parts of the totals."""
    if not usage:
        return None
    prompt = checks.count(usage.get("prompt_tokens"))
    completion = checks.count(usage.get("completion_tokens"))
    made = UsageMetadata(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=checks.count(usage.get("total_tokens")) or prompt + completion,
    )
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    if cached is not None:
        made["input_token_details"] = InputTokenDetails(cache_read=checks.count(cached))
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if thought is not None:
        made["output_token_details"] = OutputTokenDetails(reasoning=checks.count(thought))
    return made


def to_speed(reply: Mapping[str, Any]) -> float | None:
    """Tokens a second, where the reply tells both."""
    tokens = (reply.get("usage") or {}).get("completion_tokens")
    seconds = (reply.get("time_info") or {}).get("completion_time")
    return round(tokens / seconds, 1) if tokens and seconds else None
