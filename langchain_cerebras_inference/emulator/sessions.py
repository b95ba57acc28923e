"""The playground's session: cookies in, a demo key out."""

import json
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from langchain_cerebras_inference.emulator.acts import Reply, Session
from langchain_cerebras_inference.emulator.records import Request
from langchain_cerebras_inference.emulator.refusals import Refuse, RequestError

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_PAGE = "<!DOCTYPE html><title>Just a moment...</title><p>Checking your browser."
_SIGNED_IN = "<!DOCTYPE html><title>Signed in</title><p>Signed in to the emulator."
_TOO_LARGE = 8 * 1024 * 1024
_MONTH = 30 * 24 * 3600


class Playground:
    """One signed-in user, and whoever comes without his cookie."""

    def __init__(self, *, secure: bool) -> None:
        """Sign a user in; `secure` is whether the cookie needs https."""
        prefix = "__Secure-" if secure else ""
        self.cookie_name = f"{prefix}next-auth.session-token"
        self.cookie_value = secrets.token_urlsafe(32)
        self._attributes = f"Path=/; HttpOnly; SameSite=Lax{'; Secure' * secure}"
        self.rotate_demo_key()

    def rotate_demo_key(self) -> None:
        """Give the session a new demo key; the old one is rejected from now on."""
        self.demo_key = f"demo-{secrets.token_hex(24)}"

    def reply(self, page: str, request: Request) -> Reply:
        """What the session route answers of itself, or the page that signs in.

        Raises:
            RequestError: for a request with a body or an `Authorization` header.
        """
        if page == "signin":
            cookie = f"{self._cookie()}; Max-Age={_MONTH}"
            return Reply(body=_SIGNED_IN, headers={**_HTML, "Set-Cookie": cookie})
        if request.content or "Authorization" in request.headers:
            message = "The session route takes cookies and nothing else."
            raise RequestError(Refuse(400, message=message))
        is_signed_in = self._token(request) == self.cookie_value
        return self.played(Session("signed_in" if is_signed_in else "empty"))

    def played(self, act: Session) -> Reply:
        """`act` as bytes."""
        headers = {"Set-Cookie": self._cookie()} if act.how == "signed_in" else {}
        kind = {"html": _HTML, "not_json": {"Content-Type": "text/plain"}}
        headers |= {**kind.get(act.how, {}), **act.headers}
        return Reply(body=self._body(act), headers=headers, delay=act.delay)

    def _body(self, act: Session) -> str:
        match act.how:
            case "html":
                return _PAGE
            case "not_json":
                return "The session is unavailable."
            case "empty" | "null":
                return "{}" if act.how == "empty" else "null"
        ends = {"expires": act.expires} if act.expires is not None else {}
        return json.dumps({"user": self._user(act), **ends})

    def _user(self, act: Session) -> dict[str, Any] | None:
        user = {"name": "Ada", "email": "ada@example.com", "image": None}
        match act.how:
            case "null_user":
                return None
            case "no_key":
                return user
            case "too_large":
                return user | {"name": "A" * _TOO_LARGE}
        return user | {"demoApiKey": act.demo_key or self.demo_key}

    def _cookie(self) -> str:
        return f"{self.cookie_name}={self.cookie_value}; {self._attributes}"

    def _token(self, request: Request) -> str:
        """The session token, put together if it came in numbered chunks."""
        cookies = _cookies(request.headers)
        whole = cookies.get(self.cookie_name)
        chunks = (cookies.get(f"{self.cookie_name}.{part}", "") for part in range(10))
        return "".join(chunks) if whole is None else whole


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    jar = SimpleCookie()
    try:
        jar.load(headers.get("Cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}
