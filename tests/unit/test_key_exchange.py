"""The response of the session endpoint, and the demo keys that are cached."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langchain_cerebras_inference._auth import key_exchange
from langchain_cerebras_inference._auth.key_exchange import (
    Key,
    KeyExchange,
    parse_session_response,
)
from langchain_cerebras_inference._http.route import Route
from langchain_cerebras_inference.errors import CerebrasCookieError

USER = {"name": "Ada", "email": "ada@example.com", "demoApiKey": "demo-0123456789abcdef"}
HTML = {"content-type": "text/html; charset=utf-8"}
BOT_CHECK = {"cf-mitigated": "challenge"}


def parse_json(session: Any) -> Key:
    return parse_session_response(200, {}, json.dumps(session).encode())


def get_error(
    status: int, body: bytes, headers: dict[str, str] | None = None
) -> CerebrasCookieError:
    with pytest.raises(CerebrasCookieError) as caught:
        parse_session_response(status, headers or {}, body)
    return caught.value


# --- usable responses ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2026-12-01T10:00:00.000Z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T10:00:00+00:00", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T10:00:00", None),
        ("some day", None),
        (1796119200, None),
        (None, None),
    ],
)
def test_signed_in_session_gives_demo_key_and_expiry(
    expires: Any, expected: datetime | None
) -> None:
    key = parse_json({"user": USER, "expires": expires})

    assert key == Key("demo-0123456789abcdef", is_demo=True, expires=expected)


def test_json_with_html_content_type_is_accepted() -> None:
    body = json.dumps({"user": USER}).encode()

    assert parse_session_response(200, HTML, body).value == USER["demoApiKey"]


def test_key_of_512_characters_is_accepted() -> None:
    assert parse_json({"user": {"demoApiKey": "k" * 512}}).value == "k" * 512


# --- unusable responses --------------------------------------------------------------


@pytest.mark.parametrize("session", [{}, None, {"user": None}, {"user": {}}, {"expires": "x"}])
def test_session_without_user_says_to_sign_in(session: Any) -> None:
    error = get_error(200, json.dumps(session).encode())

    assert "These cookies have no signed-in session. Sign in at https://cloud" in str(error)
    assert error.is_retryable is False


@pytest.mark.parametrize(
    "user",
    [
        {"name": "Ada"},
        {"name": "Ada", "demoApiKey": None},
        {"name": "Ada", "demoApiKey": ""},
        {"name": "Ada", "demoApiKey": 5},
        {"name": "Ada", "demoApiKey": "with space"},
        {"name": "Ada", "demoApiKey": "line\r\nend"},
        {"name": "Ada", "demoApiKey": "schlüssel"},
        {"name": "Ada", "demoApiKey": "k" * 513},
        ["Ada"],
        "Ada",
    ],
)
def test_session_without_usable_key_says_to_use_an_api_key(user: Any) -> None:
    error = get_error(200, json.dumps({"user": user}).encode())

    assert "is signed in but has no demo key. Use an API key" in str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The response is not JSON. Check session_url."),
        (b"Not found", "The response is not JSON."),
        (b"\xff\xfe", "The response is not JSON."),
        (b"[" * 100_000, "The response is not JSON."),
        (b"[]", "The response is not a JSON object. Check session_url."),
        (b"[1]", "The response is not a JSON object."),
        (b'"text"', "The response is not a JSON object."),
        (b"5", "The response is not a JSON object."),
        (
            b"{" + b" " * 262_144 + b"}",
            "The response of the session endpoint is larger than 262144",
        ),
    ],
)
def test_response_that_is_not_a_session_says_to_check_the_url(
    body: bytes, message: str
) -> None:
    error = get_error(200, body)

    assert str(error).startswith(f"The key exchange failed: {message}")


@pytest.mark.parametrize(
    ("status", "message", "is_retryable"),
    [
        (401, "rejected the cookies (401). Sign in at", False),
        (403, "rejected the cookies (403). Sign in at", False),
        (429, "Too many key exchanges (429). Try again later", True),
        (500, "The session endpoint failed (500). Try again later", True),
        (503, "The session endpoint failed (503). Try again later", True),
        (304, "redirects to another page. Sign in at", False),
        (404, "returned status 404. Check session_url.", False),
        (204, "returned status 204. Check session_url.", False),
    ],
)
def test_status_decides_message_and_retry(
    status: int, message: str, is_retryable: bool
) -> None:
    error = get_error(status, b"{}", {"retry-after": "7"})

    assert message in str(error)
    assert error.status == status
    assert error.is_retryable is is_retryable
    assert error.retry_after == (7.0 if is_retryable else None)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://chat.example/session", "to https://chat.example. Sign in at"),
        ("http://a.example:80?to=/login", "to http://a.example:80. Sign in at"),
        ("https://user:SECRET@a.example", "to another page. Sign in at"),
        ("/SECRET", "to another page. Sign in at"),
    ],
)
@pytest.mark.parametrize("status", [301, 307])
def test_redirect_error_quotes_only_the_origin(status: int, location: str, target: str) -> None:
    error = get_error(status, b"<html>", {"location": location})

    assert f"The session endpoint redirects {target}" in str(error)
    assert "SECRET" not in str(error)
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (200, {}, b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (200, {}, b"  <HTML lang=en>", "is a web page"),
        (200, HTML, b"Just a moment", "is a web page"),
        (200, {}, b"<!-- " + b"x" * 2000 + b"<html>", "is a web page"),
        (403, HTML, b"", "is a web page"),
        (403, {}, b"\n<!DOCTYPE html>", "is a web page"),
        (403, HTML, b"<" + b" " * 262_144, "is a web page"),
        (403, BOT_CHECK, b"", "is a web page"),
        (503, BOT_CHECK, b"", "is a web page"),
        (429, BOT_CHECK, b"", "is a web page"),
        (401, HTML, b"<html>", "rejected the cookies (401)"),
        (404, HTML, b"<html>", "Check session_url."),
        (503, HTML, b"<html>", "failed (503)"),
    ],
)
def test_bot_check_is_distinguished_from_rejected_cookies(
    status: int, headers: dict[str, str], body: bytes, message: str
) -> None:
    error = get_error(status, body, headers)

    assert message in str(error)
    assert error.is_retryable is (message == "failed (503)")


def test_error_does_not_quote_the_response() -> None:
    error = get_error(200, json.dumps({"user": {"demoApiKey": "secret key"}}).encode())

    assert "secret" not in str(error)
    assert error.body is None


# --- where cookies may be sent -------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "verify"),
    [("http://127.0.0.2/session", True), ("https://127.0.0.2/session", False)],
)
async def test_cookies_are_never_sent_to_another_host_without_checked_tls(
    url: str, verify: bool
) -> None:
    exchange = KeyExchange(url, Route(None, verify, 1.0), timeout=1.0)

    with pytest.raises(CerebrasCookieError, match="only sent over https with certificate"):
        await exchange.get_demo_key("a=b")


# --- demo keys in memory -------------------------------------------------------------


def test_key_has_expired_once_its_time_is_reached() -> None:
    now = datetime.now(UTC)

    assert Key("k", expires=now - timedelta(seconds=1)).has_expired is True
    assert Key("k", expires=now + timedelta(minutes=1)).has_expired is False
    assert Key("k").has_expired is False


def test_expired_demo_key_is_dropped() -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    key_exchange._store_demo_key(b"digest", Key("k", is_demo=True, expires=yesterday))

    assert key_exchange._find_demo_key(b"digest") is None
    assert not key_exchange._demo_keys


def test_rejected_demo_key_is_dropped_for_all_cookies_that_share_it() -> None:
    rejected, other = Key("rejected", is_demo=True), Key("other", is_demo=True)
    for digest, key in [(b"1", rejected), (b"2", other), (b"3", rejected)]:
        key_exchange._store_demo_key(digest, key)

    key_exchange.drop_demo_key(rejected)

    assert list(key_exchange._demo_keys.values()) == [other]


def test_oldest_demo_key_is_dropped_beyond_256() -> None:
    for number in range(257):
        key_exchange._store_demo_key(b"%d" % number, Key(f"k{number}", is_demo=True))

    assert len(key_exchange._demo_keys) == 256
    assert key_exchange._find_demo_key(b"0") is None
    assert key_exchange._find_demo_key(b"256") == Key("k256", is_demo=True)
