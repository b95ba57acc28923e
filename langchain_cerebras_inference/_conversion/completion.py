"""Convert a whole completion to LangChain's result: message, usage and metadata.

The last chunk of a stream has the same usage and metadata, converted by the same functions.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_cerebras_inference._conversion import think_tags, tool_arguments, type_checks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall
    from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails

    from langchain_cerebras_inference._conversion.tools import ToolNames
    from langchain_cerebras_inference._types import Completion

logger = logging.getLogger("langchain_cerebras_inference")

PROVIDER = "cerebras"

CONTENT_FILTER = "content_filter"
"""The finish reason of a completion that the model or the server refuses to give."""

_NORMALIZED_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    CONTENT_FILTER: "refusal",
}
"""Maps finish reasons to LangChain's names, which all providers share."""

KNOWS_NORMALIZED_FINISH_REASON = (
    find_spec("langchain_core.language_models._finish_reason") is not None
)
"""Whether the installed langchain-core (1.8.4 or newer) reads `normalized_finish_reason`."""

_METADATA_FIELDS = (
    ("id", "id", str),
    ("model", "model_name", str),
    ("system_fingerprint", "system_fingerprint", str),
    ("service_tier", "service_tier", str),
    ("service_tier_used", "service_tier_used", str),
    ("time_info", "time_info", dict),
    ("usage", "token_usage", dict),
)
"""Fields of a completion, their names in the metadata, and their types."""

_LLM_OUTPUT_FIELDS = ("model_name", "token_usage")
_LOGPROBS_FIELDS = ("logprobs", "reasoning_logprobs")

_METADATA_HEADER_PREFIXES = (
    "x-ratelimit-",
    "inference-id",
    "x-request-id",
    "cf-ray",
    "server-timing",
)


def convert_completion(
    completion: Completion,
    tool_names: ToolNames,
    headers: Mapping[str, str] | None = None,
    call_metadata: Mapping[str, Any] | None = None,
) -> ChatResult:
    """Convert a completion to a result with one generation for each choice.

    Args:
        completion: The decoded response body, with a list of choices.
        tool_names: Maps tool names in the request to the original names.
        headers: The response headers, if the metadata should contain them.
        call_metadata: Additional metadata about the call.

    Raises:
        CerebrasProtocolError: If the completion has a value of the wrong type.
    """
    usage = convert_usage(completion.get("usage"))
    metadata = convert_metadata(completion, headers, call_metadata)
    generations = []
    for choice in completion["choices"]:
        generations.append(_convert_choice(choice, tool_names, usage, metadata))
        usage = None  # usage covers all choices, so add it only once
    llm_output = {name: metadata[name] for name in _LLM_OUTPUT_FIELDS if name in metadata}
    return ChatResult(generations=generations, llm_output=llm_output)


def combine_llm_outputs(llm_outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Combine the `llm_output` of several results: sum the token usage.

    Results that were streamed or cached have none.
    """
    combined: dict[str, Any] = {}
    for llm_output in llm_outputs:
        for name, value in (llm_output or {}).items():
            if name == "token_usage":
                combined[name] = _add_counts(combined.get(name, {}), value)
            else:
                combined.setdefault(name, value)
    return combined


def _add_counts(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Add the numbers in two objects; objects within them are added recursively."""
    added = dict(first)
    for name, value in second.items():
        current = added.get(name)
        if isinstance(value, dict):
            added[name] = _add_counts(current if isinstance(current, dict) else {}, value)
        elif isinstance(value, (int, float)) and isinstance(current, (int, float)):
            added[name] = current + value
        elif value is not None:
            added[name] = value
    return added


def warn_if_stopped_by_token_limit(finish_reason: str | None) -> None:
    """Log a warning if the finish reason is the token limit.

    Call it only for a completion without text and tool calls.
    """
    if finish_reason == "length":
        logger.warning(
            "The completion stopped at the token limit before its first text, usually because"
            " reasoning used all tokens. Raise max_tokens or lower reasoning_effort."
        )


def get_logprobs(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the log probabilities in a choice, by field name.

    Raises:
        CerebrasProtocolError: If they have the wrong structure.
    """
    return {
        name: type_checks.check_logprobs(name, choice[name])
        for name in _LOGPROBS_FIELDS
        if choice.get(name)
    }


def choose_tool_call_id(server_id: str, used_ids: Collection[str]) -> str:
    """Return the server's id of a tool call, or a new id if that is missing or used."""
    if server_id and server_id not in used_ids:
        return server_id
    number = len(used_ids)
    while f"call_{number}" in used_ids:
        number += 1
    return f"call_{number}"


def convert_metadata(
    completion: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    call_metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Convert the fields of a completion that become response metadata of every choice."""
    metadata: dict[str, Any] = {"model_provider": PROVIDER, **(call_metadata or {})}
    for name, metadata_name, expected_type in _METADATA_FIELDS:
        value = completion.get(name)
        if isinstance(value, expected_type):
            metadata[metadata_name] = value
    if speed := _compute_speed(completion):
        metadata["tokens_per_second"] = speed
    if headers is not None:
        metadata["headers"] = {
            name: value
            for name, value in headers.items()
            if name.startswith(_METADATA_HEADER_PREFIXES)
        }
    return metadata


def convert_finish_reason(
    finish_reason: str | None, *, has_tool_calls: bool
) -> dict[str, str | None]:
    """Convert the finish reason to response metadata.

    Args:
        finish_reason: The finish reason, or `None` if it is missing.
        has_tool_calls: Whether the completion has valid tool calls.
    """
    metadata = {"finish_reason": finish_reason}
    if finish_reason and KNOWS_NORMALIZED_FINISH_REASON:
        if finish_reason == "stop" and has_tool_calls:
            finish_reason = "tool_calls"
        metadata["normalized_finish_reason"] = _NORMALIZED_FINISH_REASONS.get(
            finish_reason, "other"
        )
    return metadata


def get_finish_event_fields(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata that langchain-core also expects in the last protocol event."""
    if not KNOWS_NORMALIZED_FINISH_REASON:
        return {}
    names = ("finish_reason", "normalized_finish_reason")
    return {name: metadata[name] for name in names if metadata.get(name)}


def convert_usage(usage: Any) -> UsageMetadata | None:
    """Convert token counts to LangChain's form, whose totals include the details.

    Raises:
        CerebrasProtocolError: If a count is not an integer.
    """
    if not usage:
        return None
    usage = type_checks.check_object("usage", usage)
    prompt_tokens = _get_count(usage, "prompt_tokens") or 0
    completion_tokens = _get_count(usage, "completion_tokens") or 0
    total_tokens = _get_count(usage, "total_tokens") or prompt_tokens + completion_tokens
    converted = UsageMetadata(
        input_tokens=prompt_tokens, output_tokens=completion_tokens, total_tokens=total_tokens
    )
    # The server sends 0 for images and predictions if the request has none.
    details = _get_details(usage, "prompt_tokens_details")
    input_details = _drop_missing(
        cache_read=_get_count(details, "cached_tokens"),
        image=_get_count(usage, "image_tokens") or None,
    )
    details = _get_details(usage, "completion_tokens_details")
    output_details = _drop_missing(
        reasoning=_get_count(details, "reasoning_tokens"),
        accepted_prediction=_get_count(details, "accepted_prediction_tokens") or None,
        rejected_prediction=_get_count(details, "rejected_prediction_tokens") or None,
    )
    if input_details:
        converted["input_token_details"] = cast("InputTokenDetails", input_details)
    if output_details:
        converted["output_token_details"] = cast("OutputTokenDetails", output_details)
    return converted


def _get_details(usage: Mapping[str, Any], name: str) -> dict[str, Any]:
    return type_checks.check_object(name, usage.get(name) or {})


def _get_count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return None if value is None else type_checks.check_count(name, value)


def _drop_missing(**counts: int | None) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}


def _compute_speed(completion: Mapping[str, Any]) -> float | None:
    """Return the completion tokens per second; `None` without token count or duration."""
    usage, time_info = completion.get("usage"), completion.get("time_info")
    if not (isinstance(usage, dict) and isinstance(time_info, dict)):
        return None
    tokens, seconds = usage.get("completion_tokens"), time_info.get("completion_time")
    if not (tokens and isinstance(seconds, (int, float)) and seconds > 0):
        return None
    return round(type_checks.check_count("completion_tokens", tokens) / seconds, 1)


def _convert_choice(
    choice: Any,
    tool_names: ToolNames,
    usage: UsageMetadata | None,
    metadata: Mapping[str, Any],
) -> ChatGeneration:
    choice = type_checks.check_object("choices[]", choice)
    message = type_checks.check_object("message", choice.get("message"))
    generation_info = _get_generation_info(choice)
    finish_reason = generation_info.get("finish_reason")
    tool_calls, invalid_tool_calls = _convert_tool_calls(message, tool_names, finish_reason)
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    reasoning = type_checks.check_string("reasoning", reasoning or "")
    content = type_checks.check_string("content", message.get("content") or "")
    if not reasoning:
        reasoning, content = think_tags.split_reasoning(content)
    if not (content or tool_calls or invalid_tool_calls):
        warn_if_stopped_by_token_limit(finish_reason)
    choice_metadata = {**metadata, **generation_info}
    if finish_reason:
        choice_metadata |= convert_finish_reason(finish_reason, has_tool_calls=bool(tool_calls))
    converted = AIMessage(
        content=content,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        tool_calls=tool_calls,
        invalid_tool_calls=invalid_tool_calls,
        usage_metadata=usage,
        response_metadata=choice_metadata,
    )
    return ChatGeneration(message=converted, generation_info=generation_info)


def _get_generation_info(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return the finish reason and the log probabilities."""
    logprobs = get_logprobs(choice)
    if not choice.get("finish_reason"):
        return logprobs
    finish_reason = type_checks.check_string("finish_reason", choice["finish_reason"])
    return {"finish_reason": finish_reason, **logprobs}


def _convert_tool_calls(
    message: Mapping[str, Any], tool_names: ToolNames, finish_reason: str | None
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Convert tool calls; those whose arguments are not a complete object are invalid."""
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    ids: set[str] = set()
    for item in type_checks.check_list("tool_calls", message.get("tool_calls") or []):
        call = type_checks.check_object("tool_calls[]", item)
        function = type_checks.check_object("function", call.get("function"))
        request_name = type_checks.check_string("name", function.get("name") or "")
        name = tool_names.get(request_name, request_name)
        server_id = type_checks.check_string("id", call.get("id") or "")
        id_ = choose_tool_call_id(server_id, ids)
        ids.add(id_)
        text = tool_arguments.to_string(function.get("arguments"))
        arguments = tool_arguments.parse_arguments(text, finish_reason)
        if arguments is not None:
            valid.append(tool_call(name=name, args=arguments, id=id_))
        else:
            invalid.append(invalid_tool_call(name=name, args=text, id=id_, error=None))
    return valid, invalid
