"""A whole reply → message and metadata.

The metadata's words are the same for a stream, whose last chunk uses the functions here.
"""

from __future__ import annotations

import logging
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic_core import to_json

from langchain_cerebras_inference._conversion import (
    think_tags,
    tool_arguments,
    type_checks,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from langchain_core.messages import InvalidToolCall, ToolCall
    from langchain_core.messages.ai import UsageMetadata

    from langchain_cerebras_inference import _types
    from langchain_cerebras_inference._conversion.tools import ToolNames

logger = logging.getLogger("langchain_cerebras_inference")

PROVIDER = "cerebras"

_KEPT = (
    ("id", "id", str),
    ("model", "model_name", str),
    ("system_fingerprint", "system_fingerprint", str),
    ("service_tier", "service_tier", str),
    ("service_tier_used", "service_tier_used", str),
    ("time_info", "time_info", dict),
)
"""What of a reply goes into the metadata: its name there, here, and its type."""

_OF_CHOICE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("finish_reason", type_checks.text),
    ("logprobs", type_checks.logprobs),
    ("reasoning_logprobs", type_checks.logprobs),
)
"""What of a choice goes into the metadata, and what it must be."""

_USEFUL_HEADERS = (
    "x-ratelimit-",
    "inference-id",
    "x-request-id",
    "cf-ray",
    "server-timing",
)


def to_result(
    reply: _types.Reply, names: ToolNames, headers: Mapping[str, str] | None = None
) -> ChatResult:
    """Make the result of a call that was not streamed: a generation for each choice.

    Args:
        reply: The decoded reply.
        names: Tool names as sent → as the user knows them.
        headers: The answer's headers, if they are wanted in the metadata.

    Raises:
        CerebrasProtocolError: If the reply has values of other types than the wire's.
    """
    with type_checks.Reading():
        cost = usage.to_usage(reply.get("usage"))
        metadata = to_metadata(reply, headers)
        generations = [
            _to_generation(choice, names, cost if place == 0 else None, metadata)
            for place, choice in enumerate(reply["choices"])
        ]
    return ChatResult(
        generations=generations, llm_output={"model_name": metadata.get("model_name")}
    )


def explain_silence(finish_reason: str | None) -> None:
    """Say what helps where an answer has neither text nor calls."""
    if finish_reason == "length":
        logger.warning(
            "the answer is empty: reasoning used up its tokens; raise max_tokens, or"
            " lower reasoning_effort"
        )


def to_metadata(
    reply: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make the response metadata that belongs to the reply as a whole."""
    metadata: dict[str, Any] = {"model_provider": PROVIDER}
    for name, known_as, kind in _KEPT:
        value = reply.get(name)
        if isinstance(value, kind):
            metadata[known_as] = value
    if speed := usage.to_speed(reply):
        metadata["tokens_per_second"] = speed
    if headers is not None:
        metadata["headers"] = {
            name: value for name, value in headers.items() if name.startswith(_USEFUL_HEADERS)
        }
    return metadata


def to_choice_metadata(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Make the metadata that belongs to one choice."""
    return {name: check(choice[name]) for name, check in _OF_CHOICE if choice.get(name)}


def _to_generation(
    choice: _types.Choice,
    names: ToolNames,
    cost: UsageMetadata | None,
    metadata: Mapping[str, Any],
) -> ChatGeneration:
    message = choice["message"]
    info = to_choice_metadata(choice)
    valid, invalid = _to_tool_calls(message, names, choice.get("finish_reason"))
    reasoning = type_checks.text(message.get("reasoning") or "")
    content = type_checks.text(message.get("content") or "")
    if not reasoning:
        reasoning, content = think_tags.split(content)
    if not (content or valid or invalid):
        explain_silence(choice.get("finish_reason"))
    made = AIMessage(
        content=content,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        tool_calls=valid,
        invalid_tool_calls=invalid,
        usage_metadata=cost,
        response_metadata={**metadata, **info},
    )
    return ChatGeneration(message=made, generation_info=info)


def _to_tool_calls(
    message: _types.Delta, names: ToolNames, finish_reason: str | None
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    valid, invalid, ids = [], [], set[str]()
    for call in message.get("tool_calls") or []:
        function = call["function"]
        sent = function.get("name") or ""
        name = names.get(sent, sent)
        id_ = to_id(call.get("id") or "", ids)
        ids.add(id_)
        text = to_text(function.get("arguments"))
        args = to_arguments(text, finish_reason)
        if args is not None:
            valid.append(tool_call(name=name, args=args, id=id_))
        else:
            invalid.append(invalid_tool_call(name=name, args=text, id=id_, error=None))
    return valid, invalid


def to_id(given: str, known: Collection[str]) -> str:
    """An id for a call: the given one, if there is one that no earlier call has."""
    ids = chain([given], (f"call_{number}" for number in count(len(known))))
    return next(each for each in ids if each and each not in known)


def to_arguments(text: str, finish_reason: str | None) -> dict[str, Any] | None:
    """The arguments of a call, or `None` where they are not whole.

    No arguments at all are `{}`, unless the token limit ended the answer.
    """
    if not text and finish_reason == "length":
        return None
    return tool_arguments.parse(text)


def to_text(given: Any) -> str:
    """Arguments as text: some servers send them as an object, or `null` for none."""
    if given is None:
        return ""
    return given if isinstance(given, str) else to_json(given).decode()
