"""The command `batch`: batches over files, which can be killed and continued."""

import io
import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference.cli import main
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply
from tests.integration.helpers import get_chat_requests, wait_until
from tests.integration.programs import run_in_terminal

COMMAND = [sys.executable, "-m", "langchain_cerebras_inference"]
ESCAPE = "\033["


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keyed_server(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator whose URL and API key are in the environment."""
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    return server


def write_input(*rows: Any) -> None:
    """Write the input file; bytes are lines, anything else is JSON."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    Path("in.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def write_prompts(count: int) -> None:
    write_input(*({"id": f"id {number}", "prompt": f"<{number}>"} for number in range(count)))


def read_output() -> list[dict[str, Any]]:
    text = Path("out.jsonl").read_text("utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def assert_every_row_is_completed_once(count: int) -> None:
    rows = [row for row in read_output() if "error" not in row]
    assert Counter(row["id"] for row in rows) == Counter(f"id {n}" for n in range(count))
    for row in rows:
        assert f"<{row['id'].split()[1]}>" in row["text"]


def run_batch(*options: str) -> int:
    return main(["batch", "in.jsonl", "out.jsonl", *options])


@contextmanager
def start_batch(*options: str, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "batch", "in.jsonl", "out.jsonl", *options],
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


# --- rows -------------------------------------------------------------------------------


def test_every_row_has_one_result(
    keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    write_prompts(50)

    assert run_batch() == 0

    assert_every_row_is_completed_once(50)
    output = capfd.readouterr()
    assert output.out == ""
    assert re.fullmatch(
        r"50 rows\nRows completed: 50, failed: 0; prompt tokens: [\d,]+,"
        r" completion tokens: [\d,]+, cost: \$\d\.\d{4} \(prices of October 2026\)\n",
        output.err,
    )


def test_options_are_sent_with_each_row(keyed_server: Emulator) -> None:
    properties = {"a": {"type": "integer"}}
    schema = {"title": "T", "type": "object", "properties": properties, "required": ["a"]}
    Path("schema.json").write_text(json.dumps(schema))
    write_input("Hello!", {"id": 9, "messages": [{"role": "user", "content": "Bye!"}]})
    options = "--model qwen-3.8-27b --system Brief. --max-tokens 99 --temperature 0.5".split()

    status = run_batch(*options, "--reasoning-effort", "none", "--schema", "schema.json")

    assert status == 0
    bodies = [request.body for request in get_chat_requests(keyed_server)]
    system = {"role": "system", "content": "Brief."}
    prompts = ["Hello!", "Bye!"]
    assert [body["messages"] for body in sorted(bodies, key=lambda b: -len(str(b)))] == [
        [system, {"role": "user", "content": prompt}] for prompt in prompts
    ]
    for body in bodies:
        assert body["model"] == "qwen-3.8-27b"
        assert body["max_completion_tokens"] == 99
        assert body["temperature"] == 0.5
        assert body["reasoning_effort"] == "none"
        assert body["response_format"]["type"] == "json_schema"
    results = {row["id"]: row for row in read_output()}
    assert results.keys() == {1, 9}
    assert all(isinstance(row["parsed"]["a"], int) for row in results.values())
    assert all(row["finish_reason"] == "stop" for row in results.values())


def test_failed_row_does_not_stop_the_others(
    keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    too_long = {"id": "too long", "prompt": "word " * 200_000}
    write_input("first", too_long, b"{bad", {"id": "b"}, b"", {"id": 1, "prompt": "x"}, "last")

    assert run_batch("--max-tokens", "100") == 1

    rows = read_output()
    errors = {(row["id"], row.get("line")): row["error"] for row in rows if "error" in row}
    assert {row["id"] for row in rows if "text" in row} == {1, 7}
    assert errors.keys() == {("too long", None), (None, 3), ("b", 4)}
    assert errors[None, 3].startswith("The line is not valid JSON")
    assert [row["error_type"] for row in rows if row["id"] == "too long"] == [
        "CerebrasContextOverflowError"
    ]
    lines = capfd.readouterr().err
    assert "Row 'too long': " in lines
    assert "Line 4: The row needs" in lines
    assert "Line 6: another row has the id 1; skipped\n" in lines
    assert "completed: 2, failed: 4;" in lines
    assert lines.endswith("Correct the invalid rows, and run the command again.\n")


def test_failed_rows_are_tried_again_by_the_next_run(
    keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    write_prompts(3)
    keyed_server.script(Reply(content="<0>"), Refuse(400), Reply(content="<2>"))

    assert run_batch("--concurrency", "1") == 1
    assert run_batch() == 0
    assert run_batch() == 0

    assert len(get_chat_requests(keyed_server)) == 4
    assert [("error" in row, row["id"]) for row in read_output()] == [
        (False, "id 0"),
        (True, "id 1"),
        (False, "id 2"),
        (False, "id 1"),
    ]
    assert_every_row_is_completed_once(3)
    first, _, last = re.split(r"(?m)^3 rows.*\n", capfd.readouterr().err)[1:]
    assert first.endswith("To send the failed rows again, run the same command again.\n")
    assert last.startswith("Rows completed: 3 (3 earlier), failed: 0;")


def test_only_five_errors_are_printed(
    keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    write_input(*[b"{bad"] * 20)

    assert run_batch() == 1

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 + 5 + 1 + 2
    assert lines[6].startswith("Further errors are not shown here.")
    assert len(read_output()) == 20


def test_empty_input_is_completed(keyed_server: Emulator) -> None:
    write_input()

    assert run_batch() == 0
    assert read_output() == []


# --- continued with another input or other options ----------------------------------------


def test_rows_that_moved_are_sent_again(
    keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    write_input("<1>", "<2>")
    assert run_batch() == 0
    write_input("<0>", "<1>", "<2>")

    assert run_batch() == 0

    last = {row["id"]: row["text"] for row in read_output()}
    assert all(f"<{id_ - 1}>" in text for id_, text in last.items())
    assert len(get_chat_requests(keyed_server)) == len(read_output()) == 2 + 3
    lines = capfd.readouterr().err.splitlines()[2:]
    assert lines[0] == "3 rows, earlier results: 2"
    assert lines[1].startswith("Row 1 has a result of another prompt or of other options.")
    assert lines[2].startswith("Rows completed: 3, failed: 0, changed: 2;")


def test_last_result_of_an_id_counts(keyed_server: Emulator) -> None:
    for prompt in ("<old>", "<new>", "<old>"):
        write_input({"id": "a", "prompt": prompt}, {"id": "b", "prompt": "<same>"})
        assert run_batch() == 0

    assert [row["id"] for row in read_output()].count("b") == 1
    assert "<old>" in read_output()[-1]["text"]
    assert len(read_output()) == 4


SCHEMA = {"title": "T", "type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    "options",
    [
        ["--schema", "schema.json"],
        ["--model", "qwen-3.8-27b"],
        ["--system", "Be brief."],
        ["--emulator"],
    ],
    ids=lambda options: options[0],
)
def test_option_that_changes_the_results_sends_all_rows_again(
    options: list[str], keyed_server: Emulator
) -> None:
    Path("schema.json").write_text(json.dumps(SCHEMA))
    write_prompts(3)
    assert run_batch() == 0

    assert run_batch(*options) == 0
    assert run_batch(*options) == 0

    assert len(read_output()) == 6
    assert all(("parsed" in row) == (options[0] == "--schema") for row in read_output()[3:])


def test_other_options_do_not_send_completed_rows_again(keyed_server: Emulator) -> None:
    write_prompts(3)
    assert run_batch() == 0

    options = "--max-tokens 5 --temperature 1 --effort low --concurrency 2".split()
    assert run_batch(*options) == 0

    assert len(read_output()) == 3


def test_output_without_digests_is_continued(keyed_server: Emulator) -> None:
    write_prompts(3)
    assert run_batch() == 0
    rows = [{**row} for row in read_output()]
    for row in rows:
        assert re.fullmatch("[0-9a-f]{8}", row.pop("digest"))
    Path("out.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows[:2]))

    assert run_batch() == 0

    assert_every_row_is_completed_once(3)
    assert len(get_chat_requests(keyed_server)) == 3 + 1


# --- errors that stop a batch -------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal", [Refuse(401), Refuse(402), Refuse(403), Refuse(404)], ids=lambda r: str(r.status)
)
def test_error_that_all_rows_would_have_stops_the_batch(
    refusal: Refuse, keyed_server: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    write_prompts(100)
    keyed_server.script(Reply(content="<0>"), *[refusal] * 99)

    assert run_batch("--concurrency", "1") == 1

    assert [row["id"] for row in read_output()] == ["id 0"]
    assert len(get_chat_requests(keyed_server)) == 2
    _, stopped, _, advice = capfd.readouterr().err.splitlines()
    assert stopped.startswith("Stopped: ")
    assert str(refusal.status) in stopped
    assert advice == "Correct the cause, and run the command again."


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (Refuse(400, code="wrong_api_format"), "status 400 wrong_api_format"),
        (Refuse(500, headers={"Retry-After": "0.01"}), "status 500"),
        (Reply(content="not JSON"), "not JSON"),
    ],
    ids=["400", "500", "parsing"],
)
def test_batch_stops_if_its_first_32_calls_have_the_same_error(
    refusal: Refuse | Reply,
    message: str,
    keyed_server: Emulator,
    capfd: pytest.CaptureFixture[str],
) -> None:
    Path("schema.json").write_text(json.dumps(SCHEMA))
    write_prompts(100)
    keyed_server.always(refusal)

    assert run_batch("--concurrency", "4", "--schema", "schema.json") == 1

    assert [row for row in read_output() if "error" not in row] == []
    assert len(read_output()) == 32
    stopped = capfd.readouterr().err.splitlines()[-3]
    assert stopped.startswith("Stopped: The first 32 calls had the same kind of error: ")
    assert message in stopped


@pytest.mark.parametrize(
    "first", [Reply(content="<0>"), Refuse(422)], ids=["completed", "another error"]
)
def test_batch_with_different_first_results_does_not_stop(
    first: Any, keyed_server: Emulator
) -> None:
    write_prompts(50)
    keyed_server.script(first, *[Refuse(400)] * 49)

    assert run_batch("--concurrency", "1") == 1
    assert len(read_output()) == 50


def test_rows_that_are_too_long_do_not_count_as_equal_errors(keyed_server: Emulator) -> None:
    write_prompts(50)
    too_long = Refuse(400, code="context_length_exceeded")
    keyed_server.script(*[too_long] * 40, Refuse(422), *[Reply(content="Hello.")] * 9)

    assert run_batch("--concurrency", "1") == 1
    assert len([row for row in read_output() if "text" in row]) == 9


def test_image_that_the_model_does_not_accept_does_not_stop_the_others(
    keyed_server: Emulator,
) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "image_url", "image_url": {"url": url}}]
    image = {"id": "image", "messages": [{"role": "user", "content": content}]}
    write_input(image, "first", "second")

    assert run_batch("--concurrency", "1") == 1

    assert {row["id"]: "error" in row for row in read_output()} == {
        "image": True,
        2: False,
        3: False,
    }


def test_rows_that_are_too_long_do_not_stop_the_batch(keyed_server: Emulator) -> None:
    write_prompts(50)
    keyed_server.always(Refuse(400, code="context_length_exceeded"))

    assert run_batch() == 1
    assert {row["error_type"] for row in read_output()} == {"CerebrasContextOverflowError"}
    assert len(read_output()) == 50


def test_batch_without_a_credential_stops_with_advice(
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_prompts(100)

    assert run_batch() == 1

    assert read_output() == []
    message = "Stopped: No credential for Cerebras. Set CEREBRAS_API_KEY (get a key"
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl", "out.jsonl"], "No such file or directory: 'missing.jsonl'"),
        (["in.jsonl", "in.jsonl"], "the input and the output are the same file"),
        (["in.jsonl", "notes.txt"], "Line 1 of notes.txt is not a result of a batch"),
        (["in.jsonl", "missing/out.jsonl"], "Cannot open missing/out.jsonl"),
        (["in.jsonl", "out.jsonl", "--schema", "notes.txt"], "notes.txt is not valid JSON"),
        (["in.jsonl", "out.jsonl", "--schema", "missing"], "No such file or directory"),
        (["in.jsonl", "out.jsonl", "--schema", "list.json"], "list.json is not a JSON schema"),
        (["in.jsonl", "out.jsonl", "--schema", "string.json"], "does not describe an object"),
        (["in.jsonl", "out.jsonl", "--quota-store", "ftp://x"], "error: quota_store must be"),
        (["in.jsonl", "out.jsonl", "--concurrency", "x"], "'x' is not an integer of at least"),
        (["in.jsonl", "out.jsonl", "--concurrency", "0"], "'0' is not an integer of at least"),
        (["in.jsonl", "out.jsonl", "--max-tokens", "-5"], "'-5' is not an integer of at least"),
        (["in.jsonl", "out.jsonl", "--temperature", "9"], "'9' is not a number from 0 to 2"),
        (["in.jsonl", "out.jsonl", "--temperature", "nan"], "'nan' is not a number from 0"),
        (["in.jsonl", "out.jsonl", "--effort", "extreme"], "invalid choice: 'extreme'"),
        (["in.jsonl"], "the following arguments are required: output"),
    ],
)
def test_wrong_usage_is_an_error_with_status_2(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write_prompts(1)
    Path("notes.txt").write_text("my notes")
    Path("list.json").write_text("[1]")
    Path("string.json").write_text('{"title": "S", "type": "string"}')

    with pytest.raises(SystemExit) as caught:
        main(["batch", *arguments])

    assert caught.value.code == 2
    usage, error = capfd.readouterr().err.splitlines()
    assert usage.endswith("batch [OPTION …] INPUT OUTPUT")
    assert message in error
    assert not Path("out.jsonl").exists()
    assert Path("notes.txt").read_text() == "my notes"


# --- killed and continued ---------------------------------------------------------------


def run_and_kill(kills: int, max_seconds: float) -> None:
    """Start a batch several times; kill it at a random moment after its first result."""
    choose = random.Random(kills)  # noqa: S311 # the same in each run
    output = Path("out.jsonl")
    for number in range(kills):
        size = output.stat().st_size if output.exists() else 0
        with start_batch() as process:

            def is_running(process: subprocess.Popen[str] = process, size: int = size) -> bool:
                has_grown = output.exists() and output.stat().st_size > size
                return has_grown or process.poll() is not None

            wait_until(is_running, timeout=60)
            time.sleep(choose.random() * max_seconds)
            assert process.poll() is None, f"the batch ended before kill {number + 1}"
            process.kill()


def test_killed_batch_continues_and_completes_each_row_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_prompts(300)
    with Emulator(requests_per_minute=9_000, burst=10, latency=(0.05, 0.2)) as server:
        monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
        monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)

        run_and_kill(4, max_seconds=0.3)
        with Path("out.jsonl").open("ab") as file:
            file.write(b'{"id": "id 29')  # as if the kill had been within a write
        assert run_batch() == 0

        assert_every_row_is_completed_once(300)
        assert server.accepted < 300 + 4 * 60


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_batch_ends_with_advice_and_continues(
    kind: signal.Signals, keyed_server: Emulator
) -> None:
    write_prompts(40)
    keyed_server.script(*[Reply(content="<0><1><2><3>")] * 4, *[Reply(delay=60)] * 36)

    with start_batch("--concurrency", "4") as process:
        wait_until(lambda: len(get_chat_requests(keyed_server)) == 8, timeout=30)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=30)

    rows, reason, summary, advice = errors.splitlines()
    assert process.returncode == 130
    assert (rows, reason) == ("40 rows", "Interrupted.")
    assert advice == "To continue, run the same command again."
    assert summary.startswith("Rows completed: 4, failed: 0;")
    keyed_server.reset()
    assert run_batch() == 0
    assert_every_row_is_completed_once(40)


def test_full_disk_stops_the_batch_and_it_continues_with_more_space(
    keyed_server: Emulator,
) -> None:
    write_prompts(60)

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    with start_batch(preexec_fn=limit_file_size) as process:
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert errors.startswith("60 rows\nStopped: Cannot write to out.jsonl: File too large.\n")
    completed = len(read_output())  # no line is incomplete
    assert 0 < completed < 60
    assert f"Rows completed: {completed}, failed: 0;" in errors
    assert run_batch() == 0
    assert_every_row_is_completed_once(60)


# --- standard input and output, terminals -----------------------------------------------


def test_standard_input_and_output(
    keyed_server: Emulator,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'"Hello!"\n{bad\n')))

    assert main(["batch", "-", "-"]) == 1

    output = capfd.readouterr()
    rows = [json.loads(line) for line in output.out.splitlines()]
    assert {row["id"] for row in rows} == {1, None}
    rows_, error, summary = output.err.splitlines()  # and no advice
    assert rows_ == "Rows from standard input"
    assert 'Write a prompt as "…" or as {"prompt": "…"}.' in error
    assert summary.startswith("Rows completed: 1, failed: 1;")


def test_closed_pipe_stops_the_batch_without_a_traceback(keyed_server: Emulator) -> None:
    write_prompts(50)
    command = [*COMMAND, "batch", "in.jsonl", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        errors = process.stderr.read()

    assert process.returncode == 1
    assert "\nStopped: Cannot write to standard output: Broken pipe.\n" in errors
    assert "Traceback" not in errors


def test_emulator_option_needs_no_credential() -> None:
    write_prompts(10)

    assert run_batch("--emulator") == 0

    assert_every_row_is_completed_once(10)


def test_terminal_shows_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    write_prompts(400)

    output = run_in_terminal(
        [*COMMAND, "batch", "in.jsonl", "out.jsonl", "--emulator"], "stderr"
    )

    last = output.split("\r")[-4:]
    assert "400/400" in "".join(last)
    assert re.search(
        r"0 failed · [\d,]+ tokens/s in and out · \d+% of the quota used.* · \$0\.\d+", output
    )
    assert "Rows completed: 400, failed: 0;" in output


def test_terminal_without_rich_shows_plain_lines() -> None:
    write_prompts(20)
    program = (
        "import sys; sys.modules['rich'] = None\n"
        "from langchain_cerebras_inference.cli import main\n"
        "sys.exit(main(['batch', 'in.jsonl', 'out.jsonl', '--emulator']))"
    )

    output = run_in_terminal([sys.executable, "-c", program], "stderr")

    assert ESCAPE not in output
    assert output.startswith("20 rows\r\nRows completed: 20, failed: 0;")


def test_progress_lines_come_at_the_start_then_after_5_seconds_then_each_minute(
    keyed_server: Emulator,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_time = time.monotonic
    start = real_time()
    # A minute passes in a second, so that there are some lines and not one for each row.
    monkeypatch.setattr(time, "monotonic", lambda: start + (real_time() - start) * 60)
    keyed_server.script(*[Reply(content=f"<{number}>", delay=0.1) for number in range(30)])
    write_prompts(30)

    assert run_batch("--concurrency", "1") == 0

    first, *lines, _ = capfd.readouterr().err.splitlines()
    assert first == "30 rows"
    assert 3 <= len(lines) <= 6
    assert re.match(r"[01] of 30", lines[0])  # a row takes at least 6 seconds
    for line in lines[1:]:
        assert re.fullmatch(
            r"\d+ of 30 rows · 0 failed · [\d,]+ tokens/s in and out · \d+% of the quota used"
            r" · \$\d\.\d{4} · \d:\d\d:\d\d left",
            line,
        )


# --- a large batch ----------------------------------------------------------------------


@pytest.fixture
def separate_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Counter[str]]]:
    """An emulator with a quota in another process; a function that counts its responses."""
    log = Path("emulator.log")
    options = "--requests-per-minute 6000 --burst 200 --latency 0.05 0.5 --api-key csk-1"
    with log.open("w") as file:
        command = [*COMMAND, "emulator", *options.split()]
        with subprocess.Popen(command, stdout=file) as process:
            wait_until(lambda: "CEREBRAS_API_KEY" in log.read_text(), timeout=30)
            url = re.search(r"CEREBRAS_API_BASE=(\S+)", log.read_text())
            assert url
            monkeypatch.setenv("CEREBRAS_API_BASE", url[1])
            monkeypatch.setenv("CEREBRAS_API_KEY", "csk-1")
            yield lambda: Counter(
                re.findall(r"/chat/completions .*status=(\d+)", log.read_text())
            )
            process.terminate()


def read_memory_mebibytes(process: subprocess.Popen[str]) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.load
@pytest.mark.timeout(1800)
def test_twenty_thousand_rows_with_ten_kills(
    separate_server: Callable[[], Counter[str]],
) -> None:
    count = 20_000
    write_prompts(count)
    start = time.monotonic()

    run_and_kill(10, max_seconds=10)
    killed = len(Path("out.jsonl").read_bytes().splitlines())
    memory: list[tuple[int, float]] = []
    with start_batch() as process:
        while process.poll() is None:
            rows = Path("out.jsonl").read_bytes().count(b"\n")
            memory.append((rows, read_memory_mebibytes(process)))
            time.sleep(1)
        assert process.stderr
        errors = process.stderr.read()

    responses = separate_server()
    early = [mebibytes for rows, mebibytes in memory if rows < 12_000]
    late = [mebibytes for rows, mebibytes in memory if rows > 18_000]
    sys.stdout.write(
        f"\nBatch of {count} rows, 10 kills after {killed} rows: responses {dict(responses)},"
        f" {time.monotonic() - start:.0f} s, memory {max(early):.1f} MiB up to 12,000 rows"
        f" and {max(late):.1f} MiB from 18,000\n{errors}"
    )
    assert process.returncode == 0
    assert_every_row_is_completed_once(count)
    assert responses["429"] <= 0.02 * count
    assert max(late) - max(early) < 0.08 * max(early)
