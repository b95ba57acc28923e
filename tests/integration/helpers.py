"""Small functions that many integration tests share."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Request


def create_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Create a model that talks to `server` with its API key."""
    defaults = {"base_url": server.base_url, "api_key": server.api_key}
    return ChatCerebrasInference(**{**defaults, **settings})


def create_cookie_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Create a model that talks to `server` with the cookies of its browser session."""
    session = {"cookies": server.cookies, "session_url": server.session_url}
    return create_model(server, **{"api_key": None, **session, **settings})


def wait_until(condition: Callable[[], bool], timeout: float = 5) -> None:
    """Wait until a condition is true; fail the test after `timeout` seconds.

    It blocks: a test that runs on an event loop calls it with `asyncio.to_thread`.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not true within {timeout} s"
        time.sleep(0.005)


def wait_for_no_connections(server: Emulator) -> None:
    """Wait until every connection to `server` is closed; fail the test after five seconds."""
    wait_until(lambda: server.open_connections == 0)


def get_key_exchanges(server: Emulator) -> Sequence[Request]:
    """Return the requests to the session endpoint."""
    return [request for request in server.requests if request.path == "/api/auth/session"]


def get_chat_requests(server: Emulator) -> Sequence[Request]:
    """Return the requests for completions."""
    return [request for request in server.requests if request.path == "/v1/chat/completions"]


def get_cookie_header(server: Emulator) -> str:
    """Return the cookies of the emulator's browser session as a `Cookie` header."""
    return "; ".join(f"{name}={value}" for name, value in server.cookies.items())
