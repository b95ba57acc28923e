"""Secrets of a model are redacted in everything that a user, a log or a trace can see."""

import asyncio
import gc
import json
import logging
import pickle
import pprint
import re
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tracers.schemas import Run
from langchain_core.tracers.stdout import FunctionCallbackHandler
from pydantic import SecretStr, ValidationError

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    Garble,
    Redirect,
    Refuse,
    Reply,
    Request,
    Scripted,
    Session,
    Stall,
)
from tests.integration import helpers
from tests.integration.call_styles import (
    CallStyle,
    collect,
    every_call_style,
    invoke,
    stream_message,
)

# No literals, because a traceback quotes the source line that contains a literal.
API_KEY = "csk-" + uuid.uuid4().hex
COOKIE, OTHER_COOKIE = uuid.uuid4().hex, uuid.uuid4().hex
HEADER = uuid.uuid4().hex
PROXY_PASSWORD, STORE_PASSWORD = uuid.uuid4().hex, uuid.uuid4().hex
OTHER_KEY = "csk-" + uuid.uuid4().hex
SECRETS = [API_KEY, OTHER_KEY, COOKIE, OTHER_COOKIE, HEADER, PROXY_PASSWORD, STORE_PASSWORD]

SETTINGS: dict[str, Any] = {
    "api_key": API_KEY,
    "cookies": {"first": COOKIE, "second": OTHER_COOKIE},
    # The quotes and the backslash are escaped in most representations.
    "default_headers": {"X-Gateway": f'header "{HEADER}" / \\'},
    "proxy": f"http://somebody:{PROXY_PASSWORD}@127.0.0.1:9",
    "quota_store": f"redis://:{STORE_PASSWORD}@127.0.0.1:9",
}

both_credentials = pytest.mark.parametrize("credential", ["key", "cookies"])


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator(api_key=API_KEY) as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[Emulator]:
    with Emulator(api_key=OTHER_KEY) as running:
        yield running


def create_model(server: Emulator, credential: str, **settings: Any) -> ChatCerebrasInference:
    """Create a model that signs in with the API key or with the cookies of `server`."""
    # Every key exchange returns the same demo key, so that the tests can search for it.
    server.script_session(lambda _: Session(demo_key=server.demo_key))
    create = helpers.create_model if credential == "key" else helpers.create_cookie_model
    headers = SETTINGS["default_headers"]
    defaults: dict[str, Any] = {"default_headers": headers, "max_retries": 0, "timeout": 0.3}
    return create(server, **{**defaults, **settings})


def find_secrets(*values: object, server: Emulator | None = None) -> list[str]:
    """Return the secrets, also those of `server`, that the text of some values contains."""
    text = " ".join(map(str, values))
    server_secrets = [server.demo_key, *server.cookies.values()] if server else []
    return [secret for secret in [*SECRETS, *server_secrets] if secret in text]


# --- the model ----------------------------------------------------------------------


def show_chain(model: ChatCerebrasInference) -> str:
    chain = ChatPromptTemplate.from_template("{question}") | model.bind(stop=["."])
    return f"{chain!r} {chain} {dumps(chain)} {chain.get_graph().to_json()}"


def show_bound_headers(model: ChatCerebrasInference) -> str:
    bound = model.bind(extra_headers={"X-Gateway": SecretStr(HEADER)})
    return f"{bound!r} {dumps(bound)}"


VIEWS: Mapping[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "pprint": pprint.pformat,
    "rich": lambda model: list(model.__rich_repr__()),
    "dumps": dumps,
    "dumpd": dumpd,
    "dumps with indent": lambda model: dumps(model, pretty=True),
    "model_dump": lambda model: model.model_dump(),
    "model_dump as JSON": lambda model: model.model_dump(mode="json"),
    "model_dump_json": lambda model: model.model_dump_json(),
    "dict": dict,
    "vars": vars,
    "identifying parameters": lambda model: model._identifying_params,
    "cache key": lambda model: model._get_llm_string(),
    "trace parameters": lambda model: model._get_ls_params(),
    "metadata": lambda model: model.metadata,
    "bound options": lambda model: repr(model.bind(temperature=0)),
    "bound secret headers": show_bound_headers,
    "chain": show_chain,
    "structured output": lambda model: repr(model.with_structured_output(method="json_mode")),
    "fallbacks": lambda model: repr(model.with_fallbacks([model])),
}


@pytest.mark.parametrize("view", VIEWS)
def test_view_of_a_new_model_has_no_secret(view: str) -> None:
    model = ChatCerebrasInference(**SETTINGS)

    assert find_secrets(VIEWS[view](model)) == []


@both_credentials
@pytest.mark.parametrize("view", VIEWS)
def test_view_of_a_used_model_has_no_secret(
    view: str, credential: str, server: Emulator
) -> None:
    model = create_model(server, credential)
    model.invoke("Hello!")

    assert find_secrets(VIEWS[view](model), repr(model.credential()), server=server) == []


INVALID_SETTINGS: dict[str, Any] = {
    "key of another type": {"api_key": [API_KEY]},
    "cookies of another type": {"cookies": [COOKIE]},
    "cookies with a line break": {"cookies": f"a={COOKIE}\r\nb=c"},
    "headers of another type": {"default_headers": [HEADER]},
    "header of another type": {"default_headers": {"X-Gateway": [HEADER]}},
    "proxy of another type": {"proxy": [SETTINGS["proxy"]]},
    "password in the base URL": {"base_url": f"https://me:{API_KEY}@example.com"},
    "password in the session URL": {"session_url": f"https://me:{API_KEY}@example.com"},
    "unknown setting": {"password": API_KEY},
    "both names of the key": {"cerebras_api_key": API_KEY},
    "another invalid setting": {"temperature": "hot"},
    "no TLS verification": {"verify": False},
    "key with a line break": {"api_key": f"{API_KEY}\r\nX-More: 1"},
    "header with a line break": {"default_headers": {"X-Gateway": f"{HEADER}\r\nX-More: 1"}},
    "header name with a colon": {"default_headers": {f"X-Gateway: {HEADER}": "1"}},
}


@pytest.mark.parametrize("case", INVALID_SETTINGS)
def test_validation_error_has_no_secret(case: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatCerebrasInference(**{**SETTINGS, **INVALID_SETTINGS[case]})

    error = caught.value
    assert find_secrets(error, repr(error), *traceback.format_exception(error)) == []


# --- a call -------------------------------------------------------------------------


class CallbackRecorder(BaseCallbackHandler):
    """Records the arguments of every callback."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self._record(name, args, kwargs)
        return super().__getattribute__(name)

    def _record(self, name: str, args: Any, kwargs: Any) -> None:
        as_json = json.dumps([args, kwargs], default=str)
        self.texts.append(f"{name} {args!r} {kwargs!r} {as_json}")


@dataclass
class Observation:
    """What a call returns, raises, logs and passes to callbacks, as text."""

    texts: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def add(self, *values: object) -> None:
        self.texts += map(str, values)

    def add_error(self, error: BaseException) -> None:
        self.error = error
        cause: BaseException | None = error
        while cause is not None:
            self.add(repr(cause), cause, vars(cause), cause.args)
            self.add(getattr(cause, "__notes__", []), getattr(cause, "response", ""))
            cause = cause.__cause__ or cause.__context__
        self.add(*traceback.format_exception(error))
        self.add(pickle.dumps(error).decode("latin-1"))


Observe: TypeAlias = Callable[[CallStyle, Runnable[Any, Any]], Observation]


@pytest.fixture
def observe(caplog: pytest.LogCaptureFixture) -> Observe:
    """A function that calls a model and observes the call, with all loggers at DEBUG."""
    for name in (None, "langchain_cerebras_inference", "aiohttp", "aiohttp.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)

    def observe_call(call: CallStyle, model: Runnable[Any, Any]) -> Observation:
        observation, recorder = Observation(), CallbackRecorder()
        try:
            observation.add(call(model.with_config(callbacks=[recorder]), "Hello!"))
        except CerebrasError as error:
            observation.add_error(error)
        observation.add(*recorder.texts, caplog.text)
        observation.add(*(f"{record.__dict__}" for record in caplog.records))
        return observation

    return observe_call


def request_headers(request: Request) -> str:
    return "; ".join(f"{name}: {value}" for name, value in request.raw_headers)


def escaped_headers(request: Request) -> bytes:
    """Return the headers as a JSON string in which every character is escaped."""
    escapes = "".join(f"\\u{ord(char):04x}" for char in request_headers(request))
    return f'"{escapes}"'.encode()


def status_200(data: bytes) -> Act:
    """Send `data` as the second event of a stream, or as the whole body without a stream."""
    first_event = {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}
    first = f"data: {json.dumps(first_event)}\n\n".encode()
    return Reply(data=[first, b"data: " + data + b"\n\n"], body=data)


# Responses that contain the headers of the request, in different places.
ECHOES: Mapping[str, Scripted] = {
    "error message": lambda request: Refuse(400, message=request_headers(request)),
    "escaped error message": lambda request: Refuse(
        400, body=b'{"message": %s, "code": "bad"}' % escaped_headers(request)
    ),
    "HTML page": lambda request: Refuse(502, body=f"<html>{request_headers(request)}"),
    "error code and type": lambda request: Refuse(
        500, code=request_headers(request), type=request_headers(request)
    ),
    "error with status 200": lambda request: status_200(
        b'{"error": {"message": %s}, "status_code": 400}' % escaped_headers(request)
    ),
    "text with status 200": lambda request: status_200(request_headers(request).encode()),
    "JSON object with status 200": lambda request: status_200(
        b'{"hello": {"a": %s}}' % escaped_headers(request)
    ),
    "JSON list with status 200": lambda request: status_200(b"[%s]" % escaped_headers(request)),
    "choices": lambda request: status_200(b'{"choices": %s}' % escaped_headers(request)),
    "finish reason": lambda request: status_200(
        b'{"choices": [{"message": {}, "finish_reason": [%s]}]}' % escaped_headers(request)
    ),
    "content of the wrong type": lambda request: status_200(
        b'{"choices": [{"delta": {"content": {"a": %s}}, "message": {"content": {"a": %s}}}]}'
        % (escaped_headers(request), escaped_headers(request)),
    ),
    "usage": lambda request: status_200(
        b'{"choices": [{"delta": {}, "message": {"content": "a"}, "finish_reason": "stop"}],'
        b'"usage": {"prompt_tokens": %s}}' % escaped_headers(request),
    ),
}


@both_credentials
@every_call_style
@pytest.mark.parametrize("place", ECHOES)
def test_secret_echoed_by_the_server_is_redacted(
    place: str, call: CallStyle, credential: str, server: Emulator, observe: Observe
) -> None:
    server.script(ECHOES[place])

    observation = observe(call, create_model(server, credential))

    assert isinstance(observation.error, CerebrasError)
    assert find_secrets(*observation.texts, server=server) == []


def ainvoke_in_debug_mode(model: Any, prompt: Any) -> object:
    return asyncio.run(model.ainvoke(prompt), debug=True)


def astream_in_debug_mode(model: Any, prompt: Any) -> object:
    return asyncio.run(collect(model.astream(prompt)), debug=True)


RESPONSES: Mapping[str, Scripted] = {
    "completion": Reply(),
    "error response": Refuse(401),
    "reset connection": Cut(after=None, how="reset"),
    "truncated stream": Cut(after=2),
    "silence": Stall(after=2),
    "malformed JSON": Garble("json"),
    "redirect": Redirect("https://example.com/"),
}


@both_credentials
@pytest.mark.parametrize(
    "call", [invoke, ainvoke_in_debug_mode, stream_message, astream_in_debug_mode]
)
@pytest.mark.parametrize("response", RESPONSES)
def test_callbacks_logs_and_errors_of_a_call_have_no_secret(
    response: str, call: CallStyle, credential: str, server: Emulator, observe: Observe
) -> None:
    server.script(Refuse(503, headers={"Retry-After": "0.01"}), RESPONSES[response])

    observation = observe(call, create_model(server, credential, max_retries=1))

    text = "".join(observation.texts)
    assert "on_chat_model_start" in text
    assert re.search(r"\b503\b", text)  # the log names the reason of the retry
    assert find_secrets(text, server=server) == []


EXTRA_HEADERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "text": lambda: {"X-Gateway": HEADER, "Authorization": f"Bearer {OTHER_KEY}"},
    "secrets": lambda: {
        "X-Gateway": SecretStr(HEADER),
        "authorization": SecretStr(f"Bearer {OTHER_KEY}"),
    },
}


@every_call_style
@pytest.mark.parametrize("form", EXTRA_HEADERS)
@pytest.mark.parametrize("response", ["completion", "error response", *ECHOES])
def test_extra_headers_are_redacted_in_callbacks_logs_and_errors(
    response: str, form: str, call: CallStyle, other_server: Emulator, observe: Observe
) -> None:
    other_server.script({**RESPONSES, **ECHOES}[response])
    model = create_model(other_server, "key", api_key=API_KEY, default_headers=None)

    observation = observe(call, model.bind(extra_headers=EXTRA_HEADERS[form]()))

    text = "".join(observation.texts)
    assert (observation.error is None) is (response == "completion")
    assert "X-Gateway" in text  # the name of the header is traced
    assert find_secrets(text) == []
    assert HEADER in request_headers(other_server.requests[0])
    assert OTHER_KEY in request_headers(other_server.requests[0])


def stream_events(model: Any, prompt: Any) -> object:
    return list(model.stream_events(prompt, version="v3"))


def astream_events(model: Any, prompt: Any) -> object:
    return asyncio.run(collect(model.astream_events(prompt, version="v2")))


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("call", [stream_events, astream_events])
@pytest.mark.parametrize("form", EXTRA_HEADERS)
def test_extra_headers_are_redacted_in_events(
    form: str, call: CallStyle, other_server: Emulator, observe: Observe
) -> None:
    model = create_model(other_server, "key", api_key=API_KEY, default_headers=None)

    observation = observe(call, model.bind(extra_headers=EXTRA_HEADERS[form]()))

    assert observation.error is None
    assert find_secrets(*observation.texts) == []


@pytest.mark.parametrize("form", EXTRA_HEADERS)
def test_views_of_a_model_with_bound_headers_have_no_secret(
    form: str, other_server: Emulator
) -> None:
    model = create_model(other_server, "key", api_key=API_KEY, default_headers=None)
    bound = model.bind(stop=["x"]).bind(extra_headers=EXTRA_HEADERS[form]())

    assert find_secrets(repr(bound), repr(bound | str), dumps(bound)) == []
    pickle.loads(pickle.dumps(bound)).invoke("Hello!")  # noqa: S301 # our own pickle
    assert HEADER in request_headers(other_server.requests[0])


@every_call_style
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Gateway": f"{HEADER}\r\n"},
        {"X-Gateway": SecretStr(f"{HEADER}\0")},
        {f"X-Gateway: {HEADER}": "1"},
        [HEADER],
        HEADER,
    ],
    ids=["line break", "null", "name", "list", "text"],
)
def test_invalid_extra_headers_are_redacted(
    headers: Any, call: CallStyle, server: Emulator
) -> None:
    recorder = CallbackRecorder()
    model = create_model(server, "key").bind(extra_headers=headers)

    with pytest.raises(ValueError, match="extra_headers") as caught:
        call(model.with_config(callbacks=[recorder]), "Hello!")

    error = caught.value
    assert find_secrets(error, *traceback.format_exception(error)) == []
    assert find_secrets(*recorder.texts) == []
    assert server.requests == []


@every_call_style
def test_connection_error_has_no_secret(call: CallStyle, observe: Observe) -> None:
    model = ChatCerebrasInference(**SETTINGS, max_retries=0, connect_timeout=1)

    observation = observe(call, model)

    assert isinstance(observation.error, CerebrasError)
    assert "proxy" in str(observation.error)
    assert find_secrets(*observation.texts) == []


@pytest.mark.parametrize("credential", ["key", "cookies", "proxy"])
def test_internal_objects_have_no_secret_in_their_repr(
    credential: str, server: Emulator
) -> None:
    """Error reports often contain the `repr` of every local variable in a traceback."""
    server.script(Refuse(400))
    if credential == "proxy":
        model = ChatCerebrasInference(**SETTINGS, max_retries=0)
    else:
        model = create_model(server, credential)

    with pytest.raises(CerebrasError) as caught:
        model.invoke("Hello!")

    modules = ((value, str(type(value).__module__)) for value in gc.get_objects())
    own_objects = [
        value
        for value, module in modules
        if module.startswith("langchain_cerebras_inference.")
        and not module.startswith("langchain_cerebras_inference.emulator")
    ]
    assert caught.value in own_objects
    leaks = [
        repr(value)[:600] for value in own_objects if find_secrets(repr(value), server=server)
    ]
    assert leaks == []


def test_tracer_receives_no_secret(server: Emulator) -> None:
    runs: list[str] = []

    class RunRecorder(FunctionCallbackHandler):
        def _persist_run(self, run: Run) -> None:
            runs.append(str(run.model_dump()))

    server.script(Reply(), ECHOES["error message"])
    model = create_model(server, "key").with_config(callbacks=[RunRecorder(runs.append)])

    model.invoke("Hello!")
    with pytest.raises(CerebrasError):
        model.invoke("Hello!")

    assert len(runs) >= 4
    assert find_secrets(*runs, server=server) == []
