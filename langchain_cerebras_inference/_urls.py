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
    return _variable("CEREBRAS_API_BASE") or _variable("CEREBRAS_BASE_URL") or _API


def default_proxy() -> SecretStr | None:
    proxy = _variable("CEREBRAS_PROXY")
    return SecretStr(proxy) if proxy else None


def default_quota_store() -> SecretStr | None:
    """Return the URL of the quota store that the environment names."""
    url = _variable("CEREBRAS_QUOTA_STORE")
    return SecretStr(url) if url else None


def check_quota_store(url: str) -> None:
    """Check the URL of a quota store.

    Raises:
        ValueError: If it is for no kind of store; the message does not quote it.
    """
    scheme, separator, rest = url.partition("://")
    is_redis = scheme in ("redis", "rediss", "unix") and rest
    if not (separator and (is_redis or (scheme == "sqlite" and rest.strip("/")))):
        raise ValueError("quota_store must be sqlite:///PATH or redis://HOST:PORT.")


def default_session_url() -> str:
    return _variable("CEREBRAS_SESSION_URL") or _SESSION


@cache
def to_api_base(url: str) -> str:
    """Check an API base and give it `/v1` where it has no path.

    Raises:
        ValueError: If it is no http URL, or has more than a path.
    """
    parts = _checked("base_url", url)
    if parts.query or parts.fragment:
        raise ValueError("base_url must end with its path; leave out what follows ? or #.")
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@cache
def to_session_url(url: str) -> str:
    """Check where cookies may go, which is over https, or to this machine; tidy it.

    Raises:
        ValueError: If they may not go there.
    """
    parts = _checked("session_url", url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        msg = f"session_url must be https, because cookies go there, not {url!r}."
        raise ValueError(msg)
    return urlunsplit(parts._replace(fragment=""))


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def public_base(api_base: str) -> str:
    """Where the catalogue is that needs no key: before the API's `/v1`."""
    return f"{api_base.removesuffix('/v1')}/public/v1"


def _checked(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of an odd port or host; it may quote a password
        is_usable = False
    if not is_usable:
        msg = f"{name} must be an http or https URL with a host, as in https://host:8080/v1."
        raise ValueError(msg)
    if parts.username is not None:
        raise ValueError(f"{name} must hold no user or password; use default_headers.")
    return parts


def _variable(name: str) -> str:
    """An environment variable, without blanks around it; blank where there is none."""
    return os.environ.get(name, "").strip()
