"""What the constructor accepts, for type checkers: each name and each form of value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.cookiejar import CookieJar
from os import PathLike
from typing import Any, Literal, TypeAlias, TypedDict

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

Key: TypeAlias = str | SecretStr
KeyFunction: TypeAlias = Callable[[], Key | Awaitable[Key]]
Effort: TypeAlias = Literal["none", "low", "medium", "high"]


class Arguments(TypedDict, total=False):
    """The fields of `ChatCerebrasInference`; `None` is the default of each."""

    model: str | None
    model_name: str | None
    api_key: Key | KeyFunction | None
    cerebras_api_key: Key | KeyFunction | None
    cookies: Mapping[str, str] | CookieJar | PathLike[str] | Key | None
    session_url: str | None
    base_url: str | None
    cerebras_api_base: str | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: Mapping[str, float] | None
    user: str | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: str | Sequence[str] | None
    stop_sequences: str | Sequence[str] | None
    reasoning_effort: Effort | None
    reasoning_format: str | None
    clear_thinking: bool | None
    disable_reasoning: bool | None
    replay_reasoning: bool | None
    parallel_tool_calls: bool | None
    service_tier: str | None
    prediction: Mapping[str, Any] | None
    prompt_cache_key: str | None
    extra_body: Mapping[str, Any] | None
    default_headers: Mapping[str, str | SecretStr] | None
    timeout: float | None
    connect_timeout: float | None
    max_retries: int | None
    max_retry_wait: float | None
    proxy: str | SecretStr | None
    verify: bool | str | PathLike[str] | None
    streaming: bool | None
    stream_usage: bool | None
    coalesce: bool | None
    compression: Literal["auto"] | bool | None
    include_response_headers: bool | None
    # LangChain's own:
    name: str | None
    cache: BaseCache | bool | None
    verbose: bool | None
    callbacks: list[BaseCallbackHandler] | BaseCallbackManager | None
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None
    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"] | None
    output_version: str | None
    profile: ModelProfile | None
