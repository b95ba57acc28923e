"""Every secret of a model, searched for in everything that a call lets be seen."""

import asyncio
import json
import logging
import pickle
import pprint
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.schemas import Run
from langchain_core.tracers.stdout import FunctionCallbackHandler
from pydantic import ValidationError

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference._auth.browser_session import Bearer
from langchain_cerebras_inference._client import Call
from langchain_cerebras_inference._http.request import Route
from langchain_cerebras_inference._http.route import find_proxy
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
from tests.integration.styles import STYLES, collected

# Not literals, because a traceback quotes the line that holds one.
API_KEY = "csk-" + uuid.uuid4().hex
DEMO_KEY = "demo-" + uuid.uuid4().hex
COOKIE = uuid.uuid4().hex
HEADER = 'header "' + uuid.uuid4().hex + '" / \\'
PROXY = uuid.uuid4().hex
SECRETS = (API_KEY, DEMO_KEY, COOKIE, HEADER[8:40], PROXY)

FIELDS: dict[str, Any] = {
    "api_key": API_KEY,
    "cookies": {"first": COOKIE, "second": COOKIE[::-1]},
    "default_headers": {"X-Gateway": HEADER},
    "proxy": f"http://somebody:{PROXY}@127.0.0.1:9",
    "quota_store": f"redis://:{PROXY}@127.0.0.1:9",
}

SIGNED_IN = ["key", "cookies"]


def secrets_in(text: str) -> list[str]:
    return [each for each in (*SECRETS, COOKIE[::-1]) if each in text]


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator(api_key=API_KEY) as running:
        yield running


def model_of(server: Emulator, signed_in: str, **fields: Any) -> ChatCerebrasInference:
    server.script_session(lambda _: Session(demo_key=server.demo_key))
    given: dict[str, Any] = {
        "base_url": server.base_url,
        "session_url": server.session_url,
        "default_headers": FIELDS["default_headers"],
        "max_retries": 0,
        "timeout": 0.3,
    }
    if signed_in == "key":
        return ChatCerebrasInference(**{**given, "api_key": API_KEY, **fields})
    return ChatCerebrasInference(**{**given, "cookies": server.cookies, **fields})


# --- a model ------------------------------------------------------------------------


def as_a_chain(model: ChatCerebrasInference) -> str:
    chain = ChatPromptTemplate.from_template("{question}") | model.bind(stop=["."])
    return f"{chain!r} {chain} {dumps(chain)} {chain.get_graph().to_json()}"


VIEWS: Mapping[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "pprint": pprint.pformat,
    "rich": lambda model: list(model.__rich_repr__()),
    "dumps": dumps,
    "dumpd": dumpd,
    "pretty dumps": lambda model: dumps(model, pretty=True),
    "model_dump": lambda model: model.model_dump(),
    "model_dump as JSON": lambda model: model.model_dump(mode="json"),
    "model_dump_json": lambda model: model.model_dump_json(),
    "dict": dict,
    "fields": vars,
    "identity": lambda model: model._identifying_params,
    "cache key": lambda model: model._get_llm_string(),
    "trace parameters": lambda model: model._get_ls_params(),
    "metadata": lambda model: model.metadata,
    "a binding": lambda model: repr(model.bind(temperature=0)),
    "a chain": as_a_chain,
    "structured": lambda model: repr(model.with_structured_output(method="json_mode")),
    "fallbacks": lambda model: repr(model.with_fallbacks([model])),
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_of_a_model_shows_a_secret(view: str) -> None:
    model = ChatCerebrasInference(**FIELDS)

    shown = str(VIEWS[view](model))

    assert secrets_in(shown) == []


@pytest.mark.parametrize("signed_in", SIGNED_IN)
@pytest.mark.parametrize("view", VIEWS)
def test_no_view_of_a_model_that_was_used_shows_a_secret(
    view: str, signed_in: str, server: Emulator
) -> None:
    model = model_of(server, signed_in)
    model.invoke("Hello!")

    shown = str(VIEWS[view](model)) + repr(model.credential())

    assert secrets_in(shown) == []
    assert not [each for each in secrets_of(server) if each in shown]


def test_what_a_call_is_made_of_shows_no_secret() -> None:
    parts = [
        Bearer(API_KEY),
        Route(proxy=FIELDS["proxy"]),
        find_proxy("https://api.cerebras.ai", FIELDS["proxy"]),
        Call({"model": "m"}, 1, 0, bearer=Bearer(DEMO_KEY, is_demo=True)),
        ChatCerebrasInference(**FIELDS)._client().keys,
    ]

    assert secrets_in(repr(parts)) == []


WRONG: dict[str, Any] = {
    "a key of another type": {"api_key": [API_KEY]},
    "cookies of another type": {"cookies": [COOKIE]},
    "cookies with a line break": {"cookies": f"a={COOKIE}\r\nb=c"},
    "headers of another type": {"default_headers": [HEADER]},
    "a header of another type": {"default_headers": {"X-Gateway": [HEADER]}},
    "a proxy of another type": {"proxy": [FIELDS["proxy"]]},
    "a URL with a password": {"base_url": f"https://me:{API_KEY}@example.com"},
    "a session URL with a password": {"session_url": f"https://me:{API_KEY}@example.com"},
    "an unknown name": {"password": API_KEY},
    "both names of the key": {"cerebras_api_key": API_KEY},
    "another field": {"temperature": "hot"},
    "no verification": {"verify": False},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_of_construction_shows_no_secret(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatCerebrasInference(**{**FIELDS, **WRONG[name]})

    error = caught.value
    shown = "".join(traceback.format_exception(error))
    assert secrets_in(f"{error} {error!r} {shown}") == []


# --- a call -------------------------------------------------------------------------


def secrets_of(server: Emulator) -> list[str]:
    """What the emulator has made up, and what was given to it."""
    return [*SECRETS, server.demo_key, *server.cookies.values()]


class Listener(BaseCallbackHandler):
    """Keeps everything that callbacks are told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self._hear(name, args, kwargs)
        return super().__getattribute__(name)

    def _hear(self, name: str, args: Any, kwargs: Any) -> None:
        plain = json.dumps([args, kwargs], default=str)
        self.heard.append(f"{name} {args!r} {kwargs!r} {plain}")


@dataclass
class Seen:
    """All that a call let be seen."""

    text: list[str] = field(default_factory=list)
    error: BaseException | None = None

    def add(self, *things: object) -> None:
        self.text += map(str, things)

    def add_error(self, error: BaseException) -> None:
        self.error = error
        linked: BaseException | None = error
        while linked is not None:
            self.add(repr(linked), linked, vars(linked), linked.args)
            self.add(getattr(linked, "__notes__", []), getattr(linked, "response", ""))
            linked = linked.__cause__ or linked.__context__
        self.add(*traceback.format_exception(error))
        self.add(pickle.dumps(error).decode("latin-1"))


Watch: TypeAlias = Callable[[Callable[[], object], Listener], Seen]


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Watch:
    """Does something, and tells all that could be seen meanwhile."""
    for name in (None, "langchain_cerebras_inference", "aiohttp", "aiohttp.client", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)

    def watched(work: Callable[[], object], listener: Listener) -> Seen:
        seen = Seen()
        try:
            seen.add(work())
        except CerebrasError as error:
            seen.add_error(error)
        seen.add(*listener.heard, caplog.text)
        seen.add(*(f"{record.__dict__}" for record in caplog.records))
        return seen

    return watched


def echoed(request: Request) -> str:
    return "; ".join(f"{name}: {value}" for name, value in request.raw_headers)


def escaped(request: Request) -> bytes:
    """The same as JSON that escapes every character."""
    return b'"%s"' % "".join(f"\\u{ord(each):04x}" for each in echoed(request)).encode()


EVENT = {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}


def raw(request: Request, data: bytes) -> Act:
    """After a word, `data` as an event; or as the whole of a reply."""
    first = f"data: {json.dumps(EVENT)}\n\n".encode()
    return Reply(data=[first, b"data: " + data + b"\n\n"], body=data)


ECHOES: Mapping[str, Scripted] = {
    "in a refusal": lambda request: Refuse(400, message=echoed(request)),
    "escaped in a refusal": lambda request: Refuse(
        400, body=b'{"message": %s, "code": "bad"}' % escaped(request)
    ),
    "in a page": lambda request: Refuse(502, body=f"<html>{echoed(request)}"),
    "as an error's words": lambda request: Refuse(
        500, code=echoed(request), type=echoed(request)
    ),
    "in an error of status 200": lambda request: raw(
        request, b'{"error": {"message": %s}, "status_code": 400}' % escaped(request)
    ),
    "in text of status 200": lambda request: raw(request, echoed(request).encode()),
    "in other JSON of status 200": lambda request: raw(
        request, b'{"hello": {"a": %s}}' % escaped(request)
    ),
    "in a list of status 200": lambda request: raw(request, b"[%s]" % escaped(request)),
    "as a choice": lambda request: raw(request, b'{"choices": %s}' % escaped(request)),
    "as a finish": lambda request: raw(
        request, b'{"choices": [{"message": {}, "finish_reason": [%s]}]}' % escaped(request)
    ),
    "as text of another type": lambda request: raw(
        request,
        b'{"choices": [{"delta": {"content": {"a": %s}}, "message": {"content": {"a": %s}}}]}'
        % (escaped(request), escaped(request)),
    ),
    "as a usage": lambda request: raw(
        request,
        b'{"choices": [{"delta": {}, "message": {"content": "a"}, "finish_reason": "stop"}],'
        b'"usage": {"prompt_tokens": %s}}' % escaped(request),
    ),
}


@pytest.mark.parametrize("signed_in", SIGNED_IN)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_echoes_a_secret_is_not_repeated(
    echo: str, style: str, signed_in: str, server: Emulator, watch: Watch
) -> None:
    server.script(ECHOES[echo])
    listener = Listener()
    model = model_of(server, signed_in).with_config(callbacks=[listener])

    seen = watch(lambda: STYLES[style](model, "Hello!"), listener)

    shown = "".join(seen.text)
    assert isinstance(seen.error, CerebrasError)
    assert not [each for each in secrets_of(server) if each in shown]


OUTCOMES: Mapping[str, Scripted] = {
    "an answer": Reply(),
    "a refusal": Refuse(401),
    "a reset": Cut(after=None, how="reset"),
    "a cut": Cut(after=2),
    "silence": Stall(after=2),
    "nonsense": Garble("json"),
    "a redirect": Redirect("https://example.com/"),
}


def in_debug(style: str, model: Any) -> object:
    """By a style, on a loop that logs all that it does."""
    if style == "ainvoke":
        return asyncio.run(model.ainvoke("Hello!"), debug=True)
    if style == "astream":
        return asyncio.run(collected(model.astream("Hello!")), debug=True)
    return STYLES[style](model, "Hello!")


@pytest.mark.parametrize("signed_in", SIGNED_IN)
@pytest.mark.parametrize("style", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_callback_log_or_error_of_a_call_shows_a_secret(
    outcome: str, style: str, signed_in: str, server: Emulator, watch: Watch
) -> None:
    acts = [Refuse(503, headers={"Retry-After": "0.01"}), OUTCOMES[outcome]]
    server.script(*acts)
    listener = Listener()
    model = model_of(server, signed_in, max_retries=1).with_config(callbacks=[listener])

    seen = watch(lambda: in_debug(style, model), listener)

    shown = "".join(seen.text)
    assert "on_chat_model_start" in shown
    assert "Cerebras answered 503" in shown  # the retry was logged
    assert not [each for each in secrets_of(server) if each in shown]


@pytest.mark.parametrize("style", STYLES)
def test_a_server_that_is_not_reached_is_told_no_secret_of(style: str, watch: Watch) -> None:
    listener = Listener()
    fields = {**FIELDS, "max_retries": 0, "connect_timeout": 1}
    model = ChatCerebrasInference(**fields).with_config(callbacks=[listener])

    seen = watch(lambda: STYLES[style](model, "Hello!"), listener)

    assert isinstance(seen.error, CerebrasError)
    assert "check proxy" in str(seen.error)
    assert secrets_in("".join(seen.text)) == []


def test_a_tracer_is_told_no_secret(server: Emulator) -> None:
    told: list[str] = []

    class Tracer(FunctionCallbackHandler):
        def _persist_run(self, run: Run) -> None:
            told.append(str(run.model_dump()))

    server.script(Reply(), ECHOES["in a refusal"])
    model = model_of(server, "key").with_config(callbacks=[Tracer(told.append)])

    model.invoke("Hello!")
    with pytest.raises(CerebrasError):
        model.invoke("Hello!")

    assert len(told) >= 4
    assert not [each for each in secrets_of(server) if each in "".join(told)]
