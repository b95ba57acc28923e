"""Defaults and validation of the URLs."""

from collections.abc import Callable

import pytest

from langchain_cerebras_inference._urls import (
    get_default_api_base,
    get_default_proxy,
    get_default_session_url,
    get_public_api_base,
    is_loopback,
    normalize_api_base,
    normalize_session_url,
)

API_BASE = "https://api.cerebras.ai/v1"
SESSION_URL = "https://inference.cerebras.ai/api/auth/session"
FIRST, SECOND = "https://first.example", "https://second.example"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, API_BASE),
        ({"CEREBRAS_BASE_URL": SECOND}, SECOND),
        ({"CEREBRAS_BASE_URL": SECOND, "CEREBRAS_API_BASE": FIRST}, FIRST),
        ({"CEREBRAS_BASE_URL": SECOND, "CEREBRAS_API_BASE": " "}, SECOND),
        ({"CEREBRAS_BASE_URL": "\n", "CEREBRAS_API_BASE": " "}, API_BASE),
    ],
)
def test_api_base_comes_from_the_environment_or_is_the_default(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert get_default_api_base() == expected


@pytest.mark.parametrize(
    ("variable", "expected"), [("", SESSION_URL), (" ", SESSION_URL), (FIRST, FIRST)]
)
def test_session_url_comes_from_the_environment_or_is_the_default(
    variable: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_SESSION_URL", variable)

    assert get_default_session_url() == expected


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_blank_proxy_variable_is_no_proxy(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRAS_PROXY", blank)

    assert get_default_proxy() is None


@pytest.mark.parametrize(
    ("url", "expected"),
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
def test_api_base_without_path_gets_v1(url: str, expected: str) -> None:
    assert normalize_api_base(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("api.cerebras.ai/v1", "ftp://a.example", "https://", "", "/v1"),
        *("http://127.0.0.1:abc/v1", "http://127.0.0.1:99999", "http://a:0", "http://[::1"),
        *("https://user:SECRET@a.example:abc", "https://user:SECRET℀@a.example"),
    ],
)
@pytest.mark.parametrize("normalize", [normalize_api_base, normalize_session_url])
def test_url_that_is_not_http_is_rejected_and_not_quoted(
    normalize: Callable[[str], str], url: str
) -> None:
    with pytest.raises(
        ValueError, match="_url must be an http or https URL with a h"
    ) as caught:
        normalize(url)

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["?api-version=1", "#top"])
def test_api_base_with_query_or_fragment_is_rejected(suffix: str) -> None:
    with pytest.raises(ValueError, match="base_url must not have a query or fragment"):
        normalize_api_base(f"https://gateway.example/v1{suffix}")


@pytest.mark.parametrize(
    "url",
    [
        "https://inference.cerebras.ai/api/auth/session",
        "http://localhost:8080/session",
        "http://127.0.0.1/session",
        "http://[::1]:8080/session",
    ],
)
def test_session_url_is_https_or_on_this_machine(url: str) -> None:
    assert normalize_session_url(url) == url


@pytest.mark.parametrize(
    "url", ["HTTPS://session.example/me?a=b", " https://session.example/me?a=b#top\n"]
)
def test_whitespace_and_fragment_are_removed_from_the_session_url(url: str) -> None:
    assert normalize_session_url(url) == "https://session.example/me?a=b"


@pytest.mark.parametrize(
    "url",
    [
        "http://inference.cerebras.ai/api/auth/session",
        "http://localhost.example/session",
        "http://127.0.0.1.example/session",
    ],
)
def test_session_url_over_http_to_another_host_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="session_url must be https"):
        normalize_session_url(url)


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
def test_loopback_is_this_machine_only(url: str, is_local: bool) -> None:
    assert is_loopback(url) is is_local


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://api.cerebras.ai/v1", "https://api.cerebras.ai/public/v1"),
        ("https://gateway.example/cerebras", "https://gateway.example/cerebras/public/v1"),
    ],
)
def test_public_catalog_url_is_derived_from_the_api_base(base: str, expected: str) -> None:
    assert get_public_api_base(base) == expected


@pytest.mark.parametrize("normalize", [normalize_api_base, normalize_session_url])
def test_url_with_password_is_rejected_and_not_quoted(normalize: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="must not have a user name or password") as caught:
        normalize("https://user:secret@api.example/v1")

    assert "secret" not in str(caught.value)
