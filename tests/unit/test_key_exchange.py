"""A session's answer → a demo key, or what is wrong with the answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langchain_cerebras_inference._auth.browser_session import Bearer, to_bearer
from langchain_cerebras_inference.errors import CerebrasCookieError

USER = {"name": "Ada", "email": "ada@example.com", "demoApiKey": "demo-0123456789abcdef"}


def bearer_of(session: Any) -> Bearer:
    return to_bearer(200, {}, json.dumps(session).encode())


def error_of(status: int, body: bytes, headers: dict[str, str] | None = None) -> Any:
    with pytest.raises(CerebrasCookieError) as caught:
        to_bearer(status, headers or {}, body)
    return caught.value


@pytest.mark.parametrize(
    ("expires", "ends"),
    [
        ("2026-12-01T10:00:00.000Z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T10:00:00+00:00", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("2026-12-01T10:00:00", None),
        ("some day", None),
        (1796119200, None),
        (None, None),
    ],
)
def test_a_session_of_somebody_holds_a_key(expires: Any, ends: datetime | None) -> None:
    bearer = bearer_of({"user": USER, "expires": expires})

    assert bearer == Bearer("demo-0123456789abcdef", is_demo=True, expires=ends)


@pytest.mark.parametrize("session", [{}, None, {"user": None}, {"user": {}}, {"expires": "x"}])
def test_a_session_of_nobody_says_to_sign_in(session: Any) -> None:
    error = error_of(200, json.dumps(session).encode())

    assert "nobody who is signed in. Sign in at https://cloud.cerebras.ai" in str(error)
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
def test_a_session_without_a_key_that_can_be_sent_says_so(user: Any) -> None:
    error = error_of(200, json.dumps({"user": user}).encode())

    assert "is signed in but holds no demo key; use an API key" in str(error)


def test_the_longest_key_is_512_characters() -> None:
    assert bearer_of({"user": {"demoApiKey": "k" * 512}}).key == "k" * 512


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "A web page came instead of a session"),
        (b"  <HTML lang=en>", "A web page came instead of a session"),
        (b"", "What came is no JSON; is session_url right?"),
        (b"Not found", "What came is no JSON"),
        (b"\xff\xfe", "What came is no JSON"),
        (b"[" * 100_000, "What came is no JSON"),
        (b"[]", "What came is no session"),
        (b"[1]", "What came is no session; is session_url right?"),
        (b'"text"', "What came is no session"),
        (b"5", "What came is no session"),
        (b"{" + b" " * 262_144 + b"}", "What came is too large for a session"),
    ],
)
def test_what_is_no_session_is_told_apart(body: bytes, said: str) -> None:
    error = error_of(200, body)

    assert str(error).startswith(f"The cookies did not become a key: {said}")


@pytest.mark.parametrize(
    ("status", "said", "retryable"),
    [
        (401, "refuses the cookies (401). Sign in at", False),
        (403, "refuses the cookies (403). Sign in at", False),
        (429, "too many exchanges (429); try again later", True),
        (500, "the site failed (500); try again later", True),
        (503, "the site failed (503); try again later", True),
        (304, "sends the cookies elsewhere; is session_url right?", False),
        (404, "answers 404; is session_url right?", False),
        (204, "answers 204; is session_url right?", False),
    ],
)
def test_each_refusal_has_its_own_words(status: int, said: str, retryable: bool) -> None:
    error = error_of(status, b"{}", {"retry-after": "7"})

    assert said in str(error)
    assert error.status == status
    assert error.is_retryable is retryable
    assert error.retry_after == (7.0 if retryable else None)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/signin", "to its sign-in page. Sign in at"),
        ("https://auth.example/log-in?to=%2F", "to its sign-in page. Sign in at"),
        ("https://login.example/", "to its sign-in page. Sign in at"),
        ("https://chat.example/session", "to https://chat.example; is session_url right?"),
        ("http://a.example:80?to=/login", "to http://a.example:80; is session_url right?"),
        ("https://user:SECRET@a.example", "elsewhere; is session_url right?"),
        ("/SECRET", "elsewhere; is session_url right?"),
    ],
)
@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_says_where_to(status: int, location: str, said: str) -> None:
    error = error_of(status, b"<html>", {"location": location})

    assert f"The site sends the cookies {said}" in str(error)
    assert "SECRET" not in str(error)
    assert error.status == status


HTML = {"content-type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "said", "retryable"),
    [
        (200, HTML, b"Just a moment", "A web page came", False),
        (200, {}, b"<!-- " + b"x" * 2000 + b"<html>", "A web page came", False),
        (403, HTML, b"", "A web page came", False),
        (403, {}, b"\n<!DOCTYPE html>", "A web page came", False),
        (403, {"cf-mitigated": "challenge"}, b"", "A web page came", False),
        (503, {"cf-mitigated": "challenge"}, b"", "A web page came", False),
        (429, {"cf-mitigated": "challenge"}, b"", "A web page came", False),
        (403, HTML, b"<" + b" " * 262_144, "A web page came", False),
        (401, HTML, b"<html>", "refuses the cookies (401)", False),
        (404, HTML, b"<html>", "is session_url right?", False),
        (503, HTML, b"<html>", "the site failed (503)", True),
    ],
)
def test_a_bot_check_is_told_from_bad_cookies(
    status: int, headers: dict[str, str], body: bytes, said: str, retryable: bool
) -> None:
    error = error_of(status, body, headers)

    assert said in str(error)
    assert error.is_retryable is retryable


def test_a_session_may_call_itself_a_web_page() -> None:
    assert to_bearer(200, HTML, json.dumps({"user": USER}).encode()).key == USER["demoApiKey"]


def test_no_answer_is_quoted_because_it_may_hold_a_key() -> None:
    error = error_of(200, json.dumps({"user": {"demoApiKey": "secret key"}}).encode())

    assert "secret" not in str(error)
    assert error.body is None


def test_a_key_has_expired_when_its_time_has_come() -> None:
    now = datetime.now(UTC)

    assert Bearer("k", expires=now - timedelta(seconds=1)).has_expired is True
    assert Bearer("k", expires=now + timedelta(minutes=1)).has_expired is False
    assert Bearer("k").has_expired is False
