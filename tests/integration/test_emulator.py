"""The emulator as a server: start and stop, its routes, its log and its command line."""

import asyncio
import errno
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from langchain_cerebras_inference.emulator import Act, Emulator, Redirect, Refuse, Session
from langchain_cerebras_inference.emulator.__main__ import main
from tests.integration.emulator_client import (
    MODELS,
    QWEN,
    Response,
    auth_header,
    chat,
    chat_with_command_line,
    post,
    request_body,
    run_command_line,
    send,
)
from tests.integration.helpers import wait_until


def get_port(server: Emulator) -> int:
    port = urlsplit(server.origin).port
    assert port is not None
    return port


def format_cookies(cookies: Mapping[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def get_session(server: Emulator, cookies: Mapping[str, str] | None = None) -> Response:
    """Request the browser session; by default with the cookies of the signed-in user."""
    cookie = format_cookies(server.cookies if cookies is None else cookies)
    return send(server.session_url, headers={"Cookie": cookie})


# Start and stop


async def test_emulator_can_be_started_twice_inside_a_running_event_loop() -> None:
    server = Emulator(api_key="csk-mine")

    for _ in range(2):
        async with server:
            response = await asyncio.to_thread(chat, server)
            assert response.status == 200

    assert server.api_key == "csk-mine"


def test_emulator_listens_on_ipv6() -> None:
    with Emulator(host="::1") as server:
        assert server.base_url.startswith("http://[::1]:")
        assert chat(server).status == 200


@pytest.mark.parametrize(
    ("ssl_context", "error", "message"),
    [
        (True, TypeError, "must be an ssl.SSLContext, .*, not bool"),
        ("cert.pem", TypeError, "must be an ssl.SSLContext, .*, not str"),
        (ssl.create_default_context(), ValueError, "is for clients: give one for servers"),
    ],
    ids=["bool", "path", "client context"],
)
def test_wrong_ssl_context_is_an_error_at_construction(
    ssl_context: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Emulator(ssl_context=ssl_context)


@pytest.mark.parametrize(
    "arguments",
    [{"port": -1}, {"port": 65536}, {"tokens_per_second": 0}],
    ids=repr,
)
def test_number_out_of_range_is_a_value_error_at_construction(arguments: Any) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be "):
        Emulator(**arguments)


def fail_to_create_a_loop() -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("failure", ["port in use", "unknown host", "no event loop"])
async def test_failed_start_raises_and_leaves_no_thread(
    server: Emulator, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = Emulator()
    if failure == "port in use":
        emulator = Emulator(port=get_port(server))
    elif failure == "unknown host":
        emulator = Emulator(host="nope.invalid")
    else:
        monkeypatch.setattr(asyncio.events, "new_event_loop", fail_to_create_a_loop)
    threads = [thread for thread in threading.enumerate() if thread.name == "emulator"]

    with pytest.raises(OSError, match=r".+"):
        emulator.start()
    with pytest.raises(OSError, match=r".+"), emulator:
        pytest.fail("It must not start.")
    with pytest.raises(OSError, match=r".+"):
        async with emulator:
            pytest.fail("It must not start.")

    emulator.stop()
    remaining = [thread for thread in threading.enumerate() if thread.name == "emulator"]
    assert remaining == threads


def test_emulator_can_start_after_a_failed_start() -> None:
    with Emulator() as server:
        emulator = Emulator(port=get_port(server))
        with pytest.raises(OSError, match="in use"):
            emulator.start()

    with emulator:
        assert chat(emulator).status == 200


# The record of requests


def test_received_request_is_recorded(server: Emulator) -> None:
    chat(server)

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["AUTHORIZATION"] == f"Bearer {server.api_key}"
    assert request.bearer == server.api_key
    assert request.body == request_body()
    assert json.loads(request.content) == request_body()
    assert request.answered.wait(1)
    assert not request.disconnected.is_set()


def test_repeated_header_is_kept_twice(server: Emulator) -> None:
    with socket.create_connection(("127.0.0.1", get_port(server))) as connection:
        connection.sendall(
            b"GET /public/v1/models HTTP/1.1\r\nHost: x\r\n"
            b"X-Twice: a\r\nx-twice: b\r\nConnection: close\r\n\r\n"
        )
        while connection.recv(65536):
            pass

    (request,) = server.requests
    headers = [(name, value) for name, value in request.raw_headers if value in ("a", "b")]
    assert headers == [("X-Twice", "a"), ("x-twice", "b")]


async def test_connections_are_counted(server: Emulator) -> None:
    url = f"{server.origin}/public/v1/models"
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(url) as response:
                await response.read()
        assert (server.connections, server.open_connections) == (1, 1)

    assert len({request.peer for request in server.requests}) == 1
    await asyncio.to_thread(wait_until, lambda: server.open_connections == 0)


def test_reset_clears_requests_and_behaviors(server: Emulator) -> None:
    chat(server)
    server.script(Refuse(500))
    server.always(Refuse(503))

    server.reset()

    assert server.requests == []
    assert chat(server).status == 200


# Models and other routes


def test_models_are_listed_with_a_key_and_the_public_list_needs_no_key(
    server: Emulator,
) -> None:
    models = send(f"{server.base_url}/models", headers=auth_header(server.api_key)).json
    public_models = send(f"{server.origin}/public/v1/models").json

    assert [model["id"] for model in models["data"]] == list(MODELS)
    assert [model["id"] for model in public_models["data"]] == list(MODELS)
    assert send(f"{server.base_url}/models").status == 401


def test_model_can_be_retrieved(server: Emulator) -> None:
    key = auth_header(server.api_key)
    model = send(f"{server.base_url}/models/{QWEN}", headers=key).json
    public_model = send(f"{server.origin}/public/v1/models/{QWEN}").json

    assert model == {"id": QWEN, "object": "model", "created": 0, "owned_by": "Cerebras"}
    assert public_model["capabilities"]["vision"] is True


def test_unknown_model_is_not_found(server: Emulator) -> None:
    public_model = send(f"{server.origin}/public/v1/models/x")

    assert (
        send(f"{server.base_url}/models/x", headers=auth_header(server.api_key)).status == 404
    )
    assert public_model.status == 404
    assert public_model.json == {"detail": "Model 'x' not found or not publicly available"}


def test_warm_up_succeeds_and_an_unknown_path_is_not_found(server: Emulator) -> None:
    warm_up = send(f"{server.base_url}/tcp_warming", headers=auth_header(server.api_key))

    assert warm_up.status == 200
    assert send(f"{server.origin}/chat/completions", method="POST", content=b"{}").status == 404


# The browser session


def test_session_has_a_demo_key_that_is_accepted(server: Emulator) -> None:
    key = get_session(server).json["user"]["demoApiKey"]

    content = json.dumps(request_body()).encode()
    assert key == server.demo_key
    assert post(server, content, **auth_header(key)).status == 200


def test_cookie_in_numbered_chunks_is_accepted(server: Emulator) -> None:
    ((name, value),) = server.cookies.items()
    chunks = {f"{name}.0": value[:10], f"{name}.1": value[10:]}

    assert "user" in get_session(server, chunks).json


def test_unknown_cookies_are_not_signed_in(server: Emulator) -> None:
    assert get_session(server, {"other": "cookie"}).content == b"{}"


def test_session_route_rejects_an_api_key(server: Emulator) -> None:
    assert send(server.session_url, headers=auth_header(server.api_key)).status == 400


def test_sign_in_page_sets_the_cookie(server: Emulator) -> None:
    response = send(f"{server.origin}/api/auth/signin")

    ((name, value),) = server.cookies.items()
    assert response.headers["Set-Cookie"].startswith(f"{name}={value};")


def test_old_demo_key_is_rejected_after_a_rotation(server: Emulator) -> None:
    old_key = server.demo_key

    server.rotate_demo_key()

    assert post(server, b"{}", **auth_header(old_key)).status == 401
    assert get_session(server).json["user"]["demoApiKey"] == server.demo_key != old_key


@pytest.mark.parametrize(
    ("behavior", "status", "content"),
    [
        (Session("empty"), 200, b"{}"),
        (Session("null"), 200, b"null"),
        (Session("null_user", expires=None), 200, b'{"user": null}'),
        (Session("no_key"), 200, b'"image": null}, "expires"'),
        (Session("not_json"), 200, b"unavailable"),
        (Session("html"), 200, b"<!DOCTYPE html>"),
        (Session(demo_key="demo-x"), 200, b"demo-x"),
        (Session(expires="2026-01-01T00:00:00.000Z"), 200, b"2026-01-01"),
        (Session("too_large"), 200, b"A" * 1_000_000),
        (Redirect("/signin", 302), 302, b""),
        (Refuse(403), 403, b"forbidden"),
        (Refuse(429, headers={"Retry-After": "1"}), 429, b"quota"),
        (Refuse(503, body="<html>"), 503, b"<html>"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_session_route_can_be_scripted(
    server: Emulator, behavior: Act, status: int, content: bytes
) -> None:
    server.script_session(behavior)

    response = get_session(server)

    assert response.status == status
    assert content in response.content


# The command line


def test_command_line_serves_until_it_is_terminated() -> None:
    arguments = ["--tokens-per-second", "3000", "--api-key", "a b'$x"]
    with run_command_line(*arguments) as (process, settings):
        completion = chat_with_command_line(settings)
        session = send(
            settings["CEREBRAS_SESSION_URL"], headers={"Cookie": settings["CEREBRAS_COOKIES"]}
        )
        process.terminate()
        _, errors = process.communicate(timeout=10)

    assert (completion.status, settings["CEREBRAS_API_KEY"]) == (200, "a b'$x")
    assert "demoApiKey" in session.json["user"]
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "-1"], "port must be 0 to 65535, not -1."),
        (["--port", "65536"], "port must be 0 to 65535, not 65536."),
        (["--host", "nope.invalid"], "cannot listen on nope.invalid: "),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1: "),
        (["--tokens-per-second", "0"], "positive and finite, not 0.0."),
        (["--tokens-per-second", "-5"], "positive and finite, not -5.0."),
        (["--tokens-per-second", "nan"], "positive and finite, not nan."),
        (["--tokens-per-second", "inf"], "positive and finite, not inf."),
        (["--requests-per-minute", "0"], "requests_per_minute must be a finite number of "),
        (["--burst", "5"], "burst needs requests_per_minute: "),
        (["--latency", "2", "1"], "latency must be two finite numbers of seconds, "),
    ],
)
def test_command_line_reports_an_invalid_argument_in_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    *_usage, message = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert "error: " in message
    assert expected in message


def test_command_line_reports_a_port_in_use(
    server: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--port", str(get_port(server))])

    assert "cannot listen on 127.0.0.1: Address already in use" in capsys.readouterr().err
