"""The types of request and response bodies.

Request types have every field that this package sends. Cerebras rejects a request that contains
even one unknown field. Response types have the fields that this package reads. Any of them can
be missing, because Cerebras leaves out empty fields.
Source: https://inference-docs.cerebras.ai/api-reference/chat-completions
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

# --- requests ------------------------------------------------------------------------

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


class FunctionCall(TypedDict, total=False):
    name: str
    arguments: str


class ToolCall(TypedDict, total=False):
    id: str
    type: Literal["function"]
    function: FunctionCall
    index: int


class Message(TypedDict, total=False):
    role: Role
    content: str | list[dict[str, Any]]
    name: str
    reasoning: str
    tool_calls: list[ToolCall]
    tool_call_id: str


class RequestBody(TypedDict, total=False):
    # Each field is a setting or a call option; see `FIELD_SOURCES` in `request_body.py`.
    # `min_tokens` is left out on purpose: with it, gpt-oss goes on after its end token.
    model: str
    messages: list[Message]
    stream: bool
    max_completion_tokens: int
    temperature: float
    top_p: float
    seed: int
    n: int
    stop: list[str]
    frequency_penalty: float
    presence_penalty: float
    logit_bias: dict[str, float]
    logprobs: bool
    top_logprobs: int
    user: str
    reasoning_effort: str
    reasoning_format: str
    clear_thinking: bool
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    response_format: dict[str, Any]
    service_tier: str
    prediction: dict[str, Any]
    prompt_cache_key: str
    model_parameters: dict[str, Any]


# --- responses ------------------------------------------------------------------------


class ChoiceMessage(TypedDict, total=False):
    role: str
    content: str | None
    reasoning: str | None
    reasoning_content: str | None  # instead of `reasoning`, from gateways
    tool_calls: list[ToolCall] | None


class Choice(TypedDict, total=False):
    index: int
    delta: ChoiceMessage
    message: ChoiceMessage
    finish_reason: str | None
    logprobs: dict[str, Any] | None
    reasoning_logprobs: dict[str, Any] | None


class Usage(TypedDict, total=False):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    image_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class Completion(TypedDict, total=False):
    """A whole completion. Each of its choices has a `message`."""

    id: str
    model: str
    system_fingerprint: str
    created: int
    choices: list[Choice]
    usage: Usage
    time_info: dict[str, float]
    service_tier: str
    service_tier_used: str


StreamEvent: TypeAlias = Completion
"""One event of a stream. It has the fields of a completion, but its choices have a `delta`."""
