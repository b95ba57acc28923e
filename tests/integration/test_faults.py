"""One fault, one error: of the same class, with the same attributes, by every road."""

import pickle
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core import exceptions as core

from langchain_cerebras_inference import (
    CerebrasAuthenticationError,
    CerebrasBillingError,
    CerebrasConnectionError,
    CerebrasContextOverflowError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasModelNotFoundError,
    CerebrasPermissionDeniedError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    CerebrasServerError,
    CerebrasTimeoutError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Redirect,
    Refuse,
    Reply,
    Stall,
)
from tests.integration.certificates import OPENSSL, Authority
from tests.integration.raw import STREAM, Line, event, serving
from tests.integration.styles import STREAMED, STYLES, WHOLE

OVERFLOW = "context_length_exceeded"
NAMED = {"x-request-id": "req-1"}
MADE_UP = "[0-9a-f]{16}"
"""The name the emulator gives a request."""

WORDS = Reply(content="one two three four five six seven eight nine", headers=NAMED)


@dataclass(frozen=True)
class Fault:
    """What happens, and all that the error must say of it."""

    kind: type[CerebrasError]
    parent: type[core.ModelError]
    status: int | None = None
    code: str | None = None
    is_retryable: bool = True
    request_id: str = "None"
    retry_after: float | None = None
    act: Act | None = None

    def check(self, error: CerebrasError) -> None:
        assert type(error) is self.kind
        assert isinstance(error, self.parent)
        assert error.is_retryable is self.is_retryable
        assert (error.status, error.code) == (self.status, self.code)
        assert error.retry_after == self.retry_after
        assert re.fullmatch(self.request_id, str(error.request_id))
        assert "\n" not in str(error)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # our own bytes
        assert (type(copy), str(copy)) == (type(error), str(error))
        assert vars(copy) == vars(error)


def failed(style: str, model: ChatCerebrasInference) -> CerebrasError:
    with pytest.raises(CerebrasError) as caught:
        STYLES[style](model, "Hello!")
    return caught.value


def model_of(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    given = {"base_url": server.base_url, "timeout": 0.3, "max_retries": 0, **fields}
    return ChatCerebrasInference(api_key=server.api_key, **given)


# --- what the server says -----------------------------------------------------------


def refused(
    status: int,
    code: str | None,
    kind: type[CerebrasError],
    parent: type[core.ModelError],
    *,
    is_retryable: bool = False,
    said: str | None = None,
    **more: Any,
) -> Fault:
    """A status that the server answers with, naming the request and a time."""
    headers = {**NAMED, "Retry-After": "7"}
    act = Refuse(status, said, headers=headers, **more)
    return Fault(kind, parent, status, code, is_retryable, "req-1", 7.0, act)


INVALID = CerebrasInvalidRequestError, core.ModelInvalidRequestError
TOO_LONG = CerebrasContextOverflowError, core.ContextOverflowError
SERVER = CerebrasServerError, core.ModelAPIError

REFUSALS: Mapping[str, Fault] = {
    "400": refused(400, "wrong_api_format", *INVALID),
    "400 overflow": refused(400, OVERFLOW, *TOO_LONG, said=OVERFLOW),
    "401": refused(
        401, "wrong_api_key", CerebrasAuthenticationError, core.ModelAuthenticationError
    ),
    "402": refused(
        402, "payment_required", CerebrasBillingError, core.ModelPermissionDeniedError
    ),
    "403": refused(
        403, "forbidden", CerebrasPermissionDeniedError, core.ModelPermissionDeniedError
    ),
    "404": refused(404, "model_not_found", CerebrasModelNotFoundError, core.ModelNotFoundError),
    "405 without a word": refused(405, None, *INVALID, body=b""),
    "408": refused(
        408, "request_timeout", CerebrasTimeoutError, core.ModelTimeoutError, is_retryable=True
    ),
    "409": refused(409, "bad_request", *SERVER, is_retryable=True),
    "413": refused(413, "request_too_large", *INVALID),
    "413 overflow": refused(413, OVERFLOW, *TOO_LONG, said=OVERFLOW),
    "422": refused(422, "wrong_api_format", *INVALID),
    "429": refused(
        429,
        "request_quota_exceeded",
        CerebrasRateLimitError,
        core.ModelRateLimitError,
        is_retryable=True,
    ),
    "429 of a day": refused(
        429,
        "request_quota_exceeded",
        CerebrasRateLimitError,
        core.ModelRateLimitError,
        message="Requests per day limit exceeded.",
    ),
    "500": refused(500, "internal_error", *SERVER, is_retryable=True),
    "502 in HTML": refused(502, None, *SERVER, is_retryable=True, body="<html>\n<p>Bad"),
    "503": refused(503, "internal_error", *SERVER, is_retryable=True),
    "504": refused(504, "internal_error", *SERVER, is_retryable=True),
    "529": refused(529, "internal_error", *SERVER, is_retryable=True),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_the_same_error_by_every_road(
    name: str, style: str, server: Emulator
) -> None:
    fault = REFUSALS[name]
    server.script(fault.act or Reply())

    error = failed(style, model_of(server))

    fault.check(error)
    assert len(server.requests) == 1


# --- what comes instead of an answer ------------------------------------------------

PROTOCOL = CerebrasProtocolError, core.ModelAPIError
BROKEN = CerebrasConnectionError, core.ModelConnectionError
LATE = CerebrasTimeoutError, core.ModelTimeoutError

ANSWERS: Mapping[str, Fault] = {
    "a redirect": Fault(
        *PROTOCOL,
        307,
        is_retryable=False,
        request_id=MADE_UP,
        act=Redirect("https://example.com/"),
    ),
    "HTML": Fault(*PROTOCOL, 200, request_id=MADE_UP, act=Garble("html")),
    "a flat error": Fault(
        *SERVER, 500, "internal_error", request_id=MADE_UP, act=Garble("flat_error")
    ),
    "an enveloped error": Fault(
        *SERVER,
        503,
        "internal_error",
        request_id=MADE_UP,
        act=ErrorEvent(after=1, status=503),
    ),
    "an overflow": Fault(
        *TOO_LONG,
        400,
        OVERFLOW,
        is_retryable=False,
        request_id=MADE_UP,
        act=ErrorEvent(1, 400, OVERFLOW),
    ),
    "other JSON": Fault(
        *PROTOCOL,
        200,
        request_id="req-1",
        act=Reply(
            data=b'{"hello": 1}',
            body=b'{"hello": 1}',
            headers={**NAMED, "Content-Type": "application/json"},
        ),
    ),
    "broken JSON": Fault(*PROTOCOL, 200, request_id="req-1", act=Garble("json", reply=WORDS)),
    "no UTF-8": Fault(*PROTOCOL, 200, request_id="req-1", act=Garble("utf8", reply=WORDS)),
    "depth without end": Fault(
        *PROTOCOL, 200, request_id="req-1", act=Garble("deep", reply=WORDS)
    ),
    "a reset before the headers": Fault(*BROKEN, act=Cut(after=None, how="reset")),
    "a drop before the headers": Fault(*BROKEN, act=Cut(after=None, how="drop")),
    "a reset after the headers": Fault(
        *BROKEN, 200, request_id="req-1", act=Cut(after=2, how="reset", reply=WORDS)
    ),
    "a drop after the headers": Fault(
        *BROKEN, 200, request_id="req-1", act=Cut(after=2, how="drop", reply=WORDS)
    ),
    "silence": Fault(*LATE, act=Stall(after=None)),
    "a stall": Fault(*LATE, 200, request_id="req-1", act=Stall(after=2, reply=WORDS)),
    "a stall under comments": Fault(
        *LATE, 200, request_id="req-1", act=Stall(after=2, comments=True, reply=WORDS)
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_is_the_same_error_by_every_road(
    name: str, style: str, server: Emulator
) -> None:
    fault = ANSWERS[name]
    server.script(fault.act or Reply())

    error = failed(style, model_of(server))

    fault.check(error)
    assert len(server.requests) == 1


CUTS: Mapping[str, Fault] = {
    "before its first event": Fault(
        *BROKEN, 200, request_id="req-1", act=Cut(after=0, reply=WORDS)
    ),
    "after the role": Fault(*BROKEN, 200, request_id="req-1", act=Cut(after=1, reply=WORDS)),
    "after a word": Fault(*BROKEN, 200, request_id="req-1", act=Cut(after=2, reply=WORDS)),
    "within an event": Fault(
        *BROKEN, 200, request_id="req-1", act=Cut(after=2, how="half", reply=WORDS)
    ),
}


@pytest.mark.parametrize("style", STREAMED)
@pytest.mark.parametrize("name", CUTS)
def test_a_stream_that_just_ends_is_the_same_error_by_every_road(
    name: str, style: str, server: Emulator
) -> None:
    fault = CUTS[name]
    server.script(fault.act or Reply())

    error = failed(style, model_of(server))

    fault.check(error)


@pytest.mark.parametrize("style", WHOLE)
def test_half_a_reply_is_never_an_answer(style: str, server: Emulator) -> None:
    server.script(Cut(reply=WORDS))

    error = failed(style, model_of(server))

    Fault(*PROTOCOL, 200, request_id="req-1").check(error)


@pytest.mark.parametrize("style", STYLES)
def test_a_page_is_quoted_with_its_type(style: str, server: Emulator) -> None:
    server.script(Garble("html"))

    error = failed(style, model_of(server))

    assert "came with text/html" in str(error)
    assert "<" in str(error)


@pytest.mark.parametrize("style", STYLES)
def test_an_encoding_nobody_asked_for_is_named(style: str, server: Emulator) -> None:
    server.script(Reply(headers={"Content-Encoding": "br"}))

    error = failed(style, model_of(server))

    Fault(*PROTOCOL).check(error)
    assert "unasked, as brotli (br)" in str(error)


@pytest.mark.parametrize("style", STYLES)
def test_a_body_that_is_no_http_any_more_is_a_broken_connection_at_once(style: str) -> None:
    def talk(line: Line) -> None:
        line.asked()
        line.say(STREAM + event("one "))
        time.sleep(0.05)
        line.say(b"no length\r\n")
        line.asked()

    with serving(talk) as base_url:
        error = failed(
            style, ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        )

    Fault(*BROKEN, 200).check(error)


# --- what keeps a request from getting there ----------------------------------------

Place = Callable[[ExitStack, Emulator], dict[str, Any]]


def nobody(stack: ExitStack, server: Emulator) -> dict[str, Any]:
    """A port that nobody listens on."""
    taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = taken.getsockname()[1]
    taken.close()
    return {"base_url": f"http://127.0.0.1:{port}"}


def nowhere(stack: ExitStack, server: Emulator) -> dict[str, Any]:
    """A name that never resolves."""
    return {"base_url": "http://cerebras.invalid"}


def full(stack: ExitStack, server: Emulator) -> dict[str, Any]:
    """A port whose queue is full, so that the system answers to no more."""
    busy = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(busy.getsockname())
    return {"base_url": f"http://127.0.0.1:{busy.getsockname()[1]}", "connect_timeout": 0.3}


def plain(stack: ExitStack, server: Emulator) -> dict[str, Any]:
    """A port that speaks no TLS."""
    return {"base_url": server.base_url.replace("http:", "https:")}


class Gibberish(socketserver.BaseRequestHandler):
    """Answers as a mail server would."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"220 mail.example.com ESMTP\r\n\r\n")


def gibberish(stack: ExitStack, server: Emulator) -> dict[str, Any]:
    """A port that speaks another protocol."""
    other = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Gibberish))
    thread = threading.Thread(target=other.serve_forever, args=(0.01,))
    thread.start()
    stack.callback(thread.join)
    stack.callback(other.shutdown)
    return {"base_url": f"http://127.0.0.1:{other.server_address[1]}"}


UNREACHED: Mapping[str, tuple[Place, Fault, str]] = {
    "refused": (nobody, Fault(*BROKEN), "No connection to 127.0.0.1"),
    "an unknown name": (nowhere, Fault(*BROKEN), "cannot be resolved"),
    "no TLS": (plain, Fault(*BROKEN), "TLS with 127.0.0.1"),
    "another protocol": (gibberish, Fault(*PROTOCOL), "does not speak HTTP"),
    "no connection in time": (full, Fault(*LATE), "within 0.3 s"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", UNREACHED)
def test_a_server_that_is_not_reached_is_the_same_error_by_every_road(
    name: str, style: str, server: Emulator
) -> None:
    place, fault, said = UNREACHED[name]

    with ExitStack() as stack:
        error = failed(style, model_of(server, **place(stack, server)))

    fault.check(error)
    assert said in str(error)
    assert server.requests == []


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A server whose certificate nobody vouches for."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with Emulator(ssl_context=authority.server_context()) as server:
        yield server


@pytest.mark.skipif(not OPENSSL, reason="needs openssl")
@pytest.mark.parametrize("style", STYLES)
def test_a_certificate_nobody_vouches_for_is_the_same_error_by_every_road(
    style: str, stranger: Emulator
) -> None:
    error = failed(style, model_of(stranger))

    Fault(*BROKEN, is_retryable=False).check(error)
    assert "set verify" in str(error)
    assert stranger.requests == []
