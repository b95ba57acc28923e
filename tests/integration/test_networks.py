import asyncio
import contextlib
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasCookieError,
    CerebrasError,
    CerebrasModelNotFoundError,
    CerebrasProtocolError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Redirect, Reply
from tests.integration.certificates import OPENSSL, Authority
from tests.integration.proxy import Gateway, Proxy
from tests.integration.styles import STYLES

SECRET = "pr0xy-s3cret"
CREDENTIALS = f"user:{SECRET}"

styles = pytest.mark.parametrize("style", STYLES)
two_styles = pytest.mark.parametrize("style", ["invoke", "astream"])
schemes = pytest.mark.parametrize("scheme", ["http", "https"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[Emulator]:
    with Emulator(ssl_context=authority.server_context()) as running:
        yield running


@pytest.fixture
def servers(server: Emulator, secure: Emulator) -> dict[str, Emulator]:
    return {"http": server, "https": secure}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def guarded() -> Iterator[Proxy]:
    with Proxy(credentials=CREDENTIALS) as running:
        yield running


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def model_of(server: Emulator, **fields: Any) -> ChatCerebrasInference:
    given = {"base_url": server.base_url, "api_key": server.api_key, "max_retries": 0, **fields}
    return ChatCerebrasInference(**given)


def error_of(style: str, model: ChatCerebrasInference) -> CerebrasError:
    with pytest.raises(CerebrasError) as caught:
        STYLES[style](model, "Hello!")
    return caught.value


def everything_about(error: BaseException) -> str:
    told = "".join(traceback.format_exception(error))
    return f"{told} {error!r} {vars(error)} {pickle.dumps(error)!r}"


# --- which proxy --------------------------------------------------------------------


@styles
def test_a_proxy_given_passes_http_on(style: str, server: Emulator, proxy: Proxy) -> None:
    answer = STYLES[style](model_of(server, proxy=proxy.origin), "Hello!")

    assert "Hello!" in answer.text
    assert [head.target for head in proxy.seen] == [f"{server.base_url}/chat/completions"]


@styles
def test_a_proxy_given_is_a_tunnel_for_https(
    style: str, secure: Emulator, proxy: Proxy, authority: Authority
) -> None:
    model = model_of(secure, proxy=proxy.origin, verify=authority.bundle)

    answer = STYLES[style](model, "Hello!")

    assert "Hello!" in answer.text
    assert [(head.method, head.target) for head in proxy.seen] == [
        ("CONNECT", secure.origin.removeprefix("https://"))
    ]


async def test_a_tunnel_is_used_again(
    secure: Emulator, guarded: Proxy, authority: Authority
) -> None:
    model = model_of(secure, proxy=guarded.url(CREDENTIALS), verify=authority.bundle)

    for _ in range(5):
        await model.ainvoke("Hello!")

    assert guarded.methods == ["CONNECT"]
    assert secure.connections == 1


@schemes
@two_styles
@pytest.mark.parametrize("variable", ["CEREBRAS_PROXY", "{0}_PROXY", "{0}_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    variable: str,
    style: str,
    scheme: str,
    servers: dict[str, Emulator],
    proxy: Proxy,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upper, lower = variable.format(scheme.upper()), variable.format(scheme)
    monkeypatch.setenv(upper if upper.isupper() else lower, proxy.origin)

    STYLES[style](model_of(servers[scheme], verify=authority.bundle), "Hello!")

    assert len(proxy.seen) == 1


def test_the_proxy_of_the_other_scheme_is_not_used(
    server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.origin)

    model_of(server).invoke("Hello!")

    assert proxy.seen == []


def test_a_variable_that_changes_counts_a_second_later(
    server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(server)
    seen = []
    for name, value in [("NAME", ""), ("HTTP_PROXY", proxy.origin), ("NO_PROXY", "*")]:
        monkeypatch.setenv(name, value)
        time.sleep(1.1)
        model.invoke("Hello!")
        seen.append(len(proxy.seen))

    assert seen == [0, 1, 1]


def test_cookies_take_no_proxy_that_calls_take(
    server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    model_of(server).invoke("Hello!")
    signed_in: Any = {"cookies": server.cookies, "session_url": server.session_url}

    ChatCerebrasInference(base_url=server.base_url, **signed_in).invoke("Hello!")

    assert proxy.methods == ["POST", "POST"]


ORDER = ["argument", "CEREBRAS_PROXY", "HTTP_PROXY", "ALL_PROXY"]


@two_styles
@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_closer_proxy_wins(
    first: int,
    style: str,
    server: Emulator,
    proxy: Proxy,
    nowhere: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = dict.fromkeys(ORDER[first:], f"http://{nowhere}") | {ORDER[first]: proxy.origin}
    fields = {"proxy": given.pop("argument")} if first == 0 else {}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    STYLES[style](model_of(server, **fields), "Hello!")

    assert len(proxy.seen) == 1


@two_styles
@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "a.example,127.0.0.1", "{address}"])
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_a_host_excepted_is_reached_directly(
    variable: str,
    exception: str,
    style: str,
    server: Emulator,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = server.origin.removeprefix("http://")
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    monkeypatch.setenv(variable, exception.format(address=address))

    STYLES[style](model_of(server), "Hello!")

    assert proxy.seen == []
    assert len(server.requests) == 1


def test_another_hosts_exception_changes_nothing(
    server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.origin)
    monkeypatch.setenv("NO_PROXY", "api.cerebras.ai,127.0.0.1:1")

    model_of(server).invoke("Hello!")

    assert len(proxy.seen) == 1


@pytest.mark.parametrize("name", ["argument", "CEREBRAS_PROXY"])
def test_a_proxy_of_ones_own_knows_no_exception(
    name: str, server: Emulator, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    if name == "CEREBRAS_PROXY":
        monkeypatch.setenv(name, proxy.origin)
    fields = {"proxy": proxy.origin} if name == "argument" else {}

    model_of(server, **fields).invoke("Hello!")

    assert len(proxy.seen) == 1


def test_a_proxy_may_be_given_without_its_scheme(server: Emulator, proxy: Proxy) -> None:
    model_of(server, proxy=proxy.address).invoke("Hello!")

    assert len(proxy.seen) == 1


@schemes
def test_a_proxy_may_be_reached_over_tls(
    scheme: str, servers: dict[str, Emulator], authority: Authority
) -> None:
    with Proxy(ssl_context=authority.server_context()) as proxy:
        model = model_of(servers[scheme], proxy=proxy.origin, verify=authority.bundle)

        answer = model.invoke("Hello!")

    assert "Hello!" in answer.text
    assert len(proxy.seen) == 1


def test_a_proxy_over_tls_must_have_a_certificate_that_verifies(
    server: Emulator, authority: Authority
) -> None:
    with Proxy(ssl_context=authority.server_context()) as proxy:
        error = error_of("invoke", model_of(server, proxy=proxy.origin))

    assert f"The certificate of {proxy.address} does not verify" in str(error)
    assert error.is_retryable is False


@schemes
@two_styles
def test_the_exchange_of_cookies_goes_through_the_proxy_over_https_alone(
    style: str,
    scheme: str,
    servers: dict[str, Emulator],
    proxy: Proxy,
    authority: Authority,
) -> None:
    server = servers[scheme]
    model = ChatCerebrasInference(
        base_url=server.base_url,
        session_url=server.session_url,
        cookies=server.cookies,
        proxy=proxy.origin,
        verify=authority.bundle,
    )

    STYLES[style](model, "Hello!")

    # A tunnel for both, unless each is made on a loop of its own.
    tunnels = 1 if style == "invoke" else 2
    assert proxy.methods == (["POST"] if scheme == "http" else ["CONNECT"] * tunnels)
    assert [request.bearer for request in server.requests] == [None, server.demo_key]


def test_a_stream_that_is_left_disconnects_through_the_proxy(
    server: Emulator, proxy: Proxy
) -> None:
    server.script(Reply(content="word " * 2000, pace=0.01))
    stream = model_of(server, proxy=proxy.origin).stream("Hello!")
    next(stream)

    stream.close()  # type: ignore[attr-defined]

    assert server.requests[0].disconnected.wait(2)


async def test_a_stream_that_is_left_over_tls_waits_for_no_good_bye(
    secure: Emulator, authority: Authority
) -> None:
    secure.script(Reply(content="word " * 2000, pace=0.01))
    with Proxy(lag=0.4) as slow:
        model = model_of(secure, proxy=slow.origin, verify=authority.bundle)
        stream = model.astream("Hello!")
        await anext(stream)

        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)

        assert slow.open_connections == 0


# --- passwords ----------------------------------------------------------------------


@schemes
@styles
def test_a_proxy_is_told_its_password_and_nobody_else_is(
    style: str,
    scheme: str,
    servers: dict[str, Emulator],
    guarded: Proxy,
    authority: Authority,
) -> None:
    server = servers[scheme]
    model = model_of(server, proxy=guarded.url(CREDENTIALS), verify=authority.bundle)

    STYLES[style](model, "Hello!")

    [request] = server.requests
    assert not any("proxy" in name.lower() for name, _ in request.raw_headers)
    assert len(guarded.seen) == 1


@pytest.mark.parametrize("password", ["p@ss:w/rd", "schlüssel", "a b+c%", ""])
def test_any_password_can_be_given_in_its_url_form(password: str, server: Emulator) -> None:
    with Proxy(credentials=f"me:{password}") as guarded:
        escaped = "".join(f"%{byte:02X}" for byte in password.encode())

        model_of(server, proxy=guarded.url(f"me:{escaped}")).invoke("Hello!")

    assert len(server.requests) == 1


@schemes
@styles
@pytest.mark.parametrize("credentials", [f"wrong:{SECRET}", f"{SECRET}:wrong", SECRET, None])
def test_a_wrong_password_is_one_error_that_names_the_proxy_and_no_secret(
    credentials: str | None,
    style: str,
    scheme: str,
    servers: dict[str, Emulator],
    guarded: Proxy,
    authority: Authority,
) -> None:
    url = guarded.url(credentials) if credentials else guarded.origin
    model = model_of(servers[scheme], proxy=url, verify=authority.bundle, max_retries=2)

    error = error_of(style, model)

    assert type(error) is CerebrasConnectionError
    assert f"check the user and password for {guarded.address}." in str(error)
    assert error.is_retryable is False
    assert SECRET not in everything_about(error)
    assert len(guarded.seen) == 1
    assert servers[scheme].requests == []


def test_an_exchange_that_a_proxy_refuses_names_the_proxy_and_no_secret(
    servers: dict[str, Emulator], guarded: Proxy
) -> None:
    server = servers["https"]
    model = ChatCerebrasInference(
        base_url=server.base_url,
        session_url=server.session_url,
        cookies=server.cookies,
        proxy=guarded.url(f"wrong:{SECRET}"),
    )

    error = error_of("invoke", model)

    assert type(error) is CerebrasCookieError
    assert guarded.address in str(error)
    assert error.is_retryable is False
    assert SECRET not in everything_about(error)
    assert server.requests == []


# --- proxies that are none ----------------------------------------------------------


@schemes
@styles
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    style: str, scheme: str, nowhere: str, servers: dict[str, Emulator]
) -> None:
    model = model_of(servers[scheme], proxy=f"http://{CREDENTIALS}@{nowhere}")

    error = error_of(style, model)

    assert type(error) is CerebrasConnectionError
    assert str(error) == f"The proxy {nowhere} cannot be reached; check proxy."
    assert error.is_retryable is True
    assert SECRET not in everything_about(error)


def test_a_proxy_whose_name_is_of_nobody_is_named(server: Emulator) -> None:
    model = model_of(server, proxy=f"http://{CREDENTIALS}@proxy.invalid:3128")

    error = error_of("invoke", model)

    assert type(error) is CerebrasConnectionError
    assert "name of proxy.invalid:3128 cannot be resolved; check proxy" in str(error)
    assert SECRET not in everything_about(error)


def test_a_server_behind_the_proxy_that_is_not_there_is_a_failed_connection(
    nowhere: str, proxy: Proxy
) -> None:
    model = ChatCerebrasInference(
        base_url=f"https://{nowhere}", api_key="k", proxy=proxy.origin, max_retries=0
    )

    error = error_of("invoke", model)

    assert type(error) is CerebrasConnectionError
    assert "(502)" in str(error)
    assert error.is_retryable is True


@two_styles
@pytest.mark.parametrize(
    "wrong",
    [
        f"socks5://{CREDENTIALS}@127.0.0.1:1080",
        f"http://{CREDENTIALS}@",
        f"http://{CREDENTIALS}@host:port",
        f"http://user:{SECRET}/x@host",
    ],
)
def test_what_is_no_proxy_is_refused_without_a_word_of_it(
    wrong: str, style: str, server: Emulator
) -> None:
    with pytest.raises(ValueError, match="proxy must be") as caught:
        STYLES[style](model_of(server, proxy=wrong), "Hello!")

    assert SECRET not in everything_about(caught.value)
    assert server.requests == []


# --- certificates -------------------------------------------------------------------


@styles
@pytest.mark.parametrize("kind", ["bundle", "folder"])
def test_a_ca_of_ones_own_is_trusted_by_verify(
    kind: str, style: str, secure: Emulator, authority: Authority
) -> None:
    answer = STYLES[style](model_of(secure, verify=getattr(authority, kind)), "Hello!")

    assert "Hello!" in answer.text


@two_styles
@pytest.mark.parametrize(
    ("variable", "kind"), [("SSL_CERT_FILE", "bundle"), ("SSL_CERT_DIR", "folder")]
)
def test_a_ca_of_ones_own_is_trusted_by_the_usual_variables(
    variable: str,
    kind: str,
    style: str,
    secure: Emulator,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(getattr(authority, kind)))

    answer = STYLES[style](model_of(secure), "Hello!")

    assert "Hello!" in answer.text


@styles
def test_an_unknown_ca_is_one_error_that_names_the_settings(
    style: str, secure: Emulator
) -> None:
    error = error_of(style, model_of(secure, max_retries=2))

    assert type(error) is CerebrasConnectionError
    assert "does not verify" in str(error)
    assert "set verify to its bundle, or SSL_CERT_FILE" in str(error)
    assert error.is_retryable is False
    assert secure.connections == 1
    assert secure.requests == []


def test_one_models_ca_is_not_anothers(secure: Emulator, authority: Authority) -> None:
    model_of(secure, verify=authority.bundle).invoke("Hello!")

    error = error_of("invoke", model_of(secure))

    assert "does not verify" in str(error)


def test_a_certificate_for_another_host_does_not_verify(
    secure: Emulator, authority: Authority
) -> None:
    base_url = secure.base_url.replace("127.0.0.1", "127.0.0.2")
    with Emulator(host="127.0.0.2", ssl_context=authority.server_context()) as other:
        base_url = other.base_url

        error = error_of("invoke", model_of(other, base_url=base_url, verify=authority.bundle))

    assert "does not verify" in str(error)
    assert other.requests == []


@styles
def test_nothing_is_verified_where_that_is_switched_off(style: str, secure: Emulator) -> None:
    answer = STYLES[style](model_of(secure, verify=False), "Hello!")

    assert "Hello!" in answer.text


def test_what_is_no_ca_is_refused_by_name(secure: Emulator, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing of use")

    with pytest.raises(ValueError, match=r"no CA bundle in PEM: .*empty\.pem"):
        model_of(secure, verify=empty).invoke("Hello!")
    with pytest.raises(ValueError, match=r"not there: .*missing\.pem"):
        model_of(secure, verify=tmp_path / "missing.pem").invoke("Hello!")


def test_plain_http_is_not_taken_for_tls(server: Emulator) -> None:
    error = error_of("invoke", model_of(server, base_url=f"https{server.base_url[4:]}"))

    assert type(error) is CerebrasConnectionError
    assert "is base_url right?" in str(error)


def test_a_session_that_is_not_there_is_blamed_on_its_own_setting(server: Emulator) -> None:
    model = ChatCerebrasInference(
        base_url=server.base_url,
        cookies=server.cookies,
        session_url="https://session.invalid",
        max_retries=0,
    )

    error = error_of("invoke", model)

    assert "name of session.invalid cannot be resolved; check session_url" in str(error)


# --- addresses ----------------------------------------------------------------------


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@styles
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_a_server_may_have_an_ipv6_address(style: str) -> None:
    with Emulator(host="::1") as server:
        answer = STYLES[style](model_of(server), "Hello!")

    assert "Hello!" in answer.text
    assert server.base_url.startswith("http://[::1]:")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_an_ipv6_address_is_reached_over_tls_and_through_a_proxy(
    authority: Authority, proxy: Proxy
) -> None:
    with Emulator(host="::1", ssl_context=authority.server_context()) as server:
        model = model_of(server, proxy=proxy.origin, verify=authority.bundle)

        answer = model.invoke("Hello!")

    assert "Hello!" in answer.text
    assert proxy.methods == ["CONNECT"]


@styles
@pytest.mark.parametrize("end", ["", "/"])
def test_a_base_url_may_have_a_path(end: str, style: str, server: Emulator) -> None:
    with Gateway("/company/cerebras", server.origin) as gateway:
        base_url = f"{gateway.origin}/company/cerebras/v1{end}"

        answer = STYLES[style](model_of(server, base_url=base_url), "Hello!")

    assert "Hello!" in answer.text
    assert gateway.seen[0].target == "/company/cerebras/v1/chat/completions"


def test_models_are_listed_below_the_path(server: Emulator) -> None:
    with Gateway("/company/cerebras", server.origin) as gateway:
        model = model_of(server, base_url=f"{gateway.origin}/company/cerebras/v1")

        model.list_models()

    assert {head.target.split("/")[1] for head in gateway.seen} == {"company"}


def test_a_wrong_path_is_an_error_that_asks_for_base_url(server: Emulator) -> None:
    error = error_of("invoke", model_of(server, base_url=f"{server.origin}/wrong"))

    assert type(error) is CerebrasModelNotFoundError
    assert "Is base_url right?" in str(error)


@styles
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_not_followed(
    status: int, style: str, server: Emulator
) -> None:
    with Emulator() as elsewhere:
        server.script(Redirect(f"{elsewhere.base_url}/chat/completions", status))

        error = error_of(style, model_of(server, max_retries=2))

    assert type(error) is CerebrasProtocolError
    assert error.status == status
    assert error.is_retryable is False
    assert elsewhere.origin in str(error)
    assert "is base_url right?" in str(error)
    assert len(server.requests) == 1
    assert elsewhere.connections == 0


# --- closing ------------------------------------------------------------------------


async def test_closing_one_model_breaks_no_stream_in_a_tunnel(
    secure: Emulator, proxy: Proxy, authority: Authority
) -> None:
    secure.script(Reply(content="one two three four five six seven", pace=0.05))
    given = {"proxy": proxy.origin, "verify": authority.bundle}
    model, other = model_of(secure, **given), model_of(secure, **given)
    stream = other.astream("Hello!")
    text = str((await anext(stream)).text)

    await model.aclose()
    text += "".join([chunk.text async for chunk in stream])

    assert text == "one two three four five six seven"
    assert await asyncio.to_thread(gone, secure)


def test_closing_one_model_breaks_no_synchronous_stream_in_a_tunnel(
    secure: Emulator, proxy: Proxy, authority: Authority
) -> None:
    secure.script(Reply(content="one two three four five six seven", pace=0.05))
    given = {"proxy": proxy.origin, "verify": authority.bundle}
    model, other = model_of(secure, **given), model_of(secure, **given)
    stream = other.stream("Hello!")
    text = str(next(stream).text)

    model.close()
    text += "".join(chunk.text for chunk in stream)

    assert text == "one two three four five six seven"
    assert gone(secure)


def gone(server: Emulator) -> bool:
    """Whether every connection is closed, or will be in a moment."""
    moment = threading.Event()
    return any(not server.open_connections or moment.wait(0.02) for _ in range(100))
