"""Small functions that many integration tests share."""

import threading
from collections.abc import Callable
from typing import Any

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator


def create_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Create a model that talks to `server` with its API key."""
    defaults = {"base_url": server.base_url, "api_key": server.api_key}
    return ChatCerebrasInference(**{**defaults, **settings})


def create_cookie_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Create a model that talks to `server` with the cookies of its browser session."""
    session = {"cookies": server.cookies, "session_url": server.session_url}
    return create_model(server, **{"api_key": None, **session, **settings})


def wait_until(condition: Callable[[], bool], timeout: float = 5) -> bool:
    """Check a condition until it is true, for at most `timeout` seconds; return the result."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(int(timeout * 100)))


def has_no_connections(server: Emulator) -> bool:
    """Whether every connection to `server` is closed, or will be in a moment."""
    return wait_until(lambda: server.open_connections == 0)
