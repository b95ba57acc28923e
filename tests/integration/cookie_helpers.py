"""What the tests of cookies share: a model that has them, and the requests it makes."""

from collections.abc import Sequence
from typing import Any

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Request


def make_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Return a model that has the cookies of the emulator's browser session."""
    defaults = {
        "base_url": server.base_url,
        "session_url": server.session_url,
        "cookies": server.cookies,
    }
    return ChatCerebrasInference(**(defaults | settings))


def get_exchanges(server: Emulator) -> Sequence[Request]:
    """Return the requests to the session endpoint."""
    return [request for request in server.requests if request.path == "/api/auth/session"]


def get_chats(server: Emulator) -> Sequence[Request]:
    """Return the requests for completions."""
    return [request for request in server.requests if request.path == "/v1/chat/completions"]


def get_header(server: Emulator) -> str:
    """Return the cookies as a `Cookie` header."""
    return "; ".join(f"{name}={value}" for name, value in server.cookies.items())
