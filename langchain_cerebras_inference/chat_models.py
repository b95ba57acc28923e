"""`ChatCerebrasInference`, the chat model.

The class has the settings and implements LangChain's hooks. `_conversion` builds requests and
converts responses, `_client` makes the calls, and `_auth` provides the key.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from langchain_cerebras_inference import (
    _model_catalog,
    _settings,
    _tracing,
    _unobserved_streams,
    _urls,
)
from langchain_cerebras_inference._auth import cookie_input
from langchain_cerebras_inference._conversion import (
    completion,
    content_blocks,  # noqa: F401 # registers how messages become content blocks
    request_body,
    response_format,
    token_estimate,
)
from langchain_cerebras_inference._conversion import messages as _messages
from langchain_cerebras_inference._conversion import tools as _tools
from langchain_cerebras_inference._conversion.chunks import ChunkBuilder
from langchain_cerebras_inference._conversion.protocol_events import ProtocolEventBuilder
from langchain_cerebras_inference._version import get_version
from langchain_cerebras_inference.errors import CerebrasError

if TYPE_CHECKING:
    from typing import Self, Unpack

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._client import Call, CerebrasClient
    from langchain_cerebras_inference._model_catalog import ModelInfo
    from langchain_cerebras_inference._quota.info import QuotaInfo
    from langchain_cerebras_inference._response_parser import EventStream
    from langchain_cerebras_inference._setting_types import Settings
    from langchain_cerebras_inference._types import Completion, StreamEvent

B = TypeVar("B", bound=ChunkBuilder)
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_CLIENT_MODULE = "langchain_cerebras_inference._client"
_TRACER_MODULE = "langchain_core.tracers.langchain"

_TRACING_OPTIONS = frozenset({"ls_structured_output_format", "structured_output_format"})
"""Options that langchain-core's `stream` and `astream` put into traces and do not pass on."""


def _convert_token_ids_to_strings(value: Any) -> Any:
    """Convert token ids that are numbers to text, as JSON needs them."""
    if not isinstance(value, Mapping):
        return value
    return {str(token_id): bias for token_id, bias in value.items()}


def _convert_path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


# Settings that are call options have their validators in the type, not in the class:
# `_settings.validate_options` validates options by the types of the fields.
_ModelId = Annotated[str, AfterValidator(_model_catalog.resolve_model_id)]
_LogitBias = Annotated[dict[str, float], BeforeValidator(_convert_token_ids_to_strings)]


def _store_signature(method: F) -> F:
    """Store the signature of a method, for which langchain-core asks in each call.

    Computing it there takes 25 µs, a twentieth of `ainvoke`.
    """
    method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return method


class ChatCerebrasInference(BaseChatModel):
    """Chat model for Cerebras.

    It authenticates with an API key, or with the cookies of a browser session. All call styles
    (`invoke`, `ainvoke`, `stream`, `astream`) give the same messages and errors.

    ```python
    from langchain_cerebras_inference import ChatCerebrasInference

    model = ChatCerebrasInference(model="gpt-oss-120b", reasoning_effort="low")
    for chunk in model.stream("Why is the sky blue?"):
        print(chunk.text, end="", flush=True)
    ```

    For every setting, `None` means the default. Most settings can also be passed for a single
    call, as keyword arguments of `invoke`, or with `bind`.
    """

    model_name: _ModelId = Field(_model_catalog.DEFAULT_MODEL, alias="model")
    """The id of the model."""

    cerebras_api_key: SecretStr | Callable[[], Any] | None = Field(None, alias="api_key")
    """The API key, or a function, sync or async, that returns it for each request. If
    neither a key nor cookies are passed, it is the environment variable `CEREBRAS_API_KEY`."""

    cookies: SecretStr | None = None
    """The cookies of a signed-in browser session, to be exchanged for a key: a mapping, a list
    or tuple of cookie objects, a `Cookie` header, a `CookieJar`, exported JSON, the path of an
    exported file, `"browser"` or `"browser:NAME"`. If neither a key nor cookies are passed, and
    `CEREBRAS_API_KEY` is not set, it is the environment variable `CEREBRAS_COOKIES`. Cookies
    are as secret as a key."""

    session_url: str = Field(
        default_factory=_urls.get_default_session_url, validate_default=True
    )
    """The URL of the key exchange, and the only one that cookies are sent to. The default is
    `CEREBRAS_SESSION_URL`, or else the session endpoint of Cerebras' playground."""

    cerebras_api_base: str = Field(
        default_factory=_urls.get_default_api_base, alias="base_url", validate_default=True
    )
    """The URL of the API; `/v1` is added to a URL without a path. The default is
    `CEREBRAS_API_BASE` or `CEREBRAS_BASE_URL`, or else Cerebras' own."""

    temperature: float | None = None
    """The randomness, from 0 to 2."""

    top_p: float | None = None
    """The probability mass from which tokens are drawn, from 0 to 1."""

    seed: int | None = None
    """With the same seed, the server tries to return the same completion for the same
    request."""

    n: int | None = Field(None, ge=1)
    """How many completions to request. `invoke` returns the first; `generate` returns all."""

    logprobs: bool | None = None
    """Whether to return the log probability of each token."""

    top_logprobs: int | None = None
    """How many alternatives of each token to return, up to 20."""

    frequency_penalty: float | None = None
    """How much to lower the probability of a token for each time that it has occurred, from
    -2 to 2. A negative value raises it."""

    presence_penalty: float | None = None
    """How much to lower the probability of tokens that have already occurred, from -2 to 2. A
    negative value raises it."""

    logit_bias: _LogitBias | None = None
    """Maps token ids to a bias from -100 to 100; a positive bias makes the token more
    likely."""

    user: str | None = None
    """An id of your end user, with which Cerebras can trace abuse."""

    max_tokens: int | None = Field(None, alias="max_completion_tokens")
    """The maximum length of the completion in tokens, reasoning included. The server
    reserves this number against the quota before it generates the completion."""

    stop: str | list[str] | None = Field(None, alias="stop_sequences")
    """Up to four texts at which the completion ends."""

    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    """How much the model reasons before it writes the text."""

    reasoning_format: str | None = None
    """How the server separates reasoning from text. The default depends on the model."""

    clear_thinking: bool | None = None
    """Whether the server drops the reasoning of earlier messages that it receives. By default
    this parameter is not sent. Exception: with `replay_reasoning`, `False` is sent to GLM,
    which otherwise drops the reasoning."""

    disable_reasoning: bool | None = None
    """Whether to turn reasoning off, like `reasoning_effort="none"`. For code that was written
    for `ChatCerebras`."""

    replay_reasoning: bool = True
    """Whether to send the reasoning of earlier messages, in the form that the model expects."""

    parallel_tool_calls: bool | None = None
    """Whether one completion may have several tool calls."""

    service_tier: str | None = None
    """The priority of the request: `"default"`, `"auto"`, `"flex"` or `"priority"`."""

    prediction: dict[str, Any] | None = None
    """A text that the completion will largely repeat, which makes it faster:
    `{"type": "content", "content": "…"}`."""

    prompt_cache_key: str | None = None
    """A name that keeps the requests of a conversation on the same prompt cache."""

    model_parameters: dict[str, Any] | None = None
    """Parameters that only some models have. Cerebras rejects this field for other models."""

    extra_body: dict[str, Any] | None = None
    """Fields to merge into the finished request body, for parameters that are newer than this
    package. Nested objects are merged, too."""

    default_headers: _settings.Headers | None = Field(None, exclude=True)
    """Headers for each request to the API. A header replaces this package's header of the same
    name; with `Authorization`, no other credential is needed. LangChain's `dumps` leaves the
    headers out; a pickle contains them. The call option `extra_headers` adds headers to one
    call."""

    timeout: float = Field(60.0, gt=0)
    """Seconds that the server may be silent: before the first event, and between two events.
    Without streaming, it is the limit for the whole completion."""

    connect_timeout: float = Field(10.0, gt=0)
    """Seconds for DNS, TCP and TLS together."""

    max_retries: int = Field(2, ge=0)
    """The maximum number of retries after an error that may be temporary. With 0, calls also do
    not wait for their quota."""

    max_retry_wait: float = Field(60.0, ge=0)
    """The longest wait before a retry, in seconds; if the server asks for a longer one, the
    call fails immediately. It is also the longest time in the queue of a quota, unless `pace`
    is `True`."""

    pace: Literal["auto"] | bool = "auto"
    """Whether calls wait in a queue while their quota is exhausted. `"auto"` waits up to
    `max_retry_wait` seconds, but not for a limit per hour or per day; `True` waits as long as
    it takes (for batches), and `False` never. With `max_retries=0` a call never waits."""

    quota_store: SecretStr | None = Field(
        default_factory=_urls.get_default_quota_store, validate_default=True
    )
    """The URL of a store through which processes share their quotas, `sqlite:///PATH` or
    `redis://HOST:PORT`. The default is the environment variable `CEREBRAS_QUOTA_STORE`."""

    proxy: SecretStr | None = Field(default_factory=_urls.get_default_proxy)
    """The URL of a proxy. The default is `CEREBRAS_PROXY`, or else `HTTPS_PROXY` (`HTTP_PROXY`
    if the URL of the server is http) or `ALL_PROXY`, except for the hosts in `NO_PROXY`."""

    verify: bool | str = True
    """Whether to check certificates, or the path of a CA bundle to check them with."""

    client_cert: str | tuple[str, str] | None = None
    """The client certificate for the API (mTLS): the path of a PEM file with the certificate
    and its private key, or a pair of paths, certificate and key. The key must not be
    encrypted. The files are read once, at the first call."""

    streaming: bool | None = None
    """`True` makes `invoke` use a stream. With `False`, `stream` requests the whole completion
    and yields it as one message."""

    stream_usage: bool = True
    """Accepted for compatibility and ignored: the last chunk always has the usage."""

    coalesce: bool = False
    """Whether to merge adjacent text or reasoning that has arrived together into one chunk. No
    chunk is delayed for this."""

    compression: Literal["auto"] | bool = "auto"
    """Whether to compress request bodies; `"auto"` compresses those of 4 KiB or more to
    Cerebras' own host."""

    include_response_headers: bool = False
    """Whether to add `headers` to `response_metadata`: rate limits, request ids and server
    timing."""

    model_config = ConfigDict(
        populate_by_name=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[Settings]) -> None:
            """Accept each setting by its name or its alias."""

    # --- construction ------------------------------------------------------------------

    @model_validator(mode="before")
    @classmethod
    def _read_settings(cls, settings: Any) -> Any:
        """Accept each field by its name or its alias; `None` means the default."""
        if not isinstance(settings, Mapping):
            return settings
        fields = _settings.convert_settings(settings, cls)
        if _model_catalog.is_default_profile(fields.get("profile")):
            # `configurable_fields` copies the settings of a model, with its profile, and then
            # changes `model_name`. `_set_profile` finds the profile for the new name.
            fields.pop("profile", None)
        return fields

    @field_validator("cerebras_api_key", mode="before")
    @classmethod
    def _strip_key(cls, value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            return value
        if _settings.has_control_character(text.strip()):
            raise ValueError(
                "The API key (api_key or CEREBRAS_API_KEY) has a control character, such as a"
                " line break. Pass the key alone."
            )
        return SecretStr(text.strip())

    @field_validator("cookies", mode="before")
    @classmethod
    def _read_cookies(cls, value: Any) -> Any:
        return SecretStr(cookie_input.normalize_cookies(value))

    @field_validator("session_url")
    @classmethod
    def _check_session_url(cls, value: str) -> str:
        return _urls.normalize_session_url(value)

    @field_validator("cerebras_api_base")
    @classmethod
    def _check_api_base(cls, value: str) -> str:
        return _urls.normalize_api_base(value)

    @field_validator("quota_store")
    @classmethod
    def _check_quota_store(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _urls.check_quota_store(value.get_secret_value())
        return value

    @field_validator("verify", mode="before")
    @classmethod
    def _read_verify(cls, value: Any) -> Any:
        return _convert_path(value)

    @field_validator("client_cert", mode="before")
    @classmethod
    def _read_client_cert(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(_convert_path(path) for path in value)
        return _convert_path(value)

    @model_validator(mode="after")
    def _set_package_version(self) -> Self:
        self._add_version("langchain-cerebras-inference", get_version())
        return self

    @model_validator(mode="after")
    def _require_verified_connection_for_cookies(self) -> Self:
        is_local = _urls.is_loopback(self.session_url)
        if self.cookies is not None and self.verify is False and not is_local:
            raise ValueError(
                "verify=False would send the cookies over a connection that anybody can"
                " intercept; set verify to the path of a CA bundle."
            )
        return self

    @model_validator(mode="after")
    def _set_profile(self) -> Self:
        # langchain-core has a hook for this, but checks the result in each construction, which
        # takes 20 of 50 µs.
        if self.profile is None:
            self.profile = _model_catalog.find_profile(self.model_name)
        return self

    # --- LangChain's hooks -------------------------------------------------------------

    @_store_signature
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client, call, tool_names = self._prepare(messages, stop, kwargs, stream=False)
        return self._convert_completion(client.complete_sync(call), call, tool_names)

    @_store_signature
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await _import_client()
        client, call, tool_names = self._prepare(messages, stop, kwargs, stream=False)
        return self._convert_completion(await client.complete(call), call, tool_names)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        batches, builder = self._open_sync_stream(ChunkBuilder, messages, stop, kwargs)
        with contextlib.closing(batches):
            for events in batches:
                for chunk in builder.build_chunks(events):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream, builder = await self._open_stream(ChunkBuilder, messages, stop, kwargs)
        with stream:
            while not builder.is_complete:
                for chunk in builder.build_chunks(await stream.read_batch()):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Stream the events of LangChain's streaming protocol, version 3.

        Without this hook, langchain-core would make them from chunks.
        """
        batches, builder = self._open_sync_stream(ProtocolEventBuilder, messages, stop, kwargs)
        has_callbacks = bool(run_manager and run_manager.handlers)
        with contextlib.closing(batches):
            for events in batches:
                for item in builder.build_protocol_events(events, with_chunks=has_callbacks):
                    if isinstance(item, dict):
                        yield item
                    elif run_manager:
                        item.message.id = _get_message_id(run_manager)
                        run_manager.on_llm_new_token(item.text, chunk=item)

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Stream the events of LangChain's streaming protocol, version 3.

        Without this hook, langchain-core would make them from chunks.
        """
        stream, builder = await self._open_stream(ProtocolEventBuilder, messages, stop, kwargs)
        has_callbacks = bool(run_manager and run_manager.handlers)
        with stream, _close_with_task(stream):
            while not builder.is_complete:
                events = await stream.read_batch()
                for item in builder.build_protocol_events(events, with_chunks=has_callbacks):
                    if isinstance(item, dict):
                        yield item
                    elif run_manager:
                        item.message.id = _get_message_id(run_manager)
                        await run_manager.on_llm_new_token(item.text, chunk=item)

    # --- streams without callback handlers, see `_unobserved_streams` ----------------------

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream a completion as message chunks."""
        message_id = self._create_id_if_unobserved(config, kwargs, async_api=False)
        if message_id is None:
            yield from super().stream(input, config, stop=stop, **kwargs)
            return
        messages = self._convert_input(input).to_messages()
        messages = _unobserved_streams.normalize_messages(messages)
        if self.rate_limiter:
            self.rate_limiter.acquire(blocking=True)
        batches, builder = self._open_sync_stream(ChunkBuilder, messages, stop, kwargs)
        with contextlib.closing(batches):
            for events in batches:
                for chunk in builder.build_chunks(events):
                    message: Any = chunk.message
                    message.id = message_id
                    yield message

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream a completion as message chunks."""
        message_id = self._create_id_if_unobserved(config, kwargs, async_api=True)
        if message_id is None:
            observed: Any = super().astream(input, config, stop=stop, **kwargs)
            async with contextlib.aclosing(observed):
                async for observed_message in observed:
                    yield observed_message
            return
        messages = self._convert_input(input).to_messages()
        messages = _unobserved_streams.normalize_messages(messages)
        if self.rate_limiter:
            await self.rate_limiter.aacquire(blocking=True)
        stream, builder = await self._open_stream(ChunkBuilder, messages, stop, kwargs)
        with stream:
            while not builder.is_complete:
                for chunk in builder.build_chunks(await stream.read_batch()):
                    message: Any = chunk.message
                    message.id = message_id
                    yield message

    def _create_id_if_unobserved(
        self, config: RunnableConfig | None, options: dict[str, Any], *, async_api: bool
    ) -> str | None:
        """Return the id for the messages of a stream; `None` if langchain-core streams it."""
        cls = type(self)
        if (
            (cls._stream, cls._astream) != _STREAM_HOOKS  # a subclass has replaced one
            or not _TRACING_OPTIONS.isdisjoint(options)
            or not self._should_stream(async_api=async_api, **{**options, "stream": True})
        ):
            return None
        return _unobserved_streams.create_message_id(self, config)

    # --- from settings and options to a call ------------------------------------------------

    def _open_sync_stream(
        self,
        builder_class: type[B],
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, Any],
    ) -> tuple[Generator[list[StreamEvent], None, None], B]:
        """Return the batches of events of a stream, and what builds its chunks."""
        client, call, tool_names = self._prepare(messages, stop, options, stream=True)
        return client.stream_sync(call), self._create_builder(builder_class, call, tool_names)

    async def _open_stream(
        self,
        builder_class: type[B],
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, Any],
    ) -> tuple[EventStream, B]:
        """Open a stream, and return it and what builds its chunks."""
        await _import_client()
        client, call, tool_names = self._prepare(messages, stop, options, stream=True)
        stream = await client.open_stream(call)
        return stream, self._create_builder(builder_class, call, tool_names)

    def _prepare(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, Any],
        *,
        stream: bool,
    ) -> tuple[CerebrasClient, Call, _tools.ToolNames]:
        """Create the client, the call and the tool names for one call."""
        # imported here, because it imports aiohttp
        from langchain_cerebras_inference._client import Call

        values = self._read_options(stop, options)
        extra_headers = values.pop("extra_headers", None)
        request = request_body.build_request(self.__dict__, messages, values, stream=stream)
        call = Call(
            request.body,
            timeout=request.timeout,
            max_retries=request.max_retries,
            coalesce=request.coalesce,
        )
        return self._create_client(extra_headers), call, request.tool_names

    def _read_options(
        self, stop: list[str] | None, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the call options by field name, validated like the fields."""
        if stop is not None:
            options = {**options, "stop": stop}
        return _settings.validate_options(options, type(self)) if options else {}

    def _create_client(
        self, extra_headers: Mapping[str, SecretStr] | None = None
    ) -> CerebrasClient:
        from langchain_cerebras_inference._client import CerebrasClient

        headers: Mapping[str, SecretStr] | None = self.default_headers
        if extra_headers:
            headers = _settings.merge_headers(headers, extra_headers)
        return CerebrasClient(
            owner=self,
            base_url=self.cerebras_api_base,
            key=self.cerebras_api_key,
            cookies=self.cookies,
            session_url=self.session_url,
            headers=headers,
            proxy=self.proxy,
            verify=self.verify,
            client_cert=self.client_cert,
            connect_timeout=self.connect_timeout,
            timeout=self.timeout,
            max_retry_wait=self.max_retry_wait,
            compression=self.compression,
            pace=self.pace,
            quota_store=self.quota_store,
        )

    def _convert_completion(
        self, body: Completion, call: Call, tool_names: _tools.ToolNames
    ) -> ChatResult:
        headers = call.response_headers if self.include_response_headers else None
        return completion.convert_completion(body, tool_names, headers, call.metadata)

    def _create_builder(
        self, builder_class: type[B], call: Call, tool_names: _tools.ToolNames
    ) -> B:
        headers = call.response_headers if self.include_response_headers else None
        return builder_class(
            tool_names, headers, coalesce=call.coalesce, call_metadata=call.metadata
        )

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        """Return whether `invoke` must not stream: several completions cannot be streamed."""
        has_several = (kwargs.get("n") or self.n or 1) != 1
        # With an explicit `stream=True`, `build_request` raises an error for several.
        return (has_several and not kwargs.get("stream")) or super()._streaming_disabled(
            **kwargs
        )

    def _combine_llm_outputs(
        self, llm_outputs: list[dict[str, Any] | None], /
    ) -> dict[str, Any]:
        return completion.combine_llm_outputs(llm_outputs)

    @property
    def model(self) -> str:
        """The same as `model_name`."""
        return self.model_name

    @model.setter
    def model(self, value: str) -> None:
        self.model_name = value

    @property
    def _llm_type(self) -> str:
        return "cerebras-inference"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"base_url": self.cerebras_api_base}
        for field, setting in request_body.FIELD_SOURCES.items():
            value = self.__dict__.get(setting)
            if value is not None:
                params[field] = value
        return params

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return what callbacks and traces receive about a call, without header values."""
        params = {**self.asdict(), "stop": stop, **kwargs}
        if "extra_headers" in params:
            params["extra_headers"] = _settings.redact_headers(params["extra_headers"])
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the model's part of LangChain's cache key.

        It is everything that determines a completion except the messages, and no secret. The
        headers of one call may select the tenant of a gateway, so a digest of them is in it.
        """
        options = self._read_options(stop, kwargs)
        extra_headers = options.pop("extra_headers", None)
        parameters = request_body.build_parameters(self.__dict__, options)
        source = [*self.lc_id(), self.cerebras_api_base, self.output_version]
        if extra_headers:
            source.append(_settings.hash_headers(extra_headers))
        return json.dumps([source, parameters], sort_keys=True, default=repr)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Return what traces show of a call; its options override the settings.

        Invalid options are shown as they are: the call itself rejects them.
        """
        _tracing.record_run_ids()  # langchain-core calls this hook before it starts the run
        options = {name: value for name, value in kwargs.items() if value is not None}
        model = options.get("model") or options.get("model_name") or self.model_name
        params = LangSmithParams(
            ls_provider=completion.PROVIDER,
            ls_model_name=_model_catalog.resolve_model_id(str(model)),
            ls_model_type="chat",
        )
        temperature = options.get("temperature", self.temperature)
        if temperature is not None:
            params["ls_temperature"] = temperature
        max_tokens = options.get("max_tokens", options.get("max_completion_tokens"))
        max_tokens = self.max_tokens if max_tokens is None else max_tokens
        if max_tokens is not None:
            params["ls_max_tokens"] = max_tokens
        if stops := stop or options.get("stop_sequences") or self.stop:
            params["ls_stop"] = [stops] if isinstance(stops, str) else stops
        return params

    # --- tools and structured output -----------------------------------------------------

    if not TYPE_CHECKING:  # type checkers use the more specific type of langchain-core

        def bind(self, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
            """Bind call options to the model."""
            from langchain_cerebras_inference._model_binding import ModelBinding

            return ModelBinding(bound=self, kwargs=kwargs, config={})

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: Pydantic classes, functions, `BaseTool`s, JSON schemas or dicts in
                OpenAI's format. An empty list sends nothing about tools.
            tool_choice: `"auto"` lets the model decide, `"none"` forbids calls, and
                `"any"`, `"required"` and `True` require at least one. The name of a tool,
                or a dict with it in OpenAI's format, requires a call of this tool.
            strict: Whether tool arguments must match the schema exactly.
            response_format: A schema or format of the completion. This package accepts it only
                without tools, because some models of Cerebras reject both together.
            kwargs: Other call options, such as `parallel_tool_calls`.

        Raises:
            ValueError: If `tool_choice` names a tool that is not in `tools`, or if both
                tools and a response format are passed.
        """
        bound_tools = _tools.convert_tools(tools, strict=strict)
        request_body.reject_tools_with_format(bound_tools, response_format)
        options = {
            "tools": bound_tools or None,
            "tool_choice": _tools.convert_tool_choice(tool_choice, bound_tools),
            "response_format": response_format,
        }
        options = {name: value for name, value in options.items() if value is not None}
        return self.bind(**options, **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose output is an object of a schema.

        Args:
            schema: A class of pydantic 1 or 2, a TypedDict or a JSON schema. Only
                `"json_mode"` works without one.
            method: With `"json_schema"` the server enforces the schema, if it can be converted
                to the strict subset that Cerebras supports. With `"function_calling"` the
                model calls a tool. With `"json_mode"` the server enforces only JSON, and
                the prompt must describe the object.
            include_raw: Whether the output is a dict with `raw`, `parsed` and
                `parsing_error`. Then an invalid completion and a refusal raise no exception.
            strict: With `False` the server does not enforce the schema. With `True` a
                warning is logged if it cannot.
            kwargs: Other call options. With `"function_calling"`, `tools` adds tools. By
                default the model must call the tool of the schema. With `tool_choice="any"` it
                must call at least one tool. If that is not the tool of the schema, there is no
                object.

        Returns:
            A runnable. For a pydantic class, its output is a validated instance. For any
            other schema it is a dict, which this package does not validate.

            A completion without a valid object raises an `OutputParserException`, and a refusal
            langchain-core's `ModelRefusalError` (before langchain-core 1.7.5, an
            `OutputParserException`). With `include_raw`, these are the `parsing_error` instead.

        Raises:
            ValueError: If the method is unknown, or does not support `schema`, `strict` or
                `tools`.
        """
        # Its import creates a pydantic class, which most programs do not need.
        from langchain_cerebras_inference._conversion.structured_output import (
            StructuredOutputParser,
        )

        if schema is None and method != "json_mode":
            raise ValueError(f"Method {method!r} needs a schema; only 'json_mode' does not.")
        response_format.reject_conflicting_options(kwargs, method)
        function = response_format.to_function(schema or {"title": "json", "type": "object"})
        tool = {"type": "function", "function": function}
        options = {
            "ls_structured_output_format": {
                "kwargs": {"method": method, "strict": strict},
                "schema": tool,
            },
            **kwargs,
        }
        model: Runnable[LanguageModelInput, AIMessage]
        tool_name = None
        if method == "function_calling":
            tool_name = function["name"]
            model = self.bind_tools(**_tools.add_schema_tool(options, tool), strict=strict)
        else:
            format_ = response_format.build_method_format(schema, method, strict=strict)
            model = self.bind(**{**options, "response_format": format_})
        return model | StructuredOutputParser(
            object_schema=schema, tool_name=tool_name, include_raw=include_raw
        )

    # --- tokens --------------------------------------------------------------------------

    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text with `custom_get_token_ids`, or else estimate them."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return token_estimate.estimate_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate the prompt tokens of messages and tools; the estimate tends to be high.

        Messages that cannot be sent are counted, too. `custom_get_token_ids` is not used.
        """
        request_messages = _messages.convert_messages(
            messages,
            model=self.model_name,
            accepts_images=_model_catalog.accepts_images(self.model_name, self.profile),
            replay_reasoning=self.replay_reasoning,
            for_counting=True,
        )
        converted_tools = _tools.convert_tools(tools) if tools else None
        return token_estimate.estimate_message_tokens(
            request_messages, converted_tools, model=self.model_name
        )

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text from `custom_get_token_ids`.

        Raises:
            NotImplementedError: If `custom_get_token_ids` is not set, because Cerebras
                publishes no tokenizer.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        msg = (
            "Cerebras publishes no tokenizer; set custom_get_token_ids, or use get_num_tokens"
            " for an estimate."
        )
        raise NotImplementedError(msg)

    # --- serialization, copies --------------------------------------------------------------

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return `True`: LangChain can serialize the model, without its secrets."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secret fields, with the environment variables that replace their values."""
        return {
            **_settings.CREDENTIAL_VARIABLES,
            "proxy": "CEREBRAS_PROXY",
            "quota_store": "CEREBRAS_QUOTA_STORE",
        }

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """Copy the model, and validate the fields in `update`."""
        copy = super().model_copy(deep=deep)
        for name, value in (update or {}).items():
            setattr(copy, name, value)
        return copy

    def __repr_args__(self) -> Any:
        """Leave the profile out of the `repr`: it is long, and follows from the model."""
        return [(name, value) for name, value in super().__repr_args__() if name != "profile"]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field.

        Its value is validated as at construction, but not its combination with other fields.
        """
        if name in _OWN_FIELDS:
            # With this placeholder key, validation does not read credentials from the
            # environment.
            fields = {"cerebras_api_key": "unused", name: value}
            validated = ChatCerebrasInference.model_validate(fields)
            value = getattr(validated, name)
        super().__setattr__(name, value)
        self.__dict__.pop("_serialized", None)  # langchain-core caches the fields here
        if name == "model_name" and _model_catalog.is_default_profile(self.profile):
            self.profile = _model_catalog.find_profile(self.model_name)

    # --- models, credentials, connections ------------------------------------------------

    def list_models(self) -> list[ModelInfo]:
        """List the models that this key can use, with their details from the public catalog.

        Raises:
            CerebrasError: If the list cannot be fetched.
        """
        return _run_sync(self.alist_models)

    async def alist_models(self) -> list[ModelInfo]:
        """List the models that this key can use, with their details from the public catalog.

        Raises:
            CerebrasError: If the list cannot be fetched.
        """
        await _import_client()
        client = self._create_client()
        usable_models = await client.get(
            f"{self.cerebras_api_base}/models", max_retries=self.max_retries
        )
        public_url = f"{_urls.get_public_api_base(self.cerebras_api_base)}/models"
        try:
            public_catalog = await client.get(public_url, needs_key=False)
        except CerebrasError:  # a gateway may have no public catalog
            public_catalog = {}
        return _model_catalog.merge_model_lists(usable_models, public_catalog)

    def credential(self) -> Credential:
        """Describe the key or cookies that the model authenticates with, without the secret.

        If the model uses cookies and has no demo key yet, they are exchanged for one.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        return _run_sync(self.acredential)

    async def acredential(self) -> Credential:
        """Describe the key or cookies that the model authenticates with, without the secret.

        If the model uses cookies and has no demo key yet, they are exchanged for one.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        await _import_client()
        return await self._create_client().describe_credential(self.max_retries)

    def quota(self) -> QuotaInfo:
        """Describe the quota of this model and its key: the queue, rejections and limits.

        It contains what this process knows from its own requests. No request is sent, unless
        the model uses cookies and they have to be exchanged for a demo key.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        return _run_sync(self.aquota)

    async def aquota(self) -> QuotaInfo:
        """Describe the quota of this model and its key: the queue, rejections and limits.

        It contains what this process knows from its own requests. No request is sent, unless
        the model uses cookies and they have to be exchanged for a demo key.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        await _import_client()
        client = self._create_client()
        return await client.describe_quota(self.model_name, self.max_retries)

    def warm_up(self) -> None:
        """Send a small request, so that the next call finds an open connection and a key.

        The connection is that for synchronous calls. A `CerebrasError` is ignored.
        """
        _run_sync(self.awarm_up)

    async def awarm_up(self) -> None:
        """Send a small request, so that the next call finds an open connection and a key.

        The connection is that of the current event loop. A `CerebrasError` is ignored.
        """
        await _import_client()
        # langchain-core imports this module at the first call, which blocks the event loop.
        await asyncio.to_thread(importlib.import_module, _TRACER_MODULE)
        with contextlib.suppress(CerebrasError):
            await self._create_client().get(f"{self.cerebras_api_base}/tcp_warming")

    def close(self) -> None:
        """Close the connections for synchronous calls, except those that other models use.

        Calls in progress continue, and the next call opens a new connection.
        """
        _run_sync(self.aclose)

    async def aclose(self) -> None:
        """Close the connections of this event loop, except those that other models use.

        Calls in progress continue, and the next call opens a new connection.
        """
        await _import_client()
        await self._create_client().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


_STREAM_HOOKS = (ChatCerebrasInference._stream, ChatCerebrasInference._astream)  # noqa: SLF001

_OWN_FIELDS = [
    name
    for name in ChatCerebrasInference.model_fields
    if name not in BaseChatModel.model_fields
]


def _get_message_id(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun,
) -> str:
    """Return the id that langchain-core gives the message of a run."""
    return f"{LC_ID_PREFIX}-{run_manager.run_id}"


def _run_sync(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # The import comes first: an interrupt during it would leave a coroutine that nobody awaits.
    from langchain_cerebras_inference._client import run_sync

    return run_sync(function())


@contextlib.contextmanager
def _close_with_task(stream: EventStream) -> Iterator[None]:
    """Close a stream at the end of the block, or when the current task ends.

    If the caller stops reading a stream of protocol events, langchain-core cancels the task
    that runs this block. If a callback was running, the traceback of the cancellation keeps a
    reference to the generator that contains the block. Python may then run the end of the
    block late or never.
    """
    task = asyncio.current_task()

    def close(_: object) -> None:
        stream.close()

    if task:
        task.add_done_callback(close)
    try:
        yield
    finally:
        if task:
            task.remove_done_callback(close)


async def _import_client() -> None:
    """Import aiohttp, which takes 80 ms, in a thread."""
    if _CLIENT_MODULE not in sys.modules:
        await asyncio.to_thread(importlib.import_module, _CLIENT_MODULE)
