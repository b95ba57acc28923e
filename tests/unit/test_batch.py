"""Batches without a server: their inputs, and the files of the command `batch`."""

import asyncio
import json
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_cerebras_inference import CerebrasAuthenticationError, ChatCerebrasInference
from langchain_cerebras_inference._batch_files import (
    UNKNOWN_DIGEST,
    OutputError,
    OutputFile,
    RowError,
    compute_digest,
    create_output_row,
    parse_row,
)
from langchain_cerebras_inference.batch import (
    BatchProgress,
    BatchResult,
    arun_batch,
    estimate_cost,
    run_batch,
)

BatchFunction = Callable[..., list[BatchResult]]


def run_sync(inputs: Any, **options: Any) -> list[BatchResult]:
    return list(run_batch(ChatCerebrasInference(), inputs, **options))


def run_async(inputs: Any, **options: Any) -> list[BatchResult]:
    async def run() -> list[BatchResult]:
        model = ChatCerebrasInference()
        return [result async for result in arun_batch(model, inputs, **options)]

    return asyncio.run(run())


both_styles = pytest.mark.parametrize("run", [run_sync, run_async])


# --- inputs: without a credential, every call fails before it uses the network ----------


@both_styles
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("a prompt", CerebrasAuthenticationError),
        ([("human", "a message")], CerebrasAuthenticationError),
        ((("human", "a message"),), CerebrasAuthenticationError),
        (StringPromptValue(text="a prompt value"), CerebrasAuthenticationError),
        ({"prompt": "a prompt"}, CerebrasAuthenticationError),
        ({"messages": [{"role": "user", "content": "a"}]}, CerebrasAuthenticationError),
        ({"prompt": "both", "messages": ["both"]}, ValueError),
        ({"prompt": None}, ValueError),
        ({}, ValueError),
        (None, TypeError),
        (7, TypeError),
        (b"bytes", TypeError),
        ([{"role": "nobody"}], Exception),
    ],
)
def test_failed_input_is_a_result_with_its_error(
    value: Any, error: type[Exception], run: BatchFunction
) -> None:
    [result] = run([value])

    assert isinstance(result.error, error)
    assert result.input is value
    assert result.message is result.parsed is result.usage is None
    assert result.text == ""


@both_styles
def test_result_has_the_id_of_its_input_or_its_index(run: BatchFunction) -> None:
    inputs = ["a", {"id": "b", "prompt": "b"}, {"id": None, "prompt": "c"}, {"id": 0}, ["d"]]

    results = run(inputs)

    assert Counter(result.id for result in results) == Counter([0, "b", 2, 0, 4])


@both_styles
@pytest.mark.parametrize("inputs", ["prompt", {"id": 1, "prompt": "prompt"}])
def test_single_input_is_rejected(inputs: Any, run: BatchFunction) -> None:
    with pytest.raises(TypeError, match="Pass a list"):
        run(inputs)


@both_styles
@pytest.mark.parametrize("concurrency", [0, -1])
def test_concurrency_below_one_is_rejected(concurrency: int, run: BatchFunction) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        run(["a"], concurrency=concurrency)


@both_styles
def test_error_of_the_inputs_is_raised_after_the_results_before_it(run: BatchFunction) -> None:
    progress: list[int] = []

    def generate() -> Iterator[str]:
        yield from ("a", "b")
        raise LookupError("row 3")

    with pytest.raises(LookupError, match="row 3"):
        run(generate(), on_progress=lambda state: progress.append(state.failed))

    assert progress == [1, 2]


@both_styles
def test_empty_batch_has_no_results(run: BatchFunction) -> None:
    assert run([]) == []


@pytest.mark.parametrize(("concurrency", "limit"), [(None, 32), (1, 1), (5, 5), (100, 100)])
def test_inputs_are_read_only_when_their_calls_can_start(
    concurrency: int | None, limit: int
) -> None:
    read = 0

    def generate() -> Iterator[str]:
        nonlocal read
        for number in range(300):
            read += 1
            yield f"prompt {number}"

    ahead = []
    results = run_batch(ChatCerebrasInference(), generate(), concurrency=concurrency)
    for count, _ in enumerate(results):
        ahead.append(read - count)

    assert len(ahead) == 300
    assert max(ahead) <= limit


def test_memory_does_not_grow_with_the_number_of_inputs() -> None:
    peaks = []
    for count in (300, 6_000):
        inputs = ({"id": number, "text": "x" * 1_000} for number in range(count))
        tracemalloc.start()
        assert sum(1 for _ in run_batch(ChatCerebrasInference(), inputs)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 200_000  # the inputs together are 6 MB


# --- progress and cost ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "cost"),
    [("gpt-oss-120b", 2 * 0.35 + 3 * 0.75), ("qwen-3.8-27b", 2 * 0.99 + 4.47)],
)
def test_cost_is_computed_from_the_prices_of_the_catalog(model: str, cost: float) -> None:
    usage = {"input_tokens": 2_000_000, "output_tokens": 3_000_000, "total_tokens": 5_000_000}
    progress = BatchProgress(model, input_tokens=2_000_000, output_tokens=3_000_000)

    assert estimate_cost(model, usage) == pytest.approx(cost)
    assert progress.cost == pytest.approx(cost)


def test_cost_of_an_unknown_model_is_none() -> None:
    assert estimate_cost("a-new-model", {"input_tokens": 1, "output_tokens": 1}) is None
    assert BatchProgress("a-new-model").cost is None


# --- rows of the input file -------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "id_", "messages"),
    [
        ('"Hello!"', 7, [("human", "Hello!")]),
        ('{"id": "a", "prompt": "Hello!"}', "a", [("human", "Hello!")]),
        ('{"id": 0, "prompt": ""}', 0, [("human", "")]),
        ('{"prompt": "Hello!", "other": 1}', 7, [("human", "Hello!")]),
        ('{"id": null, "prompt": "Hello!", "messages": null}', 7, [("human", "Hello!")]),
        ('{"id": "ü", "messages": [["ai", "Hi"]]}\r\n', "ü", [["ai", "Hi"]]),
        ('\ufeff"with a byte order mark"', 7, [("human", "with a byte order mark")]),
    ],
)
def test_row_is_parsed(line: str, id_: Any, messages: Any) -> None:
    data = line.encode()

    digest = compute_digest(messages, None)
    assert parse_row(data, 7) == {"id": id_, "messages": messages, "digest": digest}
    with_system = [("system", "Be brief."), *messages]
    assert parse_row(data, 7, "Be brief.", 1) == {
        "id": id_,
        "messages": with_system,
        "digest": compute_digest(with_system, 1),
    }


def test_digest_depends_on_the_messages_and_the_options_only() -> None:
    row = {"id": "a", "prompt": "Hello!"}
    same = [{**row, "id": "b"}, {**row, "other": 1}, {"messages": [["human", "Hello!"]]}]
    others = [{**row, "prompt": "Hello"}, {"messages": [["ai", "Hello!"]]}]

    def get_digest(row: Any, *arguments: Any) -> int:
        digest: int = parse_row(json.dumps(row).encode(), 7, *arguments)["digest"]
        return digest

    assert {get_digest(other) for other in same} == {get_digest(row)}
    digests = [*map(get_digest, [row, *others]), get_digest(row, ""), get_digest(row, None, 1)]
    assert len(set(digests)) == 5


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        (b"{bad", None),
        (b'"\xff"', None),
        (b"[" * 100_000, None),
        (b"1" * 5_000, None),
        (b"7", None),
        (b"null", None),
        (b'["a list"]', None),
        (b'{"id": true, "prompt": "a"}', None),
        (b'{"id": 1.5, "prompt": "a"}', None),
        (b'{"id": [1], "prompt": "a"}', None),
        (b'{"id": "a"}', "a"),
        (b'{"id": "a", "prompt": 7}', "a"),
        (b'{"id": "a", "messages": []}', "a"),
        (b'{"id": "a", "messages": "text"}', "a"),
        (b'{"id": "a", "prompt": "a", "messages": [["human", "a"]]}', "a"),
        (b'{"prompt": null}', 7),
    ],
)
def test_invalid_row_is_an_error_with_its_id(line: bytes, id_: Any) -> None:
    with pytest.raises(RowError) as caught:
        parse_row(line, 7)

    assert caught.value.id == id_
    assert "\n" not in str(caught.value)


# --- the output file --------------------------------------------------------------------

MESSAGE = AIMessage(
    "Hi!",
    response_metadata={"finish_reason": "stop"},
    usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
)
INPUT = {"digest": 255}
DETAILS = {"finish_reason": "stop", "usage": MESSAGE.usage_metadata}


@pytest.mark.parametrize(
    ("result", "has_schema", "row"),
    [
        (
            BatchResult("a", INPUT, MESSAGE),
            False,
            {"text": "Hi!", **DETAILS, "digest": "000000ff"},
        ),
        (
            BatchResult("a", INPUT, MESSAGE, {"b": 1}),
            True,
            {"parsed": {"b": 1}, **DETAILS, "digest": "000000ff"},
        ),
        (
            BatchResult("a", INPUT, MESSAGE, None, ValueError("no object")),
            True,
            {"error": "no object", "error_type": "ValueError", "text": "Hi!", **DETAILS},
        ),
        (
            BatchResult("a", INPUT, error=TimeoutError()),
            False,
            {"error": "TimeoutError", "error_type": "TimeoutError"},
        ),
    ],
)
def test_output_row_has_the_parts_of_its_result(
    result: BatchResult, has_schema: bool, row: dict[str, Any]
) -> None:
    assert create_output_row(result, has_schema=has_schema) == {"id": "a", **row}


def write_rows(path: Path, *rows: dict[str, Any]) -> dict[Any, int]:
    """Append rows to an output file; return the digests of the ids completed before."""
    output = OutputFile(str(path))
    for row in rows:
        output.write(row)
    output.close()
    return output.earlier_digests


def test_completed_ids_and_their_digests_are_read_from_the_output(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "text", "text": "", "digest": "000000ff"},
        {"id": 7, "parsed": {"error": "this is the object"}},
        {"id": "7", "text": "another id than 7"},
        {"id": "failed", "error": "failed"},
        {"id": "both", "error": "failed"},
        {"id": "both", "text": "completed later"},
        {"id": "changed", "text": "", "digest": "00000001"},
        {"id": "changed", "text": "", "digest": "00000002"},
        {"id": "no longer", "text": "", "digest": "00000001"},
        {"id": "no longer", "error": "failed later"},
        {"id": None, "line": 8, "error": "invalid row"},
        {"id": "\ud83d", "text": "half of a surrogate pair, \ud83d"},
        {"id": "é\u2028", "text": "a line separator"},
    ]

    without_digest = [7, "7", "both", "\ud83d", "é\u2028"]
    assert write_rows(path, *rows) == {}
    assert write_rows(path) == {
        "text": 255,
        "changed": 2,
        **dict.fromkeys(without_digest, UNKNOWN_DIGEST),
    }
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == rows


@pytest.mark.parametrize("id_", ["second", 22, "né"])
def test_incomplete_last_line_is_removed(id_: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_rows(path, {"id": "first", "text": "a"}, {"id": id_, "text": "b", "usage": None})
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1

    for end in range(start, len(whole) + 1):
        path.write_bytes(whole[:end])
        is_complete = end >= len(whole) - 1  # only the line break may be missing

        completed = write_rows(path, {"id": "third", "text": "c"})

        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        expected = {"first", id_} if is_complete else {"first"}
        assert completed.keys() == expected
        assert {line["id"] for line in lines} == expected | {"third"}


@pytest.mark.parametrize(
    "content",
    [
        b'{"id": 1, "prompt": "Hello!"}\n',
        b'"Hello!"\n',
        b'{"id": 1, "text": "a"}\n\n{"id": 2, "text": "b"}\n',
        b'{"text": "without an id"}\n',
        b'{"id": 1, "text": "a", "digest": "another digest"}\n',
        b'{"id": 1, "text": "a", "digest": null}\n',
        b"id,text\n",
        b"text without a line break",
        b'{"another": "object, incom',
        b"\0" * 100,
    ],
)
def test_file_with_something_else_is_rejected_and_unchanged(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)

    with pytest.raises(OutputError, match=r"Line \d of .* is not a result of a batch"):
        OutputFile(str(path))

    assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_output_of_another_process_is_rejected(tmp_path: Path) -> None:
    first = OutputFile(str(tmp_path / "out.jsonl"))

    with pytest.raises(OutputError, match="Another process writes to"):
        OutputFile(str(tmp_path / "out.jsonl"))

    first.close()
    OutputFile(str(tmp_path / "out.jsonl")).close()


@pytest.mark.parametrize("path", ["missing/out.jsonl", "."])
def test_output_that_cannot_be_opened_is_an_error(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OutputError, match=f"Cannot open {path}: "):
        OutputFile(path)
