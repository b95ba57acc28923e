"""Base URLs: IPv6 addresses, paths, redirects, and hosts that do not exist."""

import socket

import pytest

from langchain_cerebras_inference import (
    CerebrasCookieError,
    CerebrasModelNotFoundError,
    CerebrasProtocolError,
)
from langchain_cerebras_inference.emulator import Emulator, Redirect
from tests.integration.call_styles import CallStyle, every_call_style
from tests.integration.certificates import CertificateAuthority
from tests.integration.helpers import create_cookie_model, create_model
from tests.integration.proxy import Gateway, Proxy


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@every_call_style
@needs_ipv6
def test_host_can_be_an_ipv6_address(call: CallStyle) -> None:
    with Emulator(host="::1") as server:
        message = call(create_model(server), "Hello!")

    assert "Hello!" in message.text
    assert server.base_url.startswith("http://[::1]:")


@needs_ipv6
def test_ipv6_address_is_reached_over_tls_through_a_proxy(
    certificate_authority: CertificateAuthority,
) -> None:
    context = certificate_authority.server_context()
    with Emulator(host="::1", ssl_context=context) as server, Proxy() as proxy:
        model = create_model(server, proxy=proxy.origin, verify=certificate_authority.bundle)

        message = model.invoke("Hello!")

    assert "Hello!" in message.text
    assert proxy.methods == ["CONNECT"]


@every_call_style
@pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "slash"])
def test_base_url_can_have_a_path(end: str, call: CallStyle, server: Emulator) -> None:
    with Gateway("/company/cerebras", server.origin) as gateway:
        base_url = f"{gateway.origin}/company/cerebras/v1{end}"

        message = call(create_model(server, base_url=base_url), "Hello!")

    assert "Hello!" in message.text
    assert gateway.requests[0].target == "/company/cerebras/v1/chat/completions"


def test_list_models_keeps_the_path_of_the_base_url(server: Emulator) -> None:
    with Gateway("/company/cerebras", server.origin) as gateway:
        model = create_model(server, base_url=f"{gateway.origin}/company/cerebras/v1")

        model.list_models()

    assert {head.target.split("/")[1] for head in gateway.requests} == {"company"}


def test_wrong_path_raises_an_error_that_names_base_url(server: Emulator) -> None:
    with pytest.raises(CerebrasModelNotFoundError, match="base_url"):
        create_model(server, base_url=f"{server.origin}/wrong").invoke("Hello!")


@every_call_style
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_and_raises_protocol_error(
    status: int, call: CallStyle, server: Emulator
) -> None:
    with Emulator() as other_server:
        server.script(Redirect(f"{other_server.base_url}/chat/completions", status))

        with pytest.raises(CerebrasProtocolError, match="base_url") as caught:
            call(create_model(server), "Hello!")

    assert caught.value.status == status
    assert caught.value.is_retryable is False
    assert other_server.origin in str(caught.value)
    assert len(server.requests) == 1
    assert other_server.connections == 0


def test_error_for_an_unknown_session_host_names_session_url(server: Emulator) -> None:
    model = create_cookie_model(server, session_url="https://session.invalid", max_retries=0)

    with pytest.raises(CerebrasCookieError, match=r"session\.invalid.*session_url"):
        model.invoke("Hello!")
