"""The URLs of the API and the session endpoint: their defaults and their validation."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import SecretStr

_API_BASE = "https://api.cerebras.ai/v1"
_SESSION_URL = "https://inference.cerebras.ai/api/auth/session"
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def get_default_api_base() -> str:
    return (
        _read_variable("CEREBRAS_API_BASE") or _read_variable("CEREBRAS_BASE_URL") or _API_BASE
    )


def get_default_proxy() -> SecretStr | None:
    proxy = _read_variable("CEREBRAS_PROXY")
    return SecretStr(proxy) if proxy else None


def get_default_quota_store() -> SecretStr | None:
    """Return the URL of the quota store in the environment, if there is one."""
    url = _read_variable("CEREBRAS_QUOTA_STORE")
    return SecretStr(url) if url else None


def check_quota_store(url: str) -> None:
    """Check the URL of a quota store.

    Raises:
        ValueError: If the URL is not that of a store, or if the package `redis` is missing.
            The message does not quote the URL, which may contain a password.
    """
    scheme, separator, location = url.partition("://")
    try:
        is_valid = bool(separator) and urlsplit(url).port != 0
    except ValueError:  # its message may quote a password
        is_valid = False
    is_redis = scheme in ("redis", "rediss", "unix") and bool(location)
    is_sqlite = scheme == "sqlite" and location.startswith("/") and bool(location.strip("/"))
    if not (is_valid and (is_redis or is_sqlite)):
        raise ValueError(
            "quota_store must be sqlite:///PATH or redis://HOST:PORT. An absolute path gives"
            " four slashes, as in sqlite:////var/quotas.db."
        )
    if is_redis and importlib.util.find_spec("redis") is None:
        raise ValueError(
            "A quota_store in Redis needs the package redis. Install"
            " langchain-cerebras-inference[redis]."
        )


def get_default_session_url() -> str:
    return _read_variable("CEREBRAS_SESSION_URL") or _SESSION_URL


@cache
def normalize_api_base(url: str) -> str:
    """Validate the URL of the API, and add `/v1` if it has no path.

    Raises:
        ValueError: If it is not an http or https URL, or has a query or a fragment.
    """
    parts = _parse_url("base_url", url)
    if parts.query or parts.fragment:
        raise ValueError(
            "base_url must not have a query or fragment. Remove ? or # and what follows."
        )
    path = parts.path.rstrip("/") or "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


@cache
def normalize_session_url(url: str) -> str:
    """Validate a session URL, and remove its fragment.

    Raises:
        ValueError: If it is not a URL, or if it is http and its host is not this machine.
    """
    parts = _parse_url("session_url", url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK_HOSTS:
        raise ValueError(
            f"session_url must be https, not {url!r}, because cookies are sent to it."
            " Use the https URL."
        )
    return urlunsplit(parts._replace(fragment=""))


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is this machine."""
    return urlsplit(url).hostname in _LOOPBACK_HOSTS


def get_public_api_base(api_base: str) -> str:
    """Return the URL of the endpoints that need no key: `/public/v1` instead of `/v1`."""
    return f"{api_base.removesuffix('/v1')}/public/v1"


def get_wrong_server_advice(setting: str = "base_url") -> str:
    """Return the advice for a response that a different server may have sent."""
    return f"Check {setting}, and whether a proxy responded instead of the server."


def _parse_url(setting: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port or host; the error may quote a password
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"{setting} must be an http or https URL with a host, as in https://host:8080/v1."
        )
    if parts.username is not None:
        # `default_headers` are sent to the API only.
        advice = "Use default_headers for" if setting == "base_url" else "Remove"
        raise ValueError(f"{setting} must not have a user name or password. {advice} them.")
    return parts


def _read_variable(name: str) -> str:
    """Return an environment variable without surrounding whitespace, or `""`."""
    return os.environ.get(name, "").strip()
