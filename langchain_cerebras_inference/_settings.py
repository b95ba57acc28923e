"""What the constructor accepts: as types, and made into fields."""

from __future__ import annotations

import difflib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
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
Cookies: TypeAlias = (
    Mapping[str, Any] | Sequence[Mapping[str, Any]] | CookieJar | PathLike[str] | Key
)
Effort: TypeAlias = Literal["none", "low", "medium", "high"]


class Arguments(TypedDict, total=False):
    """The fields of `ChatCerebrasInference`; `None` is the default of each."""

    model: str | None
    model_name: str | None
    api_key: Key | KeyFunction | None
    cerebras_api_key: Key | KeyFunction | None
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
    pace: Literal["auto"] | bool | None
    quota_store: str | SecretStr | None
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


CREDENTIALS = {
    "cerebras_api_key": "CEREBRAS_API_KEY",
    "cookies": "CEREBRAS_COOKIES",
}
"""Fields that sign in → the variables they are taken from otherwise."""


_RESPONSES = "it is of OpenAI's Responses API, which Cerebras has not"
_CLIENTS = "calls go over aiohttp; see proxy, verify, connect_timeout and default_headers"

FOREIGN = {
    "model_kwargs": "give what was in it as fields; for what has none there is extra_body",
    "cerebras_proxy": "use proxy",
    "openai_api_key": "use api_key",
    "openai_api_base": "use base_url",
    "openai_proxy": "use proxy",
    "openai_organization": "Cerebras knows no organizations; leave it out",
    "organization": "Cerebras knows no organizations; leave it out",
    "request_timeout": "use timeout",
    "stream_chunk_timeout": "use timeout, which counts between events too",
    "reasoning": "use reasoning_effort and reasoning_format",
    "verbosity": "Cerebras has no such setting; ask for it in the prompt",
    "prompt_cache_options": "caching needs none; for its key there is prompt_cache_key",
    "disabled_params": "what is None is not sent; leave it out",
    "tiktoken_model_name": "get_num_tokens needs no tokenizer; leave it out",
    "default_query": "Cerebras takes no query; leave it out",
    **dict.fromkeys(["http_client", "http_async_client", "http_socket_options"], _CLIENTS),
    **dict.fromkeys(["client", "async_client", "root_client", "root_async_client"], _CLIENTS),
    **dict.fromkeys(["use_responses_api", "use_previous_response_id", "store"], _RESPONSES),
    **dict.fromkeys(["context_management", "include", "truncation"], _RESPONSES),
}
"""Arguments of ChatCerebras 0.8.2 and ChatOpenAI 1.7.4 that are none here → what to do."""


def to_fields(
    given: Mapping[str, Any], known: Mapping[str, Any], aliases: Mapping[str, str]
) -> dict[str, Any]:
    """Make fields of arguments; `None` is a field's default, and so is left out.

    Args:
        given: The arguments; they are not changed.
        known: The fields there are.
        aliases: Other names of fields → the fields.

    Raises:
        ValueError: If a name is unknown, or a field is given by both its names.
    """
    fields: dict[str, Any] = {}
    for name, value in given.items():
        field = aliases.get(name, name)
        if field not in known:
            raise ValueError(_unknown(name, [*known, *aliases]))
        if value is None:
            continue
        if field in fields:
            other = next(
                each for each in given if each != name and aliases.get(each, each) == field
            )
            raise ValueError(f"{other!r} and {name!r} are one field; give one of the two.")
        fields[field] = value
    return _with_credentials(fields)


def _unknown(name: str, names: Sequence[str]) -> str:
    if name in FOREIGN:
        return f"There is no field {name!r}: {FOREIGN[name]}."
    near = difflib.get_close_matches(name, names, n=1)
    return f"There is no field {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def _with_credentials(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop blank credentials; where none is left, take one from the environment.

    The environment is read here, so that the fields hold the whole truth and a copy of
    the model signs in as the model does.
    """
    given = {name: fields.pop(name) for name in CREDENTIALS if name in fields}
    given = {name: value for name, value in given.items() if not _is_blank(value)}
    for name, variable in CREDENTIALS.items():
        value = os.environ.get(variable)
        if not given and not _is_blank(value):
            given[name] = value
    return {**fields, **given}


def _is_blank(value: Any) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        return not text.strip()
    return text is None or (isinstance(text, Sized) and not len(text))
