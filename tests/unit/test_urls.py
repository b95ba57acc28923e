"""The URLs a model talks to."""

from collections.abc import Callable

import pytest

from langchain_cerebras_inference._urls import (
    default_api_base,
    default_proxy,
    default_session_url,
    is_loopback,
    public_base,
    to_api_base,
    to_session_url,
)


def test_the_api_is_cerebras_own_unless_a_variable_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = default_api_base()
    monkeypatch.setenv("CEREBRAS_BASE_URL", "https://second.example")
    with_second = default_api_base()
    monkeypatch.setenv("CEREBRAS_API_BASE", "https://first.example")
    with_both = default_api_base()
    monkeypatch.setenv("CEREBRAS_API_BASE", " ")
    with_blank = default_api_base()
    monkeypatch.setenv("CEREBRAS_BASE_URL", "\n")
    with_blanks = default_api_base()

    assert without == "https://api.cerebras.ai/v1"
    assert with_second == "https://second.example"
    assert with_both == "https://first.example"
    assert with_blank == "https://second.example"
    assert with_blanks == without


def test_the_session_is_the_playgrounds_unless_the_variable_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = default_session_url()
    monkeypatch.setenv("CEREBRAS_SESSION_URL", "https://session.example/me")
    with_variable = default_session_url()
    monkeypatch.setenv("CEREBRAS_SESSION_URL", " ")
    with_blank = default_session_url()

    assert without == with_blank == "https://inference.cerebras.ai/api/auth/session"
    assert with_variable == "https://session.example/me"


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_proxy_is_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_PROXY", blank)

    assert default_proxy() is None


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://api.cerebras.ai", "https://api.cerebras.ai/v1"),
        ("https://api.cerebras.ai/", "https://api.cerebras.ai/v1"),
        ("https://api.cerebras.ai/v1", "https://api.cerebras.ai/v1"),
        ("https://api.cerebras.ai/v1/", "https://api.cerebras.ai/v1"),
        ("https://gateway.example/cerebras/v2/", "https://gateway.example/cerebras/v2"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        ("HTTPS://api.cerebras.ai", "https://api.cerebras.ai/v1"),
        (" https://api.cerebras.ai/v1\n", "https://api.cerebras.ai/v1"),
    ],
)
def test_a_base_without_a_path_gets_v1(given: str, base: str) -> None:
    assert to_api_base(given) == base


@pytest.mark.parametrize(
    "url",
    [
        *("api.cerebras.ai/v1", "ftp://a.example", "https://", "", "/v1"),
        *("http://127.0.0.1:abc/v1", "http://127.0.0.1:99999", "http://a:0", "http://[::1"),
        *("https://user:SECRET@a.example:abc", "https://user:SECRET℀@a.example"),
    ],
)
@pytest.mark.parametrize("to_url", [to_api_base, to_session_url])
def test_what_is_no_http_url_is_refused_and_not_quoted(
    to_url: Callable[[str], str], url: str
) -> None:
    with pytest.raises(
        ValueError, match="_url must be an http or https URL with a h"
    ) as caught:
        to_url(url)

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("end", ["?api-version=1", "#top"])
def test_a_base_ends_with_its_path(end: str) -> None:
    with pytest.raises(ValueError, match="base_url must end with its path"):
        to_api_base(f"https://gateway.example/v1{end}")


@pytest.mark.parametrize(
    "url",
    [
        "https://inference.cerebras.ai/api/auth/session",
        "http://localhost:8080/session",
        "http://127.0.0.1/session",
        "http://[::1]:8080/session",
    ],
)
def test_cookies_go_over_https_or_to_this_machine(url: str) -> None:
    assert to_session_url(url) == url


@pytest.mark.parametrize(
    "given", ["HTTPS://session.example/me?a=b", " https://session.example/me?a=b#top\n"]
)
def test_a_session_url_is_tidied(given: str) -> None:
    assert to_session_url(given) == "https://session.example/me?a=b"


@pytest.mark.parametrize(
    "url",
    [
        "http://inference.cerebras.ai/api/auth/session",
        "http://localhost.example/session",
        "http://127.0.0.1.example/session",
    ],
)
def test_cookies_never_go_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match="session_url must be https"):
        to_session_url(url)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://localhost:1/x", True),
        ("https://127.0.0.1/x", True),
        ("http://[::1]/x", True),
        ("https://api.cerebras.ai", False),
        ("https://localhost.example", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, is_local: bool) -> None:
    assert is_loopback(url) is is_local


@pytest.mark.parametrize(
    ("base", "public"),
    [
        ("https://api.cerebras.ai/v1", "https://api.cerebras.ai/public/v1"),
        ("https://gateway.example/cerebras", "https://gateway.example/cerebras/public/v1"),
    ],
)
def test_the_public_catalogue_is_beside_the_api(base: str, public: str) -> None:
    assert public_base(base) == public


@pytest.mark.parametrize("to_url", [to_api_base, to_session_url])
def test_a_url_holds_no_password(to_url: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="must hold no user or password") as caught:
        to_url("https://user:secret@api.example/v1")

    assert "secret" not in str(caught.value)
