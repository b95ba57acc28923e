"""`ChatCerebrasInference`: LangChain messages in, `AIMessageChunk`s out.

The class holds the settings and answers LangChain's hooks. What a request looks like is
decided in `_conversion`, how a call is made in `_client`, where the key comes from in
`_credentials`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
    ModelProfile,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from langchain_cerebras_inference import _model_catalog, _settings, _urls
from langchain_cerebras_inference._auth import cookie_input as _cookies
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
from langchain_cerebras_inference._conversion.stream_events import ProtocolEventBuilder
from langchain_cerebras_inference._version import version
from langchain_cerebras_inference.errors import CerebrasError

if TYPE_CHECKING:
    from typing import Self, Unpack

    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._client import Call, CerebrasClient
    from langchain_cerebras_inference._model_catalog import ModelInfo
    from langchain_cerebras_inference._response_parser import EventStream
    from langchain_cerebras_inference._types import Completion

B = TypeVar("B", bound=ChunkBuilder)

_KEY = "cerebras_api_key"
_CLIENT = "langchain_cerebras_inference._client"
_TRACERS = "langchain_core.tracers.langchain"  # core imports it at the first call


class ChatCerebrasInference(BaseChatModel):
    """Chat with the models Cerebras serves.

    It signs in with an API key or with the cookies of a browser session, and works the
    same in `invoke`, `ainvoke`, `stream`, `astream` and what LangChain builds on them.

    ```python
    from langchain_cerebras_inference import ChatCerebrasInference

    model = ChatCerebrasInference(model="gpt-oss-120b", reasoning_effort="low")
    for chunk in model.stream("Why is the sky blue?"):
        print(chunk.text, end="", flush=True)
    ```

    Every field has a default, which `None` stands for too. Most may be given for one
    call alone, as an argument of `invoke` and its kin or of `bind`.
    """

    model_name: str = Field(_model_catalog.DEFAULT_MODEL, alias="model")
    """The model's id."""

    cerebras_api_key: SecretStr | Callable[[], Any] | None = Field(None, alias="api_key")
    """The key, or a function, sync or async, that returns it; else `CEREBRAS_API_KEY`."""

    cookies: SecretStr | None = None
    """Of a signed-in browser session: names and values, a `Cookie` header, a `CookieJar`, an
    export or its path, or `"browser"`; else `CEREBRAS_COOKIES`. As secret as a key."""

    session_url: str = Field(default_factory=_urls.default_session_url, validate_default=True)
    """Where cookies are exchanged for a key; else `CEREBRAS_SESSION_URL`."""

    cerebras_api_base: str = Field(
        default_factory=_urls.default_api_base, alias="base_url", validate_default=True
    )
    """The API's URL; one without a path gets `/v1`. Else `CEREBRAS_API_BASE` or
    `CEREBRAS_BASE_URL`."""

    temperature: float | None = None
    """Randomness, from 0 to 2."""

    top_p: float | None = None
    """The probability mass tokens are drawn from, from 0 to 1."""

    seed: int | None = None
    """Makes equal requests give equal answers, as far as the server can."""

    n: int | None = None
    """How many answers `invoke` gets; they are the generations of one result."""

    logprobs: bool | None = None
    """Whether each token's log probability is returned."""

    top_logprobs: int | None = None
    """How many alternatives of each token are returned, up to 20."""

    frequency_penalty: float | None = None
    """Makes repeated tokens less likely, from -2 to 2."""

    presence_penalty: float | None = None
    """Makes tokens that have occurred less likely, from -2 to 2."""

    logit_bias: dict[str, float] | None = None
    """Token ids → how much more likely they are, from -100 to 100."""

    user: str | None = None
    """An id for your end user, by which abuse is traced."""

    max_tokens: int | None = Field(None, alias="max_completion_tokens")
    """The longest answer in tokens, reasoning included. The server reserves it against
    the quota before it answers."""

    stop: str | list[str] | None = Field(None, alias="stop_sequences")
    """Up to four texts that end the answer."""

    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    """How long the model thinks first."""

    reasoning_format: str | None = None
    """How the server tells reasoning from text; models separate them by default."""

    clear_thinking: bool | None = None
    """Whether the server drops earlier reasoning."""

    disable_reasoning: bool | None = None
    """`ChatCerebras`' older word for `reasoning_effort="none"`."""

    replay_reasoning: bool = True
    """Whether earlier reasoning goes back, the way the model wants it."""

    parallel_tool_calls: bool | None = None
    """Whether one answer may call several tools."""

    service_tier: str | None = None
    """How urgent the request is: `"default"`, `"auto"`, `"flex"` or `"priority"`."""

    prediction: dict[str, Any] | None = None
    """Text the answer will largely repeat."""

    prompt_cache_key: str | None = None
    """Keeps one conversation's requests on one cache."""

    extra_body: dict[str, Any] | None = None
    """Merged deeply into the body, last: for parameters newer than this package."""

    default_headers: dict[str, SecretStr] | None = Field(None, exclude=True)
    """Added to requests to the API; they win over ours and are not serialised."""

    timeout: float = Field(60.0, gt=0)
    """Seconds without a meaningful byte: to the first, and then between events. For an
    answer that is not streamed, the whole generation."""

    connect_timeout: float = Field(10.0, gt=0)
    """Seconds for name, connection and TLS together."""

    max_retries: int = Field(2, ge=0)
    """How often a call is sent again where the error says that this may help."""

    max_retry_wait: float = Field(60.0, ge=0)
    """Seconds; where the server asks for a longer wait, the call fails at once. Also the
    longest time in the queue of a quota, unless `pace` is true."""

    pace: Literal["auto"] | bool = "auto"
    """Whether calls that their quota has no room for wait in a queue: `"auto"`: up to
    `max_retry_wait` seconds; `True`: as long as it takes, for batch jobs; `False`: never."""

    quota_store: SecretStr | None = Field(
        default_factory=_urls.default_quota_store, validate_default=True
    )
    """URL of a store with which processes share their quotas, `sqlite:///PATH` or
    `redis://HOST:PORT`; else `CEREBRAS_QUOTA_STORE`."""

    proxy: SecretStr | None = Field(default_factory=_urls.default_proxy)
    """A proxy's URL; else `CEREBRAS_PROXY`, or the usual variables."""

    verify: bool | str = True
    """Whether certificates are checked, or the path of a CA bundle."""

    streaming: bool | None = None
    """`True` sends `invoke` through the stream, `False` forbids streaming."""

    stream_usage: bool = True
    """Accepted for compatibility: usage always arrives."""

    coalesce: bool = False
    """Join the deltas of one kind that have already arrived, some dozens at a time: a slow
    reader gets fewer, larger chunks, and never waits for more."""

    compression: Literal["auto"] | bool = "auto"
    """Whether requests are compressed: `"auto"` does it to Cerebras' own host, from 4 KiB."""

    include_response_headers: bool = False
    """Whether the useful headers are in `response_metadata["headers"]`."""

    model_config = ConfigDict(
        populate_by_name=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[_settings.Arguments]) -> None:
            """Each field by its name or its alias."""

    # --- construction ------------------------------------------------------------------

    @model_validator(mode="before")
    @classmethod
    def _read_arguments(cls, given: Any) -> Any:
        """Take each field by either of its names; `None` is its default."""
        if not isinstance(given, Mapping):
            return given
        fields = _settings.to_fields(given, cls.model_fields, _aliases_of(cls))
        if _model_catalog.follows_model(fields.get("profile")):
            fields.pop("profile", None)  # who rebuilds a model may name another
        return fields

    @field_validator("model_name")
    @classmethod
    def _resolve_model(cls, value: str) -> str:
        return _model_catalog.resolve(value)

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _read_logit_bias(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {str(token_id): bias for token_id, bias in value.items()}

    @field_validator("cerebras_api_key", mode="before")
    @classmethod
    def _strip_key(cls, value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return SecretStr(text.strip()) if isinstance(text, str) else value

    @field_validator("cookies", mode="before")
    @classmethod
    def _read_cookies(cls, value: Any) -> Any:
        return SecretStr(_cookies.to_text(value))

    @field_validator("session_url")
    @classmethod
    def _check_session_url(cls, value: str) -> str:
        return _urls.to_session_url(value)

    @field_validator("cerebras_api_base")
    @classmethod
    def _check_api_base(cls, value: str) -> str:
        return _urls.to_api_base(value)

    @field_validator("quota_store")
    @classmethod
    def _check_quota_store(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _urls.check_quota_store(value.get_secret_value())
        return value

    @field_validator("verify", mode="before")
    @classmethod
    def _read_verify(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @model_validator(mode="after")
    def _set_cerebras_version(self) -> Self:
        self._add_version("langchain-cerebras-inference", version())
        return self

    @model_validator(mode="after")
    def _guard_cookies(self) -> Self:
        is_local = _urls.is_loopback(self.session_url)
        if self.cookies is not None and self.verify is False and not is_local:
            raise ValueError("verify=False would show the cookies to anybody; name a CA.")
        return self

    # --- LangChain's hooks -------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client, call, names = self._prepare(messages, stop, kwargs, stream=False)
        return self._convert_completion(client.complete_sync(call), call, names)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await _import_client()
        client, call, names = self._prepare(messages, stop, kwargs, stream=False)
        return self._convert_completion(await client.complete(call), call, names)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        client, call, names = self._prepare(messages, stop, kwargs, stream=True)
        with contextlib.closing(client.stream_sync(call)) as batches:
            builder = self._create_builder(ChunkBuilder, call, names)
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
        await _import_client()
        client, call, names = self._prepare(messages, stop, kwargs, stream=True)
        with await client.open_stream(call) as stream:
            builder = self._create_builder(ChunkBuilder, call, names)
            while not builder.is_complete:
                for chunk in builder.build_chunks(await stream.read_events()):
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
        """Stream protocol events; without this hook langchain-core converts chunks."""
        client, call, names = self._prepare(messages, stop, kwargs, stream=True)
        has_callbacks = bool(run_manager and run_manager.handlers)
        with contextlib.closing(client.stream_sync(call)) as batches:
            builder = self._create_builder(ProtocolEventBuilder, call, names)
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
        """Stream protocol events; without this hook langchain-core converts chunks."""
        await _import_client()
        client, call, names = self._prepare(messages, stop, kwargs, stream=True)
        has_callbacks = bool(run_manager and run_manager.handlers)
        with await client.open_stream(call) as stream, _close_with_task(stream):
            builder = self._create_builder(ProtocolEventBuilder, call, names)
            while not builder.is_complete:
                events = await stream.read_events()
                for item in builder.build_protocol_events(events, with_chunks=has_callbacks):
                    if isinstance(item, dict):
                        yield item
                    elif run_manager:
                        item.message.id = _get_message_id(run_manager)
                        await run_manager.on_llm_new_token(item.text, chunk=item)

    def _prepare(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        arguments: Mapping[str, Any],
        *,
        stream: bool,
    ) -> tuple[CerebrasClient, Call, _tools.Names]:
        """Make what one call needs; nothing of it outlives the call."""
        from langchain_cerebras_inference._client import Call  # aiohttp

        settings = {
            **self._settings(),
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            "coalesce": self.coalesce,
        }
        request = request_body.to_request(
            settings, messages, {"stop": stop, **arguments}, stream=stream
        )
        call = Call(
            request.payload,
            timeout=request.timeout,
            max_retries=request.max_retries,
            coalesce=request.coalesce,
        )
        return self._create_client(), call, request.names

    def _settings(self) -> dict[str, Any]:
        """The fields that decide what a request says, by their names on the wire."""
        fields = self.__dict__
        return {sent: fields[name] for name, sent in _SENT.items()}

    def _create_client(self) -> CerebrasClient:
        from langchain_cerebras_inference._client import CerebrasClient

        return CerebrasClient(
            user=self,
            base_url=self.cerebras_api_base,
            key=self.cerebras_api_key,
            cookies=self.cookies,
            session_url=self.session_url,
            headers=self.default_headers,
            proxy=self.proxy,
            verify=self.verify,
            connect_timeout=self.connect_timeout,
            timeout=self.timeout,
            max_retry_wait=self.max_retry_wait,
            compression=self.compression,
            pace=self.pace,
            quota_store=self.quota_store,
        )

    def _convert_completion(
        self, response: Completion, call: Call, names: _tools.Names
    ) -> ChatResult:
        headers = call.response_headers if self.include_response_headers else None
        return completion.convert_completion(response, names, headers, call.metadata)

    def _create_builder(self, kind: type[B], call: Call, names: _tools.Names) -> B:
        headers = call.response_headers if self.include_response_headers else None
        return kind(names, headers, coalesce=call.coalesce, call_metadata=call.metadata)

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        """Several answers cannot be streamed, so what may choose does not stream them."""
        several = (kwargs.get("n") or self.n or 1) > 1
        return (several and not kwargs.get("stream")) or super()._streaming_disabled(**kwargs)

    @property
    def _llm_type(self) -> str:
        return "cerebras-inference"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        sent = {name: value for name, value in self._settings().items() if value is not None}
        return {**sent, "base_url": self.cerebras_api_base}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The cache's key: all that decides the answer, and no secret."""
        decides = request_body.decisive(self._settings(), {"stop": stop, **kwargs})
        where = [*self.lc_id(), self.cerebras_api_base, self.output_version]
        return json.dumps([where, decides], sort_keys=True, default=repr)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """What traces show of a call; its own arguments come before the fields."""
        arguments = {request_body.ALIASES.get(name, name): kwargs[name] for name in kwargs}
        settings = self._settings() | {k: v for k, v in arguments.items() if v is not None}
        stops = stop or settings["stop"] or []
        params = LangSmithParams(
            ls_provider=completion.PROVIDER,
            ls_model_name=_model_catalog.resolve(settings["model"]),
            ls_model_type="chat",
        )
        if settings["temperature"] is not None:
            params["ls_temperature"] = settings["temperature"]
        if settings["max_completion_tokens"] is not None:
            params["ls_max_tokens"] = settings["max_completion_tokens"]
        if stops:
            params["ls_stop"] = [stops] if isinstance(stops, str) else list(stops)
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return _model_catalog.profile(self.model_name)

    # --- tools and structured output -----------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools the model may call.

        Args:
            tools: Pydantic classes, functions, `BaseTool`s, JSON schemas or dicts in
                OpenAI's shape. Without any, nothing about tools is sent.
            tool_choice: `"any"` or `"required"` for at least one call, `"none"`,
                `"auto"`, a tool's name, a dict that names one, or `True` for `"any"`.
            strict: Whether arguments must follow the schema exactly.
            response_format: A schema or format for the answer, where there are no tools.
            kwargs: Other arguments of the call, such as `parallel_tool_calls`.

        Raises:
            ValueError: If `tool_choice` names another tool, or there are both tools and
                a response format.
        """
        bound = _tools.to_openai_tools(tools, strict=strict)
        request_body.refuse_both(bound, response_format)
        arguments = {
            "tools": bound or None,
            "tool_choice": _tools.to_openai_choice(tool_choice, bound),
            "response_format": response_format,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        return super().bind(**given, **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answer with an object of a schema.

        Args:
            schema: A pydantic class of either major version, a TypedDict or a JSON
                schema. Only `"json_mode"` does without.
            method: `"json_schema"` constrains the answer where the schema can be said
                in Cerebras' subset; `"function_calling"` has the model call a tool;
                `"json_mode"` asks for JSON, which the prompt must do too.
            include_raw: Whether the output is a dict of `raw`, `parsed` and
                `parsing_error`, and an answer that does not fit is no exception.
            strict: `False` never constrains, `True` logs where that is impossible.
            kwargs: Other arguments of the call.

        Returns:
            A runnable whose output is an instance of a pydantic class, or a dict.

        Raises:
            ValueError: If the method is unknown or does not go with the rest.
        """
        # To import it builds a pydantic class, which most programs never need.
        from langchain_cerebras_inference._conversion import structured_output

        if schema is None and method != "json_mode":
            msg = f"method {method!r} needs a schema; 'json_mode' does without."
            raise ValueError(msg)
        function = response_format.to_function(schema or {"title": "json", "type": "object"})
        tool = {"type": "function", "function": function}
        given = {
            "ls_structured_output_format": {
                "kwargs": {"method": method, "strict": strict},
                "schema": tool,
            },
            **kwargs,
        }
        llm: Runnable[LanguageModelInput, AIMessage]
        name = None
        if method == "function_calling":
            name = function["name"]
            choice = {"type": "function", "function": {"name": name}}
            llm = self.bind_tools([tool], tool_choice=choice, strict=strict, **given)
        else:
            wanted = response_format.to_format(schema, method, strict=strict)
            llm = super().bind(response_format=wanted, **given)
        return structured_output.to_pipeline(
            llm, schema, tool_name=name, include_raw=include_raw
        )

    # --- tokens --------------------------------------------------------------------------

    def get_num_tokens(self, text: str) -> int:
        """Estimate the tokens of a text, without a tokenizer and without the network."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return token_estimate.estimate_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Estimate the prompt tokens of messages and tools; it errs on the high side."""
        wire = _messages.to_wire(
            messages,
            model=self.model_name,
            replay_reasoning=self.replay_reasoning,
            ordered=False,
        )
        bound = _tools.to_openai_tools(tools) if tools else None
        return token_estimate.estimate_message_tokens(wire, bound, model=self.model_name)

    def get_token_ids(self, text: str) -> list[int]:
        """Ask `custom_get_token_ids`: Cerebras publishes no tokenizer.

        Raises:
            NotImplementedError: If that is not set.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        msg = "Cerebras publishes no tokenizer; get_num_tokens estimates how many there are."
        raise NotImplementedError(msg)

    # --- serialisation ---------------------------------------------------------------------

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain can serialise it: yes, without its secrets."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The fields whose values are replaced by the names of their variables."""
        return {
            **_settings.CREDENTIALS,
            "proxy": "CEREBRAS_PROXY",
            "quota_store": "CEREBRAS_QUOTA_STORE",
        }

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """Copy the model; the fields in `update` are set on the copy."""
        copy = super().model_copy(deep=deep)
        for name, value in (update or {}).items():
            setattr(copy, name, value)
        return copy

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field, checked as at construction; what core knew of the old value goes."""
        if name in _SETTABLE:
            # With a key, the environment's cookies have no say in the matter.
            checked = ChatCerebrasInference.model_validate({_KEY: "unused", name: value})
            value = getattr(checked, name)
        super().__setattr__(name, value)
        self.__dict__.pop("_serialized", None)
        if name == "model_name" and _model_catalog.follows_model(self.profile):
            self.profile = self._resolve_model_profile()

    # --- models, credentials, connections ------------------------------------------------

    def list_models(self) -> list[ModelInfo]:
        """List the models that this key can use, with the facts of the public catalog.

        Raises:
            CerebrasError: If the list cannot be fetched.
        """
        return self._create_client().run_sync(self.alist_models())

    async def alist_models(self) -> list[ModelInfo]:
        """List the models that this key can use, with the facts of the public catalog.

        Raises:
            CerebrasError: If the list cannot be fetched.
        """
        await _import_client()
        client = self._create_client()
        usable_models = await client.get(
            f"{self.cerebras_api_base}/models", max_retries=self.max_retries
        )
        public_url = f"{_urls.public_base(self.cerebras_api_base)}/models"
        try:
            public_catalog = await client.get(public_url, is_signed=False)
        except CerebrasError:  # a gateway may have no public catalog
            public_catalog = {}
        return _model_catalog.merged(usable_models, public_catalog)

    def credential(self) -> Credential:
        """Return what the model authenticates with, without the secret.

        Cookies are exchanged for a key if that has not been done yet.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        return self._create_client().run_sync(self.acredential())

    async def acredential(self) -> Credential:
        """Return what the model authenticates with, without the secret.

        Cookies are exchanged for a key if that has not been done yet.

        Raises:
            CerebrasAuthenticationError: If there is no credential.
            CerebrasCookieError: If the key exchange fails.
        """
        await _import_client()
        return await self._create_client().get_credential(self.max_retries)

    def warm_up(self) -> None:
        """Open the connection for the next synchronous call; a failure is not an error."""
        self._create_client().run_sync(self.awarm_up())

    async def awarm_up(self) -> None:
        """Open the connection for this event loop's next call; a failure is not an error."""
        await _import_client()
        await asyncio.to_thread(importlib.import_module, _TRACERS)
        with contextlib.suppress(CerebrasError):
            await self._create_client().get(f"{self.cerebras_api_base}/tcp_warming")

    def close(self) -> None:
        """Close the connections of synchronous calls that no other living model has used.

        Calls in progress go on, and the next call opens a new connection.
        """
        self._create_client().run_sync(self.aclose())

    async def aclose(self) -> None:
        """Close this event loop's connections that no other living model has used.

        Calls in progress go on, and the next call opens a new connection.
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


@cache
def _aliases_of(kind: type[BaseModel]) -> dict[str, str]:
    """Other names of the fields of a class → the fields."""
    return {field.alias: name for name, field in kind.model_fields.items() if field.alias}


_SETTABLE = [
    name
    for name in ChatCerebrasInference.model_fields
    if name not in BaseChatModel.model_fields
]
_SENT = {
    name: request_body.ALIASES.get(name, name)
    for name in _SETTABLE
    if request_body.ALIASES.get(name, name) in request_body.SETTINGS
}
"""Fields that decide what a request says → their names on the wire."""


def _get_message_id(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun,
) -> str:
    """Return the id that langchain-core gives the message of a run."""
    return f"{LC_ID_PREFIX}-{run_manager.run_id}"


@contextlib.contextmanager
def _close_with_task(stream: EventStream) -> Iterator[None]:
    """Close a stream when the current task ends, if that is before the end of the block.

    langchain-core cancels the task when a version 3 stream is left. If a callback is running
    at that moment, the traceback of the task keeps the generator with this block alive.
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
    if _CLIENT not in sys.modules:
        await asyncio.to_thread(importlib.import_module, _CLIENT)
