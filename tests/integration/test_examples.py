"""The programs in examples/, run as a user runs them.

Most tests start a Python process that imports LangChain: 1 to 3 seconds on an idle machine.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langserve import RemoteRunnable

from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.example_servers import EXAMPLES, run_example_server

HEADINGS = [
    "1. Streaming",
    "2. An LCEL chain",
    "3. An agent that calls a tool",
    "4. Structured output",
    "5. Authentication with cookies",
]
ESCAPE = "\033["

needs_pseudo_terminals = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no pseudo-terminals"
)


@pytest.fixture
def keyed_server(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator whose URL and API key are in the environment."""
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    monkeypatch.setenv("PYTHONUTF8", "1")
    return server


def create_command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-u", str(EXAMPLES / name), *arguments]


def run(name: str, *arguments: str) -> str:
    """Run an example; return its output. It must succeed and write nothing to stderr."""
    process = subprocess.run(
        create_command(name, *arguments), capture_output=True, check=False, encoding="utf-8"
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def run_in_terminal(name: str) -> str:
    """Run an example whose standard output is a terminal; return its output."""
    reader, terminal = os.openpty()
    with subprocess.Popen(create_command(name), stdout=terminal) as process:
        os.close(terminal)
        output = b"".join(iter(lambda: read_terminal(reader), b""))
    os.close(reader)
    assert process.returncode == 0
    return output.decode()


def read_terminal(reader: int) -> bytes:
    try:
        return os.read(reader, 4096)
    except OSError:  # Linux reports the end of a terminal's output as an error
        return b""


def find_headings(output: str) -> list[str]:
    return re.findall(r"^\d\. .*$", output, re.MULTILINE)


# --- demo.py ------------------------------------------------------------------------


def test_demo_without_key_uses_the_emulator_and_says_so() -> None:
    output = run("demo.py")

    assert find_headings(output) == HEADINGS
    assert "CEREBRAS_API_KEY is not set" in output
    assert "emulator" in output
    assert "tokens per second" in output
    assert 'tool call: get_weather {"city": "Paris"}' in output
    assert "tool result: Sunny, 22 °C in Paris." in output
    assert "users_affected  3" in output
    assert "demo key demo…" in output
    assert ESCAPE not in output


def test_demo_with_key_uses_the_api(keyed_server: Emulator) -> None:
    output = run("demo.py")

    paths = [request.path for request in keyed_server.requests]
    assert find_headings(output) == HEADINGS
    assert keyed_server.base_url in output
    assert "CEREBRAS_COOKIES is not set" in output
    assert paths.count("/v1/chat/completions") == 5
    assert keyed_server.api_key not in output


def test_demo_with_key_and_cookies_uses_both(
    keyed_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in keyed_server.cookies.items())
    monkeypatch.setenv("CEREBRAS_COOKIES", cookies)
    monkeypatch.setenv("CEREBRAS_SESSION_URL", keyed_server.session_url)

    output = run("demo.py")

    keys = [request.headers.get("Authorization") for request in keyed_server.requests]
    assert "demo key demo…" in output
    assert f"Bearer {keyed_server.api_key}" in keys
    assert keys[-1] == f"Bearer {keyed_server.demo_key}"


def test_demo_reports_an_error_in_one_line(
    keyed_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_KEY", "wrong")

    process = subprocess.run(
        create_command("demo.py"), capture_output=True, check=False, encoding="utf-8"
    )

    assert (process.returncode, process.stderr) == (1, "")
    assert re.search(r"^ *CerebrasAuthenticationError: .*401", process.stdout, re.MULTILINE)


@pytest.mark.parametrize("reason", ["interrupt", "closed pipe"])
def test_demo_ends_without_a_traceback(reason: str) -> None:
    with subprocess.Popen(
        create_command("demo.py"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout
        assert demo.stderr
        demo.stdout.readline()
        if reason == "interrupt":
            demo.send_signal(signal.SIGINT)
        else:
            demo.stdout.close()
        errors = demo.stderr.read()

    assert errors == b""
    assert demo.returncode == (130 if reason == "interrupt" else 0)


@needs_pseudo_terminals
def test_demo_dims_the_reasoning_on_a_terminal(keyed_server: Emulator) -> None:
    output = run_in_terminal("demo.py")

    assert f"{ESCAPE}2mThe{ESCAPE}0m" in output


@needs_pseudo_terminals
def test_demo_runs_on_a_terminal_without_color_and_unicode(
    keyed_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    output = run_in_terminal("demo.py")

    assert find_headings(output.replace("\r\n", "\n")) == HEADINGS
    assert "tool result: Sunny, 22 ?C in Paris." in output
    assert ESCAPE not in output


# --- pipeline.py and agent.py -------------------------------------------------------


def test_pipeline_requests_two_arguments_and_then_a_verdict(keyed_server: Emulator) -> None:
    keyed_server.script(*[Reply("a view")] * 2, Reply("Both are right."))

    output = run("pipeline.py", "tea")

    *arguments, verdict = [request.body["messages"] for request in keyed_server.requests]
    assert output == "Both are right.\n"
    assert {messages[0]["content"] for messages in arguments} == {
        "Give one argument for tea.",
        "Give one argument against tea.",
    }
    assert "For: a view\n\nAgainst: a view" in verdict[-1]["content"]


def test_agent_shows_reasoning_tool_calls_results_and_text(keyed_server: Emulator) -> None:
    output = run("agent.py", "What is the price of a helmet?")

    assert re.findall(r"^\[(.*?)\]", output, re.MULTILINE) == [
        "reasoning",
        "tool call get_price",
        "tool result",
        "reasoning",
        "text",
    ]
    assert '[tool call get_price] {"item": "helmet"}' in output
    assert "[tool result] 55.00 euros" in output
    assert "[text] The tool get_price returned: 55.00 euros" in output


# --- server.py ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def api_server() -> Iterator[Emulator]:
    """The emulator that the LangServe server calls."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module")
def langserve_url(api_server: Emulator) -> Iterator[str]:
    """The URL of the LangServe server, which runs in its own process for all tests."""
    with run_example_server("server.py", api_server) as url:
        yield url


def test_server_responds_to_invoke_and_batch(langserve_url: str) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(f"{langserve_url}/chain/")

    text = chain.invoke({"topic": "tides"})
    first, second = chain.batch([{"topic": "salt"}, {"topic": "snow"}])

    assert "Explain tides to a ten-year-old." in text
    assert "salt" in first
    assert "snow" in second


def test_server_streams_with_configured_fields(
    langserve_url: str, api_server: Emulator
) -> None:
    model: RemoteRunnable[str, AIMessageChunk] = RemoteRunnable(f"{langserve_url}/model/")
    config = RunnableConfig(configurable={"reasoning_effort": "high", "length": "short"})

    chunks = list(model.stream("Hello", config))

    message = sum(chunks[1:], chunks[0])
    body = api_server.requests[-1].body
    assert len(chunks) > 5
    assert message.text.startswith('You said: "Hello"')
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert body["stream"] is True
    assert (body["reasoning_effort"], body["max_completion_tokens"]) == ("high", 500)


async def test_server_streams_a_chain_to_async_clients(langserve_url: str) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(f"{langserve_url}/chain/")

    texts = [text async for text in chain.astream({"topic": "tides"})]

    assert len(texts) > 5
    assert "Explain tides" in "".join(texts)


async def test_server_streams_the_events_of_every_step(langserve_url: str) -> None:
    chain: RemoteRunnable[dict[str, str], str] = RemoteRunnable(f"{langserve_url}/chain/")
    events = [event async for event in chain.astream_events({"topic": "tides"}, version="v2")]

    names = {event["event"] for event in events}
    chunks = [
        event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"
    ]
    assert {"on_chain_start", "on_chain_stream", "on_chain_end", "on_parser_stream"} <= names
    assert {"on_prompt_end", "on_chat_model_start", "on_chat_model_end"} <= names
    assert len(chunks) > 5
    assert "Explain tides" in sum(chunks[1:], chunks[0]).text


@pytest.mark.parametrize("path", ["model", "chain"])
def test_playground_of_the_server_has_a_form_for_every_field(
    langserve_url: str, path: str
) -> None:
    # The playground stays blank if a configurable field may be null.
    # The URL is our own server's, so it cannot name a file.
    with urllib.request.urlopen(f"{langserve_url}/{path}/config_schema") as response:  # noqa: S310
        schemas = json.load(response)["$defs"]

    fields = schemas["Configurable"]["properties"].values()
    options = [schemas[field["$ref"].rpartition("/")[2]]["enum"] for field in fields]
    assert options == [["short", "long"], ["low", "medium", "high"]]


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
def test_server_pages_do_not_show_the_key(
    langserve_url: str, api_server: Emulator, path: str
) -> None:
    # The URL is our own server's, so it cannot name a file.
    with urllib.request.urlopen(f"{langserve_url}/{path}") as response:  # noqa: S310
        page = response.read().decode()

    assert response.status == 200
    assert api_server.api_key not in page


def test_server_event_log_does_not_show_the_key(
    langserve_url: str, api_server: Emulator
) -> None:
    request = urllib.request.Request(  # noqa: S310 # the URL is our own server's
        f"{langserve_url}/model/stream_log",
        data=b'{"input": "Hello", "config": {}}',
        headers={"Content-Type": "application/json"},
    )

    with urllib.request.urlopen(request) as response:  # noqa: S310 # as above
        events = response.read().decode()

    assert "You said" in events
    assert api_server.api_key not in events
