"""The way cookies go: trusted by a CA of one's own, through a forward proxy."""

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
from tests.integration.call_styles import CALL_STYLES
from tests.integration.certificates import OPENSSL, CertificateAuthority
from tests.integration.proxy import Proxy

pytestmark = pytest.mark.skipif(not OPENSSL, reason="openssl makes the certificates")

EXCHANGED = ["/api/auth/session", "/v1/chat/completions"]


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


def signed_in(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url,
        session_url=server.session_url,
        **{"cookies": server.cookies, "max_retries": 0, **fields},
    )


def paths_of(server: Emulator) -> list[str]:
    return [request.path for request in server.requests]


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
def test_the_session_is_trusted_by_a_ca_of_ones_own(
    style: str, secure_server: Emulator, ca: Path
) -> None:
    CALL_STYLES[style](signed_in(secure_server, verify=ca), "Hello!")

    assert paths_of(secure_server) == EXCHANGED


def test_the_usual_variable_names_a_ca_too(
    secure_server: Emulator, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))

    signed_in(secure_server).invoke("Hello!")

    assert paths_of(secure_server) == EXCHANGED


def test_one_whose_certificate_does_not_verify_gets_no_cookies(
    secure_server: Emulator,
) -> None:
    with pytest.raises(CerebrasCookieError, match="does not verify") as caught:
        signed_in(secure_server).invoke("Hello!")

    assert caught.value.is_retryable is False
    assert secure_server.requests == []


@pytest.mark.parametrize("is_named", [True, False])
def test_the_session_is_reached_through_the_proxy(
    is_named: bool, secure_server: Emulator, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(credentials="ada:p@ss") as proxy:
        url = proxy.url("ada:p%40ss")
        monkeypatch.setenv("CEREBRAS_PROXY", "" if is_named else url)

        signed_in(secure_server, verify=ca, **{"proxy": url} if is_named else {}).invoke("Hi!")

        assert set(proxy.methods) == {"CONNECT"}
        assert proxy.requests[0].target == secure_server.origin.removeprefix("https://")
    assert paths_of(secure_server) == EXCHANGED
    assert not [
        each for each in secure_server.requests if "Proxy-Authorization" in each.headers
    ]


def test_the_proxy_does_not_see_the_cookies(secure_server: Emulator, ca: Path) -> None:
    with Proxy() as proxy:
        signed_in(secure_server, verify=ca, proxy=proxy.origin).invoke("Hello!")

        [value] = secure_server.cookies.values()
        assert value not in str(proxy.requests)


@pytest.mark.parametrize("variable", [None, "http_proxy", "https_proxy"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookies_that_are_not_protected_do_not_leave_the_machine(
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
        fields = {} if variable else {"proxy": proxy.origin}

        signed_in(playground, verify=scheme == "http", **fields).credential()

        assert proxy.requests == []
    assert paths_of(playground) == EXCHANGED[:1]


async def test_one_who_cannot_reach_the_session_fails_alone(
    secure_server: Emulator, ca: Path
) -> None:
    with Proxy() as proxy:
        pass
    models = [
        signed_in(secure_server, verify=ca, proxy=proxy.origin),
        signed_in(secure_server, verify=ca),
    ]

    calls = (model.acredential() for model in models)
    error, credential = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(error, CerebrasCookieError)
    assert isinstance(credential, Credential)


def test_a_proxy_that_refuses_is_told_without_its_password(
    secure_server: Emulator, ca: Path
) -> None:
    with Proxy(credentials="ada:right") as proxy:
        model = signed_in(secure_server, verify=ca, proxy=proxy.url("ada:SECRET"))

        with pytest.raises(CerebrasCookieError, match=r"proxy .*\(407\)") as caught:
            model.invoke("Hello!")

    assert "SECRET" not in repr(caught.value)
    assert caught.value.is_retryable is False
    assert secure_server.requests == []


def test_a_proxy_that_is_not_there_may_come_back(secure_server: Emulator, ca: Path) -> None:
    with Proxy() as proxy:
        pass

    with pytest.raises(CerebrasCookieError, match=r"proxy .*cannot be reached") as caught:
        signed_in(secure_server, verify=ca, proxy=proxy.origin).invoke("Hello!")

    assert caught.value.is_retryable is True


def test_a_session_host_that_is_not_there_may_come_back() -> None:
    with Emulator() as gone:
        model = signed_in(gone)

    with pytest.raises(CerebrasCookieError, match="No connection to 127") as caught:
        model.invoke("Hello!")

    assert caught.value.is_retryable is True


def test_a_connection_that_takes_too_long_may_be_made_later() -> None:
    """The proxy waits for a request, and so does not begin with TLS."""
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
