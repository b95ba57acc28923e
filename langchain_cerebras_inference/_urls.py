"""The URLs a model talks to: their defaults, their form, what may travel there."""

from __future__ import annotations

import os
from functools import cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import SecretStr

_API = "https://api.cerebras.ai/v1"
_SESSION = "https://inference.cerebras.ai/api/auth/session"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def default_api_base() -> str:
    return os.environ.get("CEREBRAS_API_BASE") or os.environ.get("CEREBRAS_BASE_URL") or _API


def default_proxy() -> SecretStr | None:
    proxy = os.environ.get("CEREBRAS_PROXY")
    return SecretStr(proxy) if proxy else None


def default_session_url() -> str:
    return os.environ.get("CEREBRAS_SESSION_URL") or _SESSION


@cache
def to_api_base(url: str) -> str:
    """Check an API base and give it `/v1` where it has no path.

    Raises:
        ValueError: If it is no http URL.
    """
    parts = _checked("base_url", url)
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@cache
def to_session_url(url: str) -> str:
    """Check where cookies may go: over https, or to this machine.

    Raises:
        ValueError: If they may not go there.
    """
    parts = _checked("session_url", url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        msg = f"session_url must be https, because cookies go there, not {url!r}."
        raise ValueError(msg)
    return url


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def public_base(api_base: str) -> str:
    """Where the catalogue is that needs no key: before the API's `/v1`."""
    return f"{api_base.removesuffix('/v1')}/public/v1"


def _checked(name: str, url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name} must be an http or https URL with a host.")
    if parts.username is not None:
        raise ValueError(f"{name} must hold no user or password; use default_headers.")
    return parts
