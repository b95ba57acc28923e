"""Proxies: which one is used, passwords, and proxies that fail."""

import asyncio
import pickle
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasCookieError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.call_styles import CallStyle, every_call_style, invoke_and_astream
from tests.integration.certificates import CertificateAuthority
from tests.integration.helpers import (
    create_cookie_model,
    create_model,
    wait_for_no_connections,
    wait_until,
)
from tests.integration.proxy import Proxy

SECRET = "pr0xy-s3cret"
CREDENTIALS = f"user:{SECRET}"

LONG_REPLY = Reply(content="word " * 2000, pace=0.01)
SLOW_WORDS = Reply(content="one two three four five six seven", pace=0.05)

http_and_https = pytest.mark.parametrize("scheme", ["http", "https"])


@pytest.fixture
def servers(server: Emulator, https_server: Emulator) -> dict[str, Emulator]:
    return {"http": server, "https": https_server}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def password_proxy() -> Iterator[Proxy]:
    with Proxy(credentials=CREDENTIALS) as running:
        yield running


@pytest.fixture
def closed_address() -> str:
    """An address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def format_completely(error: BaseException) -> str:
    """Format everything that a log, a debugger or a pickle would show of an error."""
    formatted = "".join(traceback.format_exception(error))
    return f"{formatted} {error!r} {vars(error)} {pickle.dumps(error)!r}"


# --- which proxy is used ------------------------------------------------------------


@every_call_style
def test_proxy_setting_forwards_http(call: CallStyle, server: Emulator, proxy: Proxy) -> None:
    message = call(create_model(server, proxy=proxy.origin), "Hello!")

    assert "Hello!" in message.text
    assert [head.target for head in proxy.requests] == [f"{server.base_url}/chat/completions"]


@every_call_style
def test_proxy_setting_tunnels_https(
    call: CallStyle,
    https_server: Emulator,
    proxy: Proxy,
    certificate_authority: CertificateAuthority,
) -> None:
    model = create_model(https_server, proxy=proxy.origin, verify=certificate_authority.bundle)

    message = call(model, "Hello!")

    assert "Hello!" in message.text
    assert [(head.method, head.target) for head in proxy.requests] == [
        ("CONNECT", https_server.origin.removeprefix("https://"))
    ]


async def test_tunnel_is_reused(
    https_server: Emulator, password_proxy: Proxy, certificate_authority: CertificateAuthority
) -> None:
    model = create_model(
        https_server,
        proxy=password_proxy.url(CREDENTIALS),
        verify=certificate_authority.bundle,
    )

    for _ in range(5):
        await model.ainvoke("Hello!")

    assert password_proxy.methods == ["CONNECT"]
    assert https_server.connections == 1


@http_and_https
@invoke_and_astream
@pytest.mark.parametrize("variable", ["CEREBRAS_PROXY", "{}_PROXY", "{}_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment_is_used(
    variable: str,
    call: CallStyle,
    scheme: str,
    servers: dict[str, Emulator],
    proxy: Proxy,
    certificate_authority: CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_upper = variable.endswith("_PROXY")
    name = variable.format(scheme.upper() if is_upper else scheme)
    monkeypatch.setenv(name, proxy.origin)

    call(create_model(servers[scheme], verify=certificate_authority.bundle), "Hello!")

    assert len(proxy.requests) == 1


def test_https_proxy_is_not_used_for_http(
    model: ChatCerebrasInference, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.origin)

    model.invoke("Hello!")

    assert proxy.requests == []


def test_changed_proxy_variables_are_used_after_about_a_second(
    model: ChatCerebrasInference, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uses_proxy() -> bool:
        requests_before = len(proxy.requests)
        model.invoke("Hello!")
        return len(proxy.requests) > requests_before

    assert not uses_proxy()
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    wait_until(uses_proxy)
    monkeypatch.setenv("NO_PROXY", "*")
    wait_until(lambda: not uses_proxy())


def test_key_exchange_over_http_ignores_the_proxy_that_calls_use(
    model: ChatCerebrasInference,
    server: Emulator,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    model.invoke("Hello!")

    create_cookie_model(server).invoke("Hello!")

    assert proxy.methods == ["POST", "POST"]


# A variable is used only if those before it are not set.
PRECEDENCE = ["setting", "CEREBRAS_PROXY", "HTTP_PROXY", "ALL_PROXY"]


@invoke_and_astream
@pytest.mark.parametrize("source", PRECEDENCE)
def test_proxy_with_the_highest_precedence_is_used(
    source: str,
    call: CallStyle,
    server: Emulator,
    proxy: Proxy,
    closed_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lower_sources = PRECEDENCE[PRECEDENCE.index(source) + 1 :]
    urls = dict.fromkeys(lower_sources, f"http://{closed_address}") | {source: proxy.origin}
    settings = {"proxy": urls.pop("setting")} if "setting" in urls else {}
    for variable, url in urls.items():
        monkeypatch.setenv(variable, url)

    call(create_model(server, **settings), "Hello!")

    assert len(proxy.requests) == 1


@invoke_and_astream
@pytest.mark.parametrize("hosts", ["127.0.0.1", "*", "a.example,127.0.0.1", "{address}"])
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_host_in_no_proxy_is_reached_directly(
    variable: str,
    hosts: str,
    call: CallStyle,
    model: ChatCerebrasInference,
    server: Emulator,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = server.origin.removeprefix("http://")
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    monkeypatch.setenv(variable, hosts.format(address=address))

    call(model, "Hello!")

    assert proxy.requests == []
    assert len(server.requests) == 1


def test_no_proxy_variable_with_other_hosts_has_no_effect(
    model: ChatCerebrasInference, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    monkeypatch.setenv("NO_PROXY", "api.cerebras.ai,127.0.0.1:1")

    model.invoke("Hello!")

    assert len(proxy.requests) == 1


@pytest.mark.parametrize("source", ["setting", "CEREBRAS_PROXY"])
def test_setting_proxy_overrides_the_variable_no_proxy(
    source: str, server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    if source == "CEREBRAS_PROXY":
        monkeypatch.setenv(source, proxy.origin)
    settings = {"proxy": proxy.origin} if source == "setting" else {}

    create_model(server, **settings).invoke("Hello!")

    assert len(proxy.requests) == 1


def test_proxy_url_needs_no_scheme(server: Emulator, proxy: Proxy) -> None:
    create_model(server, proxy=proxy.address).invoke("Hello!")

    assert len(proxy.requests) == 1


@http_and_https
@invoke_and_astream
def test_key_exchange_uses_the_proxy_over_https_only(
    scheme: str,
    call: CallStyle,
    servers: dict[str, Emulator],
    proxy: Proxy,
    certificate_authority: CertificateAuthority,
) -> None:
    server = servers[scheme]
    model = create_cookie_model(server, proxy=proxy.origin, verify=certificate_authority.bundle)

    call(model, "Hello!")

    # The key exchange does not share its connection with requests to the API.
    assert proxy.methods == (["POST"] if scheme == "http" else ["CONNECT", "CONNECT"])
    assert [request.bearer for request in server.requests] == [None, server.demo_key]


# --- TLS to the proxy ---------------------------------------------------------------


@http_and_https
def test_proxy_can_use_tls(
    scheme: str, servers: dict[str, Emulator], certificate_authority: CertificateAuthority
) -> None:
    with Proxy(ssl_context=certificate_authority.server_context()) as proxy:
        model = create_model(
            servers[scheme], proxy=proxy.origin, verify=certificate_authority.bundle
        )

        message = model.invoke("Hello!")

    assert "Hello!" in message.text
    assert len(proxy.requests) == 1


def test_untrusted_certificate_of_the_proxy_raises_connection_error(
    server: Emulator, certificate_authority: CertificateAuthority
) -> None:
    with Proxy(ssl_context=certificate_authority.server_context()) as proxy:
        model = create_model(server, proxy=proxy.origin, max_retries=0)
        with pytest.raises(CerebrasConnectionError, match="certificate") as caught:
            model.invoke("Hello!")

    assert proxy.address in str(caught.value)
    assert caught.value.is_retryable is False


# --- passwords ----------------------------------------------------------------------


@http_and_https
@every_call_style
def test_proxy_password_is_sent_to_the_proxy_only(
    call: CallStyle,
    scheme: str,
    servers: dict[str, Emulator],
    password_proxy: Proxy,
    certificate_authority: CertificateAuthority,
) -> None:
    server = servers[scheme]
    model = create_model(
        server, proxy=password_proxy.url(CREDENTIALS), verify=certificate_authority.bundle
    )

    call(model, "Hello!")

    [request] = server.requests
    assert not any("proxy" in name.lower() for name, _ in request.raw_headers)
    assert len(password_proxy.requests) == 1


@pytest.mark.parametrize("password", ["p@ss:w/rd", "schlüssel", "a b+c%", ""])
def test_proxy_password_is_percent_decoded(password: str, server: Emulator) -> None:
    with Proxy(credentials=f"me:{password}") as proxy:
        encoded = "".join(f"%{byte:02X}" for byte in password.encode())

        create_model(server, proxy=proxy.url(f"me:{encoded}")).invoke("Hello!")

    assert len(server.requests) == 1


@http_and_https
@every_call_style
@pytest.mark.parametrize("credentials", [f"wrong:{SECRET}", f"{SECRET}:wrong", SECRET, None])
def test_wrong_proxy_password_raises_connection_error_without_the_secret(
    credentials: str | None,
    call: CallStyle,
    scheme: str,
    servers: dict[str, Emulator],
    password_proxy: Proxy,
    certificate_authority: CertificateAuthority,
) -> None:
    url = password_proxy.url(credentials) if credentials else password_proxy.origin
    model = create_model(servers[scheme], proxy=url, verify=certificate_authority.bundle)

    with pytest.raises(CerebrasConnectionError, match="the right user and password") as caught:
        call(model, "Hello!")

    assert password_proxy.address in str(caught.value)
    assert caught.value.is_retryable is False
    assert SECRET not in format_completely(caught.value)
    assert len(password_proxy.requests) == 1
    assert servers[scheme].requests == []


def test_key_exchange_with_a_wrong_proxy_password_raises_cookie_error_without_the_secret(
    https_server: Emulator, password_proxy: Proxy
) -> None:
    model = create_cookie_model(https_server, proxy=password_proxy.url(f"wrong:{SECRET}"))

    with pytest.raises(CerebrasCookieError) as caught:
        model.invoke("Hello!")

    assert password_proxy.address in str(caught.value)
    assert caught.value.is_retryable is False
    assert SECRET not in format_completely(caught.value)
    assert https_server.requests == []


# --- proxies that fail --------------------------------------------------------------


@http_and_https
@every_call_style
def test_unreachable_proxy_raises_connection_error_without_the_password(
    call: CallStyle, scheme: str, closed_address: str, servers: dict[str, Emulator]
) -> None:
    url = f"http://{CREDENTIALS}@{closed_address}"

    with pytest.raises(CerebrasConnectionError, match="Check the setting proxy") as caught:
        call(create_model(servers[scheme], proxy=url, max_retries=0), "Hello!")

    assert closed_address in str(caught.value)
    assert caught.value.is_retryable is True
    assert SECRET not in format_completely(caught.value)


def test_unknown_proxy_host_raises_connection_error_without_the_password(
    server: Emulator,
) -> None:
    url = f"http://{CREDENTIALS}@proxy.invalid:3128"

    with pytest.raises(CerebrasConnectionError, match="resolve") as caught:
        create_model(server, proxy=url, max_retries=0).invoke("Hello!")

    assert "proxy.invalid:3128" in str(caught.value)
    assert "Check the setting proxy" in str(caught.value)
    assert SECRET not in format_completely(caught.value)


def test_server_that_the_proxy_cannot_reach_raises_connection_error(
    closed_address: str, proxy: Proxy
) -> None:
    model = ChatCerebrasInference(
        base_url=f"https://{closed_address}", api_key="k", proxy=proxy.origin, max_retries=0
    )

    with pytest.raises(CerebrasConnectionError, match="502") as caught:
        model.invoke("Hello!")

    assert caught.value.is_retryable is True


@invoke_and_astream
@pytest.mark.parametrize(
    "url",
    [
        f"socks5://{CREDENTIALS}@127.0.0.1:1080",
        f"http://{CREDENTIALS}@",
        f"http://{CREDENTIALS}@host:port",
        f"http://user:{SECRET}/x@host",
        f"http://[{SECRET}",
    ],
)
def test_invalid_proxy_url_raises_value_error_without_the_password(
    url: str, call: CallStyle, server: Emulator
) -> None:
    with pytest.raises(ValueError, match=r"The proxy \(setting proxy, .* must be") as caught:
        call(create_model(server, proxy=url), "Hello!")

    assert SECRET not in format_completely(caught.value)
    assert server.requests == []


INVALID_PROXIES = {
    "ALL_PROXY": f"socks5://{CREDENTIALS}@127.0.0.1:1080",
    "all_proxy": f"socks5h://{CREDENTIALS}@127.0.0.1:1080",
    "HTTP_PROXY": f"SOCKS4://{CREDENTIALS}@127.0.0.1:1080",
    "http_proxy": f"ftp://{CREDENTIALS}@127.0.0.1:21",
    "Http_Proxy": f"http://{CREDENTIALS}@127.0.0.1:port",
}


@every_call_style
@pytest.mark.parametrize("variable", INVALID_PROXIES)
def test_invalid_proxy_of_the_environment_raises_connection_error_that_names_the_variable(
    variable: str, call: CallStyle, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, INVALID_PROXIES[variable])

    with pytest.raises(
        CerebrasConnectionError, match=f"The proxy in {variable} must"
    ) as caught:
        call(create_model(server), "Hello!")

    assert "NO_PROXY" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.is_retryable is False
    assert SECRET not in format_completely(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("url", ["http://[user:{}@::1", "http://{}@", "https://me:{}/x@host"])
def test_unreadable_proxy_of_the_environment_raises_connection_error(
    url: str, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", url.format(SECRET))

    with pytest.raises(CerebrasConnectionError, match="The proxy in ALL_PROXY must") as caught:
        create_model(server).invoke("Hello!")

    assert SECRET not in format_completely(caught.value)
    assert server.requests == []


@invoke_and_astream
def test_socks_proxy_is_an_error_for_the_key_exchange(
    call: CallStyle, https_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    with pytest.raises(CerebrasCookieError, match="The proxy in ALL_PROXY must"):
        call(create_cookie_model(https_server), "Hello!")

    assert https_server.connections == 0


@invoke_and_astream
@pytest.mark.parametrize(
    ("variable", "value"), [("NO_PROXY", "127.0.0.1"), ("HTTP_PROXY", "{proxy}")]
)
def test_socks_proxy_that_is_not_used_is_no_error(
    variable: str,
    value: str,
    call: CallStyle,
    model: ChatCerebrasInference,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv(variable, value.format(proxy=proxy.origin))

    message = call(model, "Hello!")

    assert "Hello!" in message.text
    assert len(proxy.requests) == (1 if variable == "HTTP_PROXY" else 0)


# --- disconnecting and closing ------------------------------------------------------


def test_closed_stream_disconnects_through_the_proxy(server: Emulator, proxy: Proxy) -> None:
    server.script(LONG_REPLY)
    stream: Any = create_model(server, proxy=proxy.origin).stream("Hello!")
    next(stream)

    stream.close()

    assert server.requests[0].disconnected.wait(2)


async def test_closed_stream_in_a_tunnel_does_not_wait_for_the_tls_close_of_the_server(
    https_server: Emulator, certificate_authority: CertificateAuthority
) -> None:
    https_server.script(LONG_REPLY)
    # The server's side of the TLS close takes 0.4 s to arrive.
    with Proxy(lag=0.4) as slow_proxy:
        model = create_model(
            https_server, proxy=slow_proxy.origin, verify=certificate_authority.bundle
        )
        stream: Any = model.astream("Hello!")
        await anext(stream)

        await stream.aclose()
        await asyncio.sleep(0.2)

        assert slow_proxy.open_connections == 0


def test_close_does_not_break_a_stream_in_a_tunnel(
    https_server: Emulator, proxy: Proxy, certificate_authority: CertificateAuthority
) -> None:
    https_server.script(SLOW_WORDS)
    settings = {"proxy": proxy.origin, "verify": certificate_authority.bundle}
    model = create_model(https_server, **settings)
    stream = model.stream("Hello!")
    text = str(next(stream).text)

    create_model(https_server, **settings).close()
    text += "".join(chunk.text for chunk in stream)

    assert text == SLOW_WORDS.content
    assert https_server.open_connections == 1
    model.close()
    wait_for_no_connections(https_server)


async def test_aclose_does_not_break_an_async_stream_in_a_tunnel(
    https_server: Emulator, proxy: Proxy, certificate_authority: CertificateAuthority
) -> None:
    https_server.script(SLOW_WORDS)
    settings = {"proxy": proxy.origin, "verify": certificate_authority.bundle}
    model = create_model(https_server, **settings)
    stream = model.astream("Hello!")
    text = str((await anext(stream)).text)

    await create_model(https_server, **settings).aclose()
    text += "".join([chunk.text async for chunk in stream])

    assert text == SLOW_WORDS.content
    assert https_server.open_connections == 1
    await model.aclose()
    await asyncio.to_thread(wait_for_no_connections, https_server)
