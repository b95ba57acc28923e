"""The URLs a model talks to."""

from collections.abc import Callable

import pytest

from langchain_cerebras_inference._urls import (
    default_api_base,
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
    monkeypatch.setenv("CEREBRAS_API_BASE", "")
    with_blank = default_api_base()

    assert without == "https://api.cerebras.ai/v1"
    assert with_second == "https://second.example"
    assert with_both == "https://first.example"
    assert with_blank == "https://second.example"


def test_the_session_is_the_playgrounds_unless_the_variable_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = default_session_url()
    monkeypatch.setenv("CEREBRAS_SESSION_URL", "https://session.example/me")
    with_variable = default_session_url()

    assert without == "https://inference.cerebras.ai/api/auth/session"
    assert with_variable == "https://session.example/me"


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
    ],
)
def test_a_base_without_a_path_gets_v1(given: str, base: str) -> None:
    assert to_api_base(given) == base


@pytest.mark.parametrize(
    "url", ["api.cerebras.ai/v1", "ftp://a.example", "https://", "", "/v1"]
)
def test_a_base_must_be_an_http_url(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be an http or https URL with a host"):
        to_api_base(url)


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


def test_a_session_url_must_be_an_http_url() -> None:
    with pytest.raises(ValueError, match="session_url must be an http or https URL"):
        to_session_url("inference.cerebras.ai")


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
