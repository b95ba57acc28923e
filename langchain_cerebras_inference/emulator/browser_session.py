"""The browser session of the emulator: a cookie, and the demo key that it is exchanged for."""

import json
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from langchain_cerebras_inference.emulator.delivery import BOT_CHECK_PAGE
from langchain_cerebras_inference.emulator.errors import Refuse, RequestError
from langchain_cerebras_inference.emulator.received_requests import Request
from langchain_cerebras_inference.emulator.script import Reply, Session

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_CONTENT_TYPES = {"html": _HTML, "not_json": {"Content-Type": "text/plain"}}
_SIGNED_IN_PAGE = "<!DOCTYPE html><title>Signed in</title><p>Signed in to the emulator."
_LARGE_NAME_LENGTH = 8 * 1024 * 1024
_MONTH_SECONDS = 30 * 24 * 3600
_MAX_COOKIE_PARTS = 10


class BrowserSession:
    """The browser session of the one user that the emulator knows."""

    def __init__(self, *, is_https: bool) -> None:
        """Create the cookie and the demo key. With https, the cookie is `Secure`."""
        prefix = "__Secure-" if is_https else ""
        self.cookie_name = f"{prefix}next-auth.session-token"
        self.cookie_value = secrets.token_urlsafe(32)
        attributes = f"Path=/; HttpOnly; SameSite=Lax{'; Secure' if is_https else ''}"
        self._set_cookie = f"{self.cookie_name}={self.cookie_value}; {attributes}"
        self.rotate_demo_key()

    def rotate_demo_key(self) -> None:
        """Give the session a new demo key; the old one is rejected from now on."""
        self.demo_key = f"demo-{secrets.token_hex(24)}"

    def build_sign_in_reply(self) -> Reply:
        """Build the reply to a request for the sign-in page. It sets the cookie."""
        set_cookie = f"{self._set_cookie}; Max-Age={_MONTH_SECONDS}"
        return Reply(body=_SIGNED_IN_PAGE, headers={**_HTML, "Set-Cookie": set_cookie})

    def build_reply(self, request: Request) -> Reply:
        """Build the reply to a request for the session.

        Raises:
            RequestError: If the request has a body or an `Authorization` header.
        """
        if request.content or "Authorization" in request.headers:
            message = "The session endpoint accepts cookies only."
            raise RequestError(Refuse(400, message=message))
        is_signed_in = self._read_session_token(request) == self.cookie_value
        return self.convert_session(Session("signed_in" if is_signed_in else "empty"))

    def convert_session(self, session: Session) -> Reply:
        """Convert a `Session` to a `Reply`."""
        set_cookie = {"Set-Cookie": self._set_cookie} if session.how == "signed_in" else {}
        content_type = _CONTENT_TYPES.get(session.how, {})
        headers = {**set_cookie, **content_type, **session.headers}
        return Reply(body=self._build_body(session), headers=headers, delay=session.delay)

    def _build_body(self, session: Session) -> str:
        match session.how:
            case "html":
                return BOT_CHECK_PAGE
            case "not_json":
                return "The session is unavailable."
            case "empty":
                return "{}"
            case "null":
                return "null"
        expires = {} if session.expires is None else {"expires": session.expires}
        return json.dumps({"user": self._build_user(session), **expires})

    def _build_user(self, session: Session) -> dict[str, Any] | None:
        user = {"name": "Ada", "email": "ada@example.com", "image": None}
        match session.how:
            case "null_user":
                return None
            case "no_key":
                return user
            case "too_large":
                return user | {"name": "A" * _LARGE_NAME_LENGTH}
        demo_key = self.demo_key if session.demo_key is None else session.demo_key
        return user | {"demoApiKey": demo_key}

    def _read_session_token(self, request: Request) -> str:
        """Read the cookie, which may be split into numbered parts: `name.0`, `name.1`, ..."""
        cookies = _parse_cookies(request.headers)
        if self.cookie_name in cookies:
            return cookies[self.cookie_name]
        names = (f"{self.cookie_name}.{index}" for index in range(_MAX_COOKIE_PARTS))
        return "".join(cookies.get(name, "") for name in names)


def _parse_cookies(headers: Mapping[str, str]) -> dict[str, str]:
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("Cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}
