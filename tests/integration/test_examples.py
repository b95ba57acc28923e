import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessageChunk
from langserve import RemoteRunnable

from langchain_cerebras_inference.emulator import Emulator, Reply

EXAMPLES = Path(__file__).parents[2] / "examples"
PARTS = [
    "1. Streaming",
    "2. An LCEL chain",
    "3. An agent that calls a tool",
    "4. Structured output",
    "5. Sign-in with cookies",
]
ESCAPE = "\033["


@pytest.fixture
def signed_in(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The environment of a user with a key."""
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    monkeypatch.setenv("PYTHONUTF8", "1")
    return server


def run(name: str, *arguments: str) -> str:
    """Run an example as a user would; what it leaves on stderr is a fault."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def run_in_terminal(name: str) -> str:
    """Run an example whose output is a terminal."""
    ours, its = os.openpty()
    with subprocess.Popen([sys.executable, str(EXAMPLES / name)], stdout=its) as process:
        os.close(its)
        shown = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # so Linux says that the other side is closed
        return b""


def cookies_of(server: Emulator) -> str:
    return "; ".join(f"{name}={value}" for name, value in server.cookies.items())


def parts_of(shown: str) -> list[str]:
    return re.findall(r"^\d\. .*$", shown, re.MULTILINE)


def test_the_demo_shows_its_five_parts_on_the_emulator_and_says_so() -> None:
    shown = run("demo.py")

    assert parts_of(shown) == PARTS
    assert "CEREBRAS_API_KEY is not set" in shown
    assert "emulator" in shown
    assert "tokens per second" in shown
    assert 'call: get_weather {"city": "Paris"}' in shown
    assert "result: Sunny, 22 °C in Paris." in shown
    assert "users_affected  3" in shown
    assert "demo key demo…" in shown
    assert ESCAPE not in shown


def test_the_demo_talks_to_cerebras_with_a_key(signed_in: Emulator) -> None:
    shown = run("demo.py")

    assert f"This demo uses {signed_in.base_url}." in shown
    assert parts_of(shown) == PARTS
    assert "CEREBRAS_COOKIES is not set" in shown
    assert [each.path for each in signed_in.requests].count("/v1/chat/completions") == 5
    assert signed_in.api_key not in shown


def test_the_demo_takes_cookies_beside_a_key(
    signed_in: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_COOKIES", cookies_of(signed_in))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", signed_in.session_url)

    shown = run("demo.py")

    assert "demo key demo…" in shown
    last = signed_in.requests[-1]
    assert last.headers["Authorization"] == f"Bearer {signed_in.demo_key}"


def test_the_demo_says_what_went_wrong_in_a_line(signed_in: Emulator) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    environment = {**os.environ, "CEREBRAS_API_KEY": "wrong"}

    done = subprocess.run(
        command, capture_output=True, check=False, encoding="utf-8", env=environment
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "CerebrasAuthenticationError: Cerebras answered 401" in done.stdout


@pytest.mark.parametrize("how", ["interrupted", "cut off"])
def test_the_demo_ends_quietly(how: str) -> None:
    command = [sys.executable, "-u", str(EXAMPLES / "demo.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout
        assert demo.stderr
        demo.stdout.readline()
        if how == "interrupted":
            demo.send_signal(signal.SIGINT)
        else:
            demo.stdout.close()
        errors = demo.stderr.read()

    assert errors == b""
    assert demo.returncode == (130 if how == "interrupted" else 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_the_demo_dims_the_reasoning_on_a_terminal(signed_in: Emulator) -> None:
    shown = run_in_terminal("demo.py")

    assert f"{ESCAPE}2mThe{ESCAPE}0m" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_the_demo_needs_no_colour_and_only_ascii(
    signed_in: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    shown = run_in_terminal("demo.py")

    assert parts_of(shown.replace("\r\n", "\n")) == PARTS
    assert "result: Sunny, 22 ?C in Paris." in shown
    assert ESCAPE not in shown


def test_the_pipeline_asks_for_two_views_and_then_a_verdict(
    signed_in: Emulator,
) -> None:
    signed_in.script(*[Reply("a view")] * 2, Reply("Both are right."))

    shown = run("pipeline.py", "tea")

    assert shown == "Both are right.\n"
    *views, verdict = [request.body["messages"] for request in signed_in.requests]
    asked = {view[0]["content"] for view in views}
    assert asked == {
        "Give one argument for tea.",
        "Give one argument against tea.",
    }
    assert "For: a view\n\nAgainst: a view" in verdict[-1]["content"]


def test_the_agent_shows_its_thoughts_calls_results_and_answer(
    signed_in: Emulator,
) -> None:
    shown = run("agent.py", "What is the price of a helmet?")

    assert re.findall(r"^\[(.*?)\]", shown, re.MULTILINE) == [
        "reasoning",
        "call get_price",
        "result",
        "reasoning",
        "text",
    ]
    assert '[call get_price] {"item": "helmet"}' in shown
    assert "[result] 55.00 euros" in shown
    assert "[text] The tool get_price answered: 55.00 euros" in shown


@pytest.fixture(scope="module")
def behind() -> Iterator[Emulator]:
    """What the LangServe app calls."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module")
def served(behind: Emulator) -> Iterator[str]:
    """The URL of the LangServe app, which runs as its own process."""
    environment = os.environ | {
        "CEREBRAS_API_BASE": behind.base_url,
        "CEREBRAS_API_KEY": behind.api_key,
        "NO_PROXY": "127.0.0.1",
        "PORT": "0",
    }
    command = [sys.executable, str(EXAMPLES / "server.py")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, encoding="utf-8", env=environment
    )
    assert process.stderr
    logged = ""
    try:
        while not (found := re.search(r"running on (http://[\d.:]+)", logged)):
            line = process.stderr.readline()
            assert line, logged
            logged += line
        yield found[1]
    finally:
        process.terminate()
        logged += process.communicate()[1]
    assert "Error" not in logged
    assert behind.api_key not in logged


def test_the_server_answers_invoke_and_batch(served: str) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(f"{served}/chain/")

    one = chain.invoke({"topic": "tides"})
    several = chain.batch([{"topic": "salt"}, {"topic": "snow"}])

    assert "Explain tides to a ten-year-old." in one
    assert ["salt" in several[0], "snow" in several[1]] == [True, True]


def test_the_server_streams_with_configured_fields(served: str, behind: Emulator) -> None:
    model: RemoteRunnable[str, AIMessageChunk] = RemoteRunnable(f"{served}/model/")
    chosen = {"configurable": {"reasoning_effort": "high", "max_tokens": 500}}

    chunks = list(model.stream("Hello", chosen))  # type: ignore[arg-type]

    assert len(chunks) > 5
    whole = sum(chunks[1:], chunks[0])
    assert whole.text.startswith('You said: "Hello"')
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text"]
    body = behind.requests[-1].body
    assert body["stream"] is True
    assert (body["reasoning_effort"], body["max_completion_tokens"]) == ("high", 500)


async def test_the_server_streams_a_chain_to_async_clients(served: str) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(f"{served}/chain/")

    pieces = [piece async for piece in chain.astream({"topic": "tides"})]

    assert len(pieces) > 5
    assert "Explain tides" in "".join(pieces)


@pytest.mark.parametrize(
    "path",
    [
        "openapi.json",
        "model/config_schema",
        "model/input_schema",
        "model/output_schema",
        "model/playground/",
        "chain/config_schema",
        "chain/playground/",
    ],
)
def test_the_server_shows_no_key(served: str, behind: Emulator, path: str) -> None:
    with urllib.request.urlopen(f"{served}/{path}") as answer:  # noqa: S310
        page = answer.read().decode()

    assert answer.status == 200
    assert behind.api_key not in page


def test_the_server_streams_no_key_in_its_events(served: str, behind: Emulator) -> None:
    body = b'{"input": "Hello", "config": {}}'
    typed = {"Content-Type": "application/json"}
    url = f"{served}/model/stream_log"
    request = urllib.request.Request(url, body, typed)  # noqa: S310

    with urllib.request.urlopen(request) as answer:  # noqa: S310
        events = answer.read().decode()

    assert "You said" in events
    assert behind.api_key not in events
