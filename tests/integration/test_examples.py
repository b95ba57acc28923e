"""The programs in examples/, run as a user runs them.

Most tests start a Python process that imports LangChain: 1 to 3 seconds on an idle machine.
"""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langserve import RemoteRunnable

from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    Refuse,
    Reply,
    Request,
    Stall,
    ToolCall,
)
from tests.integration.example_servers import EXAMPLES, run_example_server
from tests.integration.programs import run_in_terminal

HEADINGS = [
    "1. Streaming",
    "2. An LCEL chain",
    "3. An agent that calls a tool",
    "4. Structured output",
    "5. Authentication with cookies",
]
ESCAPE = "\033["
TICKET_FIELDS = ("topic", "is_urgent", "summary")

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
    output = run_in_terminal(create_command("demo.py"), "stdout")

    assert f"{ESCAPE}2mThe{ESCAPE}0m" in output


@needs_pseudo_terminals
def test_demo_runs_on_a_terminal_without_color_and_unicode(
    keyed_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    output = run_in_terminal(create_command("demo.py"), "stdout")

    assert find_headings(output.replace("\r\n", "\n")) == HEADINGS
    assert "tool result: Sunny, 22 ?C in Paris." in output
    assert ESCAPE not in output


# --- all programs -------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted({*EXAMPLES.glob("*.py")} - {EXAMPLES / "demo.py"}))
def test_example_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 60


# --- pipeline.py, agent.py, graph.py, extraction.py and rag.py ----------------------


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


@pytest.mark.parametrize("failure", [Refuse(429), Refuse(503), Cut(after=None)])
def test_pipeline_uses_the_second_model_if_the_first_one_fails(
    keyed_server: Emulator, failure: Act
) -> None:
    def fail_first_model(request: Request) -> Act:
        return failure if request.model == "gpt-oss-120b" else Reply("From the second model.")

    keyed_server.always(fail_first_model)

    assert run("pipeline.py", "tea") == "From the second model.\n"
    assert [request.model for request in keyed_server.requests].count("qwen-3.8-27b") == 3


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


def test_agent_ends_after_ten_model_calls(keyed_server: Emulator) -> None:
    keyed_server.always(Reply(tool_calls=[ToolCall("get_price", {"item": "lock"})]))

    output = run("agent.py", "What is the price of a lock?")

    assert len(keyed_server.requests) == 10
    assert output.count("[tool result] 38.50 euros") == 10


def test_graph_remembers_the_conversation(keyed_server: Emulator) -> None:
    keyed_server.script(Reply("Hello, Ada!"), Reply("Your name is Ada."))

    output = run("graph.py", "My name is Ada.", "What is my name?")

    first, second = (request.body for request in keyed_server.requests)
    assert output == "> My name is Ada.\nHello, Ada!\n> What is my name?\nYour name is Ada.\n"
    assert first["stream"] is True
    assert [message["content"] for message in second["messages"]] == [
        "My name is Ada.",
        "Hello, Ada!",
        "What is my name?",
    ]


def test_extraction_prints_one_object_for_each_line(keyed_server: Emulator) -> None:
    process = run_extraction("Where is my order?\n\nI paid twice!\nThank you.\n")

    tickets = [json.loads(line) for line in process.stdout.splitlines()]
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted(ticket["line"] for ticket in tickets) == [1, 3, 4]
    assert all(ticket.keys() == {"line", *TICKET_FIELDS} for ticket in tickets)


def test_extraction_goes_on_after_a_failed_text(keyed_server: Emulator) -> None:
    def fail_for_payments(request: Request) -> Act:
        is_payment = "paid" in request.body["messages"][-1]["content"]
        return Reply("not JSON") if is_payment else Reply()

    keyed_server.always(fail_for_payments)

    process = run_extraction("Where is my order?\nI paid twice!\nThank you.\n")

    lines = sorted(json.loads(line)["line"] for line in process.stdout.splitlines())
    assert process.returncode == 1
    assert lines == [1, 3]
    assert process.stderr.startswith("line 2: ")


def run_extraction(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        create_command("extraction.py"),
        input=text,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )


def test_rag_sends_the_facts_that_match_the_question(keyed_server: Emulator) -> None:
    keyed_server.always(Reply("At 9."))

    output = run("rag.py", "When is the library open on Saturday?")

    [request] = keyed_server.requests
    prompt = request.body["messages"][0]["content"]
    assert output == "At 9.\n"
    assert "The library is open on weekdays" in prompt
    assert "can be borrowed" not in prompt
    assert prompt.endswith("Question: When is the library open on Saturday?")


# --- notebook.ipynb -----------------------------------------------------------------

# Jupyter runs cells inside an event loop, and a cell may use `await`.
RUN_CELLS = """
import ast, asyncio, inspect, json, sys

async def run_cells():
    with open(sys.argv[1], encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            code = compile(source, f"cell {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, globals())
            if inspect.iscoroutine(result):
                await result
            print("--- end of a cell")

asyncio.run(run_cells())
"""


@pytest.mark.parametrize("has_key", [True, False])
def test_notebook_runs_with_and_without_a_key(
    has_key: bool, keyed_server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_key:
        monkeypatch.delenv("CEREBRAS_API_KEY")
        monkeypatch.delenv("CEREBRAS_API_BASE")

    process = subprocess.run(
        [sys.executable, "-c", RUN_CELLS, str(EXAMPLES / "notebook.ipynb")],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )

    *outputs, _ = process.stdout.split("--- end of a cell\n")
    assert (process.returncode, process.stderr) == (0, "")
    assert all(outputs)
    assert outputs[2].startswith("[The]")
    assert "users_affected=3" in outputs[4]
    assert outputs[5] == "get_weather {'city': 'Paris'} Sunny in Paris.\n"
    assert bool(keyed_server.requests) == has_key


def test_notebook_is_saved_without_outputs() -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))

    assert not any(cell.get("outputs") for cell in notebook["cells"])


# --- fastapi_events.py --------------------------------------------------------------


@pytest.fixture
def events_url(server: Emulator) -> Iterator[str]:
    with run_example_server("fastapi_events.py", server) as url:
        yield f"{url}/ask?question=Hello"


def read_events(url: str) -> list[tuple[str, str]]:
    """Return the kind and the data of each server-sent event."""
    response = httpx.get(url, timeout=20)
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [event.splitlines() for event in response.text.split("\n\n") if event]
    return [
        (kind.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for kind, data in lines
    ]


def test_fastapi_server_sends_reasoning_text_and_the_end(
    events_url: str, server: Emulator
) -> None:
    server.always(Reply("It\nis Rayleigh scattering.", reasoning="Let me think about it."))

    *events, end = read_events(events_url)

    texts = {kind: "" for kind, _ in events}
    for kind, text in events:
        texts[kind] += text
    assert texts == {
        "reasoning": "Let me think about it.",
        "text": "It\nis Rayleigh scattering.",
    }
    assert list(texts) == ["reasoning", "text"]
    assert len(events) >= 4
    assert end == ("done", "")


@pytest.mark.parametrize("failure", [Cut(after=5), Refuse(400)])
def test_fastapi_server_sends_an_error_as_the_last_event(
    events_url: str, server: Emulator, failure: Act
) -> None:
    server.always(failure)

    *_, (kind, message) = read_events(events_url)

    assert kind == "error"
    assert message


def test_fastapi_server_stops_the_completion_if_the_client_disconnects(
    events_url: str, server: Emulator
) -> None:
    server.always(Stall(after=5))

    with httpx.stream("GET", events_url, timeout=20) as response:
        next(response.iter_text())
    [request] = server.requests

    assert request.disconnected.wait(5)


def test_fastapi_server_cancels_its_streams_when_it_shuts_down(server: Emulator) -> None:
    server.always(Stall(after=5))
    options = ("--timeout-graceful-shutdown", "1")

    with ExitStack() as stack:
        with run_example_server("fastapi_events.py", server, *options) as url:
            stream = httpx.stream("GET", f"{url}/ask?question=Hello", timeout=20)
            next(stack.enter_context(stream).iter_text())

        assert server.requests[0].disconnected.wait(5)  # while the client is still connected


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
