"""The types of the settings, for type checkers.

They are imported only by type checkers, because the class takes a millisecond to create.
"""

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

ApiKey: TypeAlias = str | SecretStr
ApiKeyFunction: TypeAlias = Callable[[], ApiKey | Awaitable[ApiKey]]
Cookies: TypeAlias = (
    Mapping[str, Any]
    | Sequence[Mapping[str, Any]]
    | CookieJar
    | PathLike[str]
    | str
    | SecretStr
)
ReasoningEffort: TypeAlias = Literal["none", "low", "medium", "high"]
FilePath: TypeAlias = str | PathLike[str]


class Settings(TypedDict, total=False):
    """The settings that the constructor accepts. `None` means the default."""

    model: str | None
    model_name: str | None
    api_key: ApiKey | ApiKeyFunction | None
    cerebras_api_key: ApiKey | ApiKeyFunction | None
    cookies: Cookies | None
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
    logit_bias: Mapping[str, float] | Mapping[int, float] | None
    user: str | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: str | Sequence[str] | None
    stop_sequences: str | Sequence[str] | None
    reasoning_effort: ReasoningEffort | None
    reasoning_format: str | None
    clear_thinking: bool | None
    disable_reasoning: bool | None
    replay_reasoning: bool | None
    parallel_tool_calls: bool | None
    service_tier: str | None
    prediction: Mapping[str, Any] | None
    prompt_cache_key: str | None
    model_parameters: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None
    default_headers: Mapping[str, str | SecretStr] | None
    timeout: float | None
    connect_timeout: float | None
    max_retries: int | None
    max_retry_wait: float | None
    pace: Literal["auto"] | bool | None
    quota_store: str | SecretStr | None
    proxy: str | SecretStr | None
    verify: bool | FilePath | None
    client_cert: FilePath | tuple[FilePath, FilePath] | None
    streaming: bool | None
    stream_usage: bool | None
    coalesce: bool | None
    compression: Literal["auto"] | bool | None
    include_response_headers: bool | None
    # Settings of LangChain's base class:
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
