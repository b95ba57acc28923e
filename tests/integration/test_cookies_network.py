"""How cookies reach the session endpoint: TLS and proxies."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasCookieError,
    ChatCerebrasInference,
    Credential,
)
from langchain_cerebras_inference.emulator import Emulator
from tests.integration import helpers
from tests.integration.call_styles import CALL_STYLES
from tests.integration.certificates import OPENSSL, CertificateAuthority
from tests.integration.proxy import Proxy

pytestmark = pytest.mark.skipif(not OPENSSL, reason="openssl makes the certificates")

EXCHANGE_AND_CHAT = ["/api/auth/session", "/v1/chat/completions"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ca(authority: CertificateAuthority) -> Path:
    return authority.bundle


@pytest.fixture
def secure_server(authority: CertificateAuthority) -> Iterator[Emulator]:
    with Emulator(ssl_context=authority.server_context()) as running:
        yield running


def create_model(server: Emulator, **settings: Any) -> ChatCerebrasInference:
    """Create a model that has the cookies of `server` and never retries."""
    return helpers.create_cookie_model(server, max_retries=0, **settings)


def get_paths(server: Emulator) -> list[str]:
    return [request.path for request in server.requests]


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
def test_session_endpoint_is_trusted_with_a_custom_ca(
    style: str, secure_server: Emulator, ca: Path
) -> None:
    CALL_STYLES[style](create_model(secure_server, verify=ca), "Hello!")

    assert get_paths(secure_server) == EXCHANGE_AND_CHAT


def test_ssl_cert_file_names_a_custom_ca(
    secure_server: Emulator, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))

    create_model(secure_server).invoke("Hello!")

    assert get_paths(secure_server) == EXCHANGE_AND_CHAT


def test_host_with_untrusted_certificate_gets_no_cookies(
    secure_server: Emulator,
) -> None:
    with pytest.raises(CerebrasCookieError, match="cannot be verified") as caught:
        create_model(secure_server).invoke("Hello!")

    assert caught.value.is_retryable is False
    assert secure_server.requests == []


@pytest.mark.parametrize("is_setting", [True, False])
def test_exchange_uses_the_proxy_over_https(
    is_setting: bool, secure_server: Emulator, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(credentials="ada:p@ss") as proxy:
        url = proxy.url("ada:p%40ss")
        monkeypatch.setenv("CEREBRAS_PROXY", "" if is_setting else url)

        settings = {"proxy": url} if is_setting else {}
        create_model(secure_server, verify=ca, **settings).invoke("Hello!")

        assert set(proxy.methods) == {"CONNECT"}
        assert proxy.requests[0].target == secure_server.origin.removeprefix("https://")
    assert get_paths(secure_server) == EXCHANGE_AND_CHAT
    assert all(
        "Proxy-Authorization" not in request.headers for request in secure_server.requests
    )


def test_proxy_does_not_see_the_cookies(secure_server: Emulator, ca: Path) -> None:
    with Proxy() as proxy:
        create_model(secure_server, verify=ca, proxy=proxy.origin).invoke("Hello!")

        [value] = secure_server.cookies.values()
        assert value not in str(proxy.requests)


@pytest.mark.parametrize("variable", [None, "http_proxy", "https_proxy"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_unencrypted_cookies_are_not_sent_through_a_proxy(
    scheme: str,
    variable: str | None,
    server: Emulator,
    secure_server: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    playground = {"http": server, "https": secure_server}[scheme]
    with Proxy() as proxy:
        if variable:
            monkeypatch.setenv(variable, proxy.origin)
        settings = {} if variable else {"proxy": proxy.origin}

        create_model(playground, verify=scheme == "http", **settings).credential()

        assert proxy.requests == []
    assert get_paths(playground) == EXCHANGE_AND_CHAT[:1]


async def test_failing_route_does_not_fail_calls_with_another_route(
    secure_server: Emulator, ca: Path
) -> None:
    with Proxy() as proxy:
        pass
    models = [
        create_model(secure_server, verify=ca, proxy=proxy.origin),
        create_model(secure_server, verify=ca),
    ]

    calls = (model.acredential() for model in models)
    error, credential = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(error, CerebrasCookieError)
    assert isinstance(credential, Credential)


def test_error_for_a_rejected_proxy_password_names_only_the_proxy(
    secure_server: Emulator, ca: Path
) -> None:
    with Proxy(credentials="ada:right") as proxy:
        model = create_model(secure_server, verify=ca, proxy=proxy.url("ada:SECRET"))

        with pytest.raises(CerebrasCookieError, match=r"proxy .*407") as caught:
            model.invoke("Hello!")

    assert "SECRET" not in repr(caught.value)
    assert caught.value.is_retryable is False
    assert secure_server.requests == []


def test_missing_proxy_is_a_retryable_error(secure_server: Emulator, ca: Path) -> None:
    with Proxy() as proxy:
        pass

    with pytest.raises(CerebrasCookieError, match=r"proxy .*cannot be reached") as caught:
        create_model(secure_server, verify=ca, proxy=proxy.origin).invoke("Hello!")

    assert caught.value.is_retryable is True


def test_unreachable_session_host_is_a_retryable_error() -> None:
    with Emulator() as gone:
        model = create_model(gone)

    with pytest.raises(CerebrasCookieError, match=r"The connection to 127.* failed") as caught:
        model.invoke("Hello!")

    assert caught.value.is_retryable is True


def test_connect_timeout_is_a_retryable_error() -> None:
    """The proxy waits for a plain request, so the TLS handshake never ends."""
    with Proxy() as proxy:
        model = ChatCerebrasInference(
            session_url=f"https://{proxy.address}/api/auth/session",
            cookies="a=b",
            connect_timeout=0.2,
            max_retries=0,
        )

        with pytest.raises(CerebrasCookieError, match=r"within 0\.2 s") as caught:
            model.invoke("Hello!")

    assert caught.value.is_retryable is True
