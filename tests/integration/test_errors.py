"""The same failure raises the same error, with the same attributes, in every call style."""

import pickle
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
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
from tests.integration.call_styles import (
    CallStyle,
    every_call_style,
    every_non_streaming_style,
    every_streaming_style,
)
from tests.integration.helpers import create_model
from tests.integration.raw_server import (
    STREAM_HEAD,
    Connection,
    event_http_chunk,
    run_raw_server,
)

OVERFLOW_CODE = "context_length_exceeded"
REQUEST_ID = {"x-request-id": "req-1"}
EMULATOR_REQUEST_ID = "[0-9a-f]{16}"

WORDS = Reply(content="one two three four five six seven eight nine", headers=REQUEST_ID)

# The error class, and langchain-core's class for the same condition.
INVALID_REQUEST_ERROR = CerebrasInvalidRequestError, core.ModelInvalidRequestError
OVERFLOW_ERROR = CerebrasContextOverflowError, core.ContextOverflowError
RATE_LIMIT_ERROR = CerebrasRateLimitError, core.ModelRateLimitError
SERVER_ERROR = CerebrasServerError, core.ModelAPIError
PROTOCOL_ERROR = CerebrasProtocolError, core.ModelAPIError
CONNECTION_ERROR = CerebrasConnectionError, core.ModelConnectionError
TIMEOUT_ERROR = CerebrasTimeoutError, core.ModelTimeoutError


@dataclass(frozen=True)
class ExpectedError:
    """The class, langchain-core's class and the attributes of an error."""

    error_class: type[CerebrasError]
    core_class: type[core.ModelError]
    status: int | None = None
    code: str | None = None
    is_retryable: bool = True
    request_id: str = "None"
    """A pattern."""
    retry_after: float | None = None

    def check(self, error: CerebrasError) -> None:
        assert type(error) is self.error_class
        assert isinstance(error, self.core_class)
        assert error.is_retryable is self.is_retryable
        assert (error.status, error.code) == (self.status, self.code)
        assert error.retry_after == self.retry_after
        assert re.fullmatch(self.request_id, str(error.request_id))
        assert "\n" not in str(error)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # our own bytes
        assert (type(copy), str(copy)) == (type(error), str(error))
        assert vars(copy) == vars(error)


def catch_error(call: CallStyle, model: ChatCerebrasInference) -> CerebrasError:
    with pytest.raises(CerebrasError) as caught:
        call(model, "Hello!")
    return caught.value


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    return create_model(server, timeout=0.3, max_retries=0)


# --- error responses ----------------------------------------------------------------


def create_case(
    error_class: type[CerebrasError],
    core_class: type[core.ModelError],
    status: int,
    code: str | None,
    *,
    is_retryable: bool = False,
    **content: Any,
) -> tuple[Refuse, ExpectedError]:
    """Return a response with an error status, and the error that it must become."""
    response = Refuse(status, code, headers={**REQUEST_ID, "Retry-After": "7"}, **content)
    expected = ExpectedError(
        error_class,
        core_class,
        status,
        code,
        is_retryable,
        request_id="req-1",
        retry_after=7.0,
    )
    return response, expected


ERROR_RESPONSES: Mapping[str, tuple[Refuse, ExpectedError]] = {
    "400": create_case(*INVALID_REQUEST_ERROR, 400, "wrong_api_format"),
    "400 context overflow": create_case(*OVERFLOW_ERROR, 400, OVERFLOW_CODE),
    "401": create_case(
        CerebrasAuthenticationError, core.ModelAuthenticationError, 401, "wrong_api_key"
    ),
    "402": create_case(
        CerebrasBillingError, core.ModelPermissionDeniedError, 402, "payment_required"
    ),
    "403": create_case(
        CerebrasPermissionDeniedError, core.ModelPermissionDeniedError, 403, "forbidden"
    ),
    "404": create_case(
        CerebrasModelNotFoundError, core.ModelNotFoundError, 404, "model_not_found"
    ),
    "405 with an empty body": create_case(*INVALID_REQUEST_ERROR, 405, None, body=b""),
    "408": create_case(*TIMEOUT_ERROR, 408, "request_timeout", is_retryable=True),
    "409": create_case(*SERVER_ERROR, 409, "bad_request", is_retryable=True),
    "413": create_case(*INVALID_REQUEST_ERROR, 413, "request_too_large"),
    "413 context overflow": create_case(*OVERFLOW_ERROR, 413, OVERFLOW_CODE),
    "422": create_case(*INVALID_REQUEST_ERROR, 422, "wrong_api_format"),
    "429": create_case(*RATE_LIMIT_ERROR, 429, "request_quota_exceeded", is_retryable=True),
    "429 daily quota": create_case(
        *RATE_LIMIT_ERROR,
        429,
        "request_quota_exceeded",
        message="Requests per day limit exceeded.",
    ),
    "500": create_case(*SERVER_ERROR, 500, "internal_error", is_retryable=True),
    "502 with HTML": create_case(
        *SERVER_ERROR, 502, None, is_retryable=True, body="<html>\n<p>Bad"
    ),
    "503": create_case(*SERVER_ERROR, 503, "internal_error", is_retryable=True),
    "504": create_case(*SERVER_ERROR, 504, "internal_error", is_retryable=True),
    "529": create_case(*SERVER_ERROR, 529, "internal_error", is_retryable=True),
}


@every_call_style
@pytest.mark.parametrize("name", ERROR_RESPONSES)
def test_error_response_raises_the_same_error_in_every_call_style(
    name: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    response, expected = ERROR_RESPONSES[name]
    server.script(response)

    error = catch_error(call, model)

    expected.check(error)
    assert len(server.requests) == 1


# --- invalid, incomplete and missing responses --------------------------------------

BROKEN_RESPONSES: Mapping[str, tuple[Act, ExpectedError]] = {
    "redirect": (
        Redirect("https://example.com/"),
        ExpectedError(*PROTOCOL_ERROR, 307, is_retryable=False, request_id=EMULATOR_REQUEST_ID),
    ),
    "HTML": (
        Garble("html"),
        ExpectedError(*PROTOCOL_ERROR, 200, request_id=EMULATOR_REQUEST_ID),
    ),
    "flat error": (
        Garble("flat_error"),
        ExpectedError(*SERVER_ERROR, 500, "internal_error", request_id=EMULATOR_REQUEST_ID),
    ),
    "enveloped error": (
        ErrorEvent(after=1, status=503),
        ExpectedError(*SERVER_ERROR, 503, "internal_error", request_id=EMULATOR_REQUEST_ID),
    ),
    "context overflow": (
        ErrorEvent(1, 400, OVERFLOW_CODE),
        ExpectedError(
            *OVERFLOW_ERROR,
            400,
            OVERFLOW_CODE,
            is_retryable=False,
            request_id=EMULATOR_REQUEST_ID,
        ),
    ),
    "unrelated JSON": (
        Reply(
            data=b'{"hello": 1}',
            body=b'{"hello": 1}',
            headers={**REQUEST_ID, "Content-Type": "application/json"},
        ),
        ExpectedError(*PROTOCOL_ERROR, 200, request_id="req-1"),
    ),
    "invalid JSON": (
        Garble("json", reply=WORDS),
        ExpectedError(*PROTOCOL_ERROR, 200, request_id="req-1"),
    ),
    "invalid UTF-8": (
        Garble("utf8", reply=WORDS),
        ExpectedError(*PROTOCOL_ERROR, 200, request_id="req-1"),
    ),
    "deeply nested JSON": (
        Garble("deep", reply=WORDS),
        ExpectedError(*PROTOCOL_ERROR, 200, request_id="req-1"),
    ),
    "reset before the headers": (
        Cut(after=None, how="reset"),
        ExpectedError(*CONNECTION_ERROR),
    ),
    "disconnect before the headers": (
        Cut(after=None, how="drop"),
        ExpectedError(*CONNECTION_ERROR),
    ),
    "reset after the headers": (
        Cut(after=2, how="reset", reply=WORDS),
        ExpectedError(*CONNECTION_ERROR, 200, request_id="req-1"),
    ),
    "disconnect after the headers": (
        Cut(after=2, how="drop", reply=WORDS),
        ExpectedError(*CONNECTION_ERROR, 200, request_id="req-1"),
    ),
    "silence before the headers": (
        Stall(after=None),
        ExpectedError(*TIMEOUT_ERROR),
    ),
    "silence after the headers": (
        Stall(after=2, reply=WORDS),
        ExpectedError(*TIMEOUT_ERROR, 200, request_id="req-1"),
    ),
    "comments only after the headers": (
        Stall(after=2, comments=True, reply=WORDS),
        ExpectedError(*TIMEOUT_ERROR, 200, request_id="req-1"),
    ),
}


@every_call_style
@pytest.mark.parametrize("name", BROKEN_RESPONSES)
def test_broken_response_raises_the_same_error_in_every_call_style(
    name: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    behavior, expected = BROKEN_RESPONSES[name]
    server.script(behavior)

    error = catch_error(call, model)

    expected.check(error)
    assert len(server.requests) == 1


TRUNCATIONS: Mapping[str, Cut] = {
    "before the first event": Cut(after=0, reply=WORDS),
    "after the role": Cut(after=1, reply=WORDS),
    "after some text": Cut(after=2, reply=WORDS),
    "within an event": Cut(after=2, how="half", reply=WORDS),
}


@every_streaming_style
@pytest.mark.parametrize("place", TRUNCATIONS)
def test_truncated_stream_raises_the_same_error_in_every_call_style(
    place: str, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(TRUNCATIONS[place])

    error = catch_error(call, model)

    ExpectedError(*CONNECTION_ERROR, 200, request_id="req-1").check(error)


@every_non_streaming_style
def test_truncated_completion_raises_protocol_error(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(reply=WORDS))

    error = catch_error(call, model)

    ExpectedError(*PROTOCOL_ERROR, 200, request_id="req-1").check(error)


@every_call_style
def test_error_for_html_quotes_its_content_type_and_beginning(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Garble("html"))

    error = catch_error(call, model)

    assert "text/html" in str(error)
    assert "<" in str(error)


@every_call_style
def test_error_for_unsupported_content_encoding_names_it(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(headers={"Content-Encoding": "br"}))

    error = catch_error(call, model)

    ExpectedError(*PROTOCOL_ERROR).check(error)
    assert "(br)" in str(error)
    assert "base_url" in str(error)


@every_call_style
def test_invalid_transfer_encoding_raises_connection_error(call: CallStyle) -> None:
    def send_invalid_chunk(connection: Connection) -> None:
        connection.read_request()
        connection.send(STREAM_HEAD + event_http_chunk("one "))
        time.sleep(0.05)
        connection.send(b"no length\r\n")
        connection.read_request()  # keeps the connection open: the bytes alone are the error

    with run_raw_server(send_invalid_chunk) as base_url:
        model = ChatCerebrasInference(base_url=base_url, api_key="k", max_retries=0)
        error = catch_error(call, model)

    ExpectedError(*CONNECTION_ERROR, 200).check(error)


# --- servers that cannot be reached -------------------------------------------------

ServerStarter = Callable[[], AbstractContextManager[str]]


@contextmanager
def closed_port() -> Iterator[str]:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def unknown_host() -> Iterator[str]:
    """A host name that never resolves."""
    yield "http://cerebras.invalid"


@contextmanager
def full_backlog() -> Iterator[str]:
    """A port whose queue of connections is full, so that connecting takes forever."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_tls() -> Iterator[str]:
    """An https URL for a server that serves plain HTTP."""
    with Emulator() as server:
        yield server.base_url.replace("http:", "https:")


@contextmanager
def mail_server() -> Iterator[str]:
    """A port that speaks SMTP."""

    def greet(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"220 mail.example.com ESMTP\r\n\r\n")

    with run_raw_server(greet) as base_url:
        yield base_url


@contextmanager
def invalid_host() -> Iterator[str]:
    """A URL that aiohttp does not accept, because its host name has an empty label."""
    yield "http://ä..example"


UNREACHABLE_SERVERS: Mapping[str, tuple[ServerStarter, ExpectedError, str]] = {
    "closed port": (closed_port, ExpectedError(*CONNECTION_ERROR), "127.0.0.1"),
    "unknown host": (
        unknown_host,
        ExpectedError(*CONNECTION_ERROR),
        "cerebras.invalid.*base_url",
    ),
    "invalid host": (
        invalid_host,
        ExpectedError(*PROTOCOL_ERROR),
        "does not accept the URL of ä..example. Check the setting base_url",
    ),
    "no TLS": (no_tls, ExpectedError(*CONNECTION_ERROR), "TLS.*127.0.0.1.*base_url"),
    "another protocol": (mail_server, ExpectedError(*PROTOCOL_ERROR), "127.0.0.1.*HTTP"),
    "full backlog": (full_backlog, ExpectedError(*TIMEOUT_ERROR), "127.0.0.1.*0.3 s"),
}
"""What starts the server, and the error, and a pattern for its message."""


@every_call_style
@pytest.mark.parametrize("name", UNREACHABLE_SERVERS)
def test_unreachable_server_raises_the_same_error_in_every_call_style(
    name: str, call: CallStyle
) -> None:
    start, expected, message = UNREACHABLE_SERVERS[name]

    with start() as base_url:
        model = ChatCerebrasInference(
            base_url=base_url, api_key="k", connect_timeout=0.3, max_retries=0
        )
        error = catch_error(call, model)

    expected.check(error)
    assert re.search(message, str(error))


@every_call_style
def test_untrusted_certificate_raises_the_same_error_in_every_call_style(
    call: CallStyle, https_server: Emulator
) -> None:
    error = catch_error(call, create_model(https_server, max_retries=0))

    ExpectedError(*CONNECTION_ERROR, is_retryable=False).check(error)
    assert https_server.requests == []
