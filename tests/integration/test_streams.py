import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    CerebrasInvalidRequestError,
    CerebrasProtocolError,
    CerebrasRateLimitError,
    CerebrasServerError,
    CerebrasTimeoutError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import (
    Act,
    Cut,
    Emulator,
    ErrorEvent,
    Garble,
    Refuse,
    Reply,
    Stall,
    ToolCall,
)
from tests.integration import raw
from tests.integration.styles import STREAMED, Model, collected, summed

WORDS = Reply(content="one two three four five six seven eight nine ten eleven twelve")
"""After the role, six tokens in each event."""

LONG = " ".join(f"word{number}" for number in range(60))
"""Twenty events of it."""

BEGINNING = "one two three four five six"
"""What two events say: that of the role and the next."""

SHAPES = ["enveloped", "flat", "event-enveloped", "event-flat"]

Result: TypeAlias = tuple[str, CerebrasError | None]


@pytest.fixture
def impatient(server: Emulator) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, timeout=0.3, max_retries=0
    )


def streamed(model: Model) -> Result:
    """The text that came, and the error that came after it."""
    text = ""
    try:
        for chunk in model.stream("Hello!"):
            text += chunk.text
    except CerebrasError as error:
        return text, error
    return text, None


def astreamed(model: Model) -> Result:
    async def result() -> Result:
        text = ""
        try:
            async for chunk in model.astream("Hello!"):
                text += chunk.text
        except CerebrasError as error:
            return text, error
        return text, None

    return asyncio.run(result())


ways = pytest.mark.parametrize("way", [streamed, astreamed])
Way: TypeAlias = Callable[[Model], Result]


# --- whole or an error --------------------------------------------------------------


@ways
@pytest.mark.parametrize("how", ["close", "half", "drop", "reset"])
def test_a_cut_stream_is_an_error_after_what_came(
    how: Any, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, how=how, reply=WORDS))

    text, error = way(impatient)

    assert text == BEGINNING
    assert type(error) is CerebrasConnectionError
    assert error.is_retryable


@ways
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("how", ["close", "half", "drop", "reset"])
def test_a_stream_cut_before_its_first_word_is_an_error(
    how: Any, after: int, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=after, how=how, reply=WORDS))

    text, error = way(impatient)

    assert text == ""
    assert type(error) is CerebrasConnectionError


@pytest.mark.parametrize("style", STREAMED)
def test_a_cut_stream_is_an_error_however_it_was_asked_for(
    style: str, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=WORDS))

    with pytest.raises(CerebrasConnectionError):
        STREAMED[style](impatient, "Hello!")


class Listener(BaseCallbackHandler):
    """Keeps what it hears of words, and what came with the error."""

    def __init__(self) -> None:
        self.heard = ""
        self.left = ""

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.heard += token

    def on_llm_error(self, *_: Any, **more: Any) -> None:
        self.left = more["response"].generations[0][0].text


@ways
def test_the_callback_for_an_error_is_given_what_came(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=WORDS))
    listener = Listener()

    way(impatient.with_config(callbacks=[listener]))

    assert listener.left == BEGINNING


@pytest.mark.parametrize("style", STREAMED)
def test_callbacks_have_heard_what_came_however_it_was_asked_for(
    style: str, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=2, reply=WORDS))
    listener = Listener()

    with pytest.raises(CerebrasConnectionError):
        STREAMED[style](impatient.with_config(callbacks=[listener]), "Hello!")

    assert listener.heard == BEGINNING


@ways
def test_a_stream_cut_at_any_event_but_the_last_is_an_error(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    whole, _ = way(impatient)

    for after in range(50):
        server.script(Cut(after=after))
        text, error = way(impatient)
        if error is None:
            break
        assert whole.startswith(text)

    assert text == whole
    assert after > 5


@ways
@pytest.mark.parametrize("how", ["close", "half", "drop", "reset"])
def test_a_finish_without_done_is_success(
    how: Any, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Cut(after=-1, how=how, reply=WORDS))

    text, error = way(impatient)

    assert error is None
    assert text == WORDS.content


@ways
def test_silence_after_the_finish_is_success_a_second_later(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Stall(after=-1, reply=WORDS))
    started = time.monotonic()

    text, error = way(impatient)

    assert error is None
    assert text == WORDS.content
    assert time.monotonic() - started < 3


@ways
def test_what_goes_on_after_the_finish_is_read_for_a_second(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    finish = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    usage: dict[str, Any] = {"choices": [], "usage": {}}
    server.script(Reply(events=[{"choices": [finish]}, *[usage] * 100], pace=0.1))
    started = time.monotonic()

    text, error = way(impatient)

    assert error is None
    assert text == "Hello."
    assert time.monotonic() - started < 5


@ways
def test_an_empty_finish_reason_is_no_finish(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    word = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": ""}
    server.script(Reply(events=[{"choices": [word]}]))

    text, error = way(impatient)

    assert text == "Hello."
    assert type(error) is CerebrasConnectionError


@ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_error_inside_a_stream_is_raised_after_what_came(
    after: int, shape: Any, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(ErrorEvent(after=after, status=429, shape=shape, reply=WORDS))

    text, error = way(impatient)

    assert text == (BEGINNING if after == 2 else "")
    assert type(error) is CerebrasRateLimitError
    assert (error.status, error.code) == (429, "request_quota_exceeded")
    assert "Requests per minute limit exceeded" in str(error)


@ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "tool_use_failed", CerebrasInvalidRequestError),
        (429, "token_quota_exceeded", CerebrasRateLimitError),
        (500, None, CerebrasServerError),
        (503, None, CerebrasServerError),
    ],
)
def test_an_error_inside_a_stream_has_the_class_of_its_status_or_code(
    status: int,
    code: str | None,
    kind: type[CerebrasError],
    shape: Any,
    way: Way,
    impatient: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(ErrorEvent(2, status, code, shape=shape, reply=WORDS))

    text, error = way(impatient)

    assert text == BEGINNING
    assert type(error) is kind


@pytest.mark.parametrize("style", STREAMED)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_inside_a_stream_is_raised_however_it_was_asked_for(
    shape: Any, style: str, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(ErrorEvent(after=2, shape=shape, reply=WORDS))

    with pytest.raises(CerebrasRateLimitError):
        STREAMED[style](impatient, "Hello!")


INSTEAD: Mapping[str, type[CerebrasError]] = {
    "html": CerebrasProtocolError,
    "flat_error": CerebrasServerError,
    "empty": CerebrasConnectionError,
}


@ways
@pytest.mark.parametrize("how", INSTEAD)
def test_what_comes_instead_of_a_stream_is_an_error(
    how: Any, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Garble(how))

    text, error = way(impatient)

    assert text == ""
    assert type(error) is INSTEAD[how]


@ways
@pytest.mark.parametrize("how", ["json", "deep", "null", "list", "types", "utf8", "endless"])
def test_an_event_that_is_none_is_an_error_after_what_came(
    how: Any, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Garble(how, after=2, reply=WORDS))

    text, error = way(impatient)

    assert text == BEGINNING
    assert type(error) is CerebrasProtocolError
    assert len(str(error)) < 1000


BURST = raw.STREAM + b"".join(
    [*[raw.event("word ")] * 100, raw.event(finish_reason="stop"), raw.END]
)


def say_all_at_once(line: raw.Line) -> None:
    while line.asked():
        line.say(BURST)


@pytest.mark.parametrize(("coalesce", "chunks"), [(True, 4), (False, 100)])
async def test_what_came_together_is_joined_by_the_dozen_where_that_is_asked_for(
    coalesce: bool, chunks: int
) -> None:
    with raw.serving(say_all_at_once) as url:
        model = ChatCerebrasInference(base_url=url, api_key="k", coalesce=coalesce)
        texts = [chunk.text async for chunk in model.astream("Hello!") if chunk.text]
        await model.aclose()

    assert "".join(texts) == "word " * 100
    assert len(texts) == chunks


@ways
def test_a_streams_type_is_known_whatever_its_case(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    kind = {"Content-Type": "Text/Event-Stream"}
    server.script(Reply(content=WORDS.content, headers=kind))

    text, error = way(impatient)

    assert error is None
    assert text == WORDS.content


async def texts_into(texts: list[str], stream: AsyncIterator[AIMessageChunk]) -> None:
    async for chunk in stream:
        texts.append(chunk.text)


@pytest.mark.parametrize("how", ["close", "drop", "reset"])
async def test_what_came_before_a_break_reaches_a_slow_reader_too(
    how: Any, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    reply = Reply(content=LONG)
    server.script(reply, Cut(after=12, how=how, reply=reply))
    pieces = [chunk.text async for chunk in impatient.astream("Hello!", coalesce=False)]
    stream = impatient.astream("Hello!")

    text = [str((await anext(stream)).text)]
    await asyncio.sleep(0.3)
    with pytest.raises(CerebrasConnectionError):
        await texts_into(text, stream)

    assert "".join(text) == "".join(pieces[:11])


def test_a_usage_that_comes_first_is_kept(
    impatient: ChatCerebrasInference, server: Emulator
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    finish = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    server.script(Reply(events=[{"choices": [], "usage": usage}, {"choices": [finish]}]))

    answer = summed(list(impatient.stream("Hello!")))

    assert answer.text == "Hello."
    assert answer.usage_metadata
    assert answer.usage_metadata["total_tokens"] == 7


# --- silence ------------------------------------------------------------------------


SILENCES: Mapping[str, tuple[Act, str]] = {
    "before the headers": (Stall(after=None), ""),
    "before the first event": (Stall(after=0, reply=WORDS), ""),
    "after the role": (Stall(after=1, reply=WORDS), ""),
    "between events": (Stall(after=2, reply=WORDS), BEGINNING),
    "under comments, before the first event": (
        Stall(after=0, comments=True, reply=WORDS),
        "",
    ),
    "under comments, between events": (
        Stall(after=2, comments=True, reply=WORDS),
        BEGINNING,
    ),
}


@ways
@pytest.mark.parametrize("when", SILENCES)
def test_silence_ends_in_a_timeout(
    when: str, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    act, said = SILENCES[when]
    server.script(act)
    started = time.monotonic()

    text, error = way(impatient)

    assert text == said
    assert type(error) is CerebrasTimeoutError
    assert f"from {server.origin.removeprefix('http://')} for 0.3 s" in str(error)
    assert 0.25 < time.monotonic() - started < 3


NO_PROGRESS = {
    "comments": b": keep-alive\n\n",
    "an endless comment": b":",
    "times to wait": b"retry: 1000\n",
    "ids": b"id: 7\n\n",
    "empty events": b"data:\n\n",
    "blanks": b" ",
    "ends of lines": b"\n",
}


@ways
@pytest.mark.parametrize("what", NO_PROGRESS)
def test_what_says_nothing_is_silence(
    what: str, way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(data=[NO_PROGRESS[what]] * 100, pace=0.1))

    text, error = way(impatient)

    assert text == ""
    assert type(error) is CerebrasTimeoutError


@ways
def test_an_event_that_grows_slowly_is_not_silence(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    choice = {"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}
    event = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
    pieces = [event[start : start + 10] for start in range(0, len(event), 10)]
    server.script(Reply(data=pieces, pace=0.1))

    text, error = way(impatient)

    assert error is None
    assert text == "Hello."


@ways
def test_a_slow_stream_is_not_silence(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=WORDS.content, pace=0.15))

    text, error = way(impatient)

    assert error is None
    assert text == WORDS.content


def test_a_slow_reader_is_not_silence(
    impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=LONG, pace=0.05))
    stream = impatient.stream("Hello!")

    text = str(next(stream).text)
    time.sleep(0.5)
    text += "".join(chunk.text for chunk in stream)

    assert text == LONG


async def test_a_slow_reader_on_a_loop_is_not_silence(
    impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=LONG, pace=0.05))
    stream = impatient.astream("Hello!")

    text = str((await anext(stream)).text)
    await asyncio.sleep(0.5)
    text += "".join([chunk.text async for chunk in stream])

    assert text == LONG


def keep_busy() -> None:
    time.sleep(1.5)


async def test_a_busy_loop_is_not_silence(server: Emulator) -> None:
    server.script(Reply(content=LONG, pace=0.1), Reply(content=LONG, delay=0.5))
    model = ChatCerebrasInference(
        base_url=server.base_url, api_key=server.api_key, timeout=1, max_retries=0
    )
    stream = model.astream("Hello!")
    text = str((await anext(stream)).text)

    reading = asyncio.create_task(collected(stream))
    await asyncio.sleep(0.2)
    keep_busy()
    text += "".join(chunk.text for chunk in await reading)
    asking = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.2)
    keep_busy()
    answer = await asking

    assert text == answer.text == LONG


@ways
def test_the_timeout_of_a_call_wins(
    way: Way, impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Stall(after=2, seconds=0.5, reply=WORDS))

    text, error = way(impatient.bind(timeout=float("inf")))

    assert error is None
    assert text == WORDS.content


# --- what a stream is made of -------------------------------------------------------


def test_the_last_chunk_alone_has_usage_and_metadata(
    model: ChatCerebrasInference,
) -> None:
    *chunks, last = model.stream("Hello!")

    assert isinstance(last, AIMessageChunk)
    assert last.chunk_position == "last"
    assert last.usage_metadata
    assert last.response_metadata["finish_reason"] == "stop"
    assert {"id", "model_name", "time_info"} <= last.response_metadata.keys()
    assert not any(chunk.usage_metadata for chunk in chunks)
    assert {tuple(chunk.response_metadata) for chunk in chunks} == {("model_provider",)}


def test_no_chunk_mixes_reasoning_text_and_tool_calls(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(
        Reply(
            reasoning="Let me see what there is to be done about this.",
            content="I will do what there is to be done about this.",
            tool_calls=[ToolCall("magic", {"input": 3})],
        )
    )

    chunks = list(model.bind_tools([{"name": "magic"}]).stream("Hello!"))

    kinds = [{block["type"] for block in chunk.content_blocks} for chunk in chunks]
    assert set(map(len, kinds)) == {0, 1}
    assert set.union(*kinds) == {"reasoning", "text", "tool_call_chunk"}


# --- tools whose arguments are cut --------------------------------------------------

CUT_ARGUMENTS = {
    "in a string": '{"path": "a.txt", "content": "hal',
    "after an escape": '{"path": "a.txt", "content": "half\\',
    "in a literal": '{"path": "a.txt", "force": fal',
    "in an array": '{"path": "a.txt", "lines": [1, 2',
    "in an object": '{"path": "a.txt", "more": {"a": 1',
    "after a key": '{"path": "a.txt", "force":',
    "after a value": '{"path": "a.txt", "force": true',
    "after a comma": '{"path": "a.txt", ',
    "at the start": "{",
    "before the start": "",
}


class Disk:
    """A tool that remembers its calls."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def agent(self, model: ChatCerebrasInference) -> Any:
        @tool
        def write(path: str = "", content: str = "", *, force: bool = True) -> str:
            """Write a file."""
            self.written.append(path)
            return "written"

        return create_agent(model, [write])


def run_whole(agent: Any) -> None:
    agent.invoke({"messages": ["Write it."]})


def run_streamed(agent: Any) -> None:
    list(agent.stream({"messages": ["Write it."]}, stream_mode="messages"))


def run_streamed_on_a_loop(agent: Any) -> None:
    asyncio.run(collected(agent.astream({"messages": ["Write it."]}, stream_mode="messages")))


RUNS = [run_whole, run_streamed, run_streamed_on_a_loop]


@pytest.mark.parametrize("model_name", ["gpt-oss-120b", "qwen-3.8-27b"])
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("cut", CUT_ARGUMENTS)
def test_an_agent_never_runs_a_tool_whose_arguments_are_cut(
    cut: str, run: Callable[[Any], None], model_name: str, server: Emulator
) -> None:
    call = ToolCall("write", CUT_ARGUMENTS[cut])
    server.script(Reply(tool_calls=[call], finish_reason="length"))
    disk = Disk()
    model = ChatCerebrasInference(
        model=model_name, base_url=server.base_url, api_key=server.api_key
    )

    run(disk.agent(model))

    assert disk.written == []
    assert len(server.requests) == 1


WHOLE_ARGUMENTS = (
    '{"path": "a \\"b\\" \\u00e9.txt", "content": "[1, {\\\\", "force": false,'
    ' "more": {"a": [-1.5e3, null, {}]}}'
)


@pytest.mark.parametrize("run", RUNS)
def test_an_agent_never_runs_a_tool_whose_arguments_are_cut_anywhere(
    run: Callable[[Any], None], model: ChatCerebrasInference, server: Emulator
) -> None:
    json.loads(WHOLE_ARGUMENTS)
    disk = Disk()
    agent = disk.agent(model)

    for cut in range(len(WHOLE_ARGUMENTS)):
        call = ToolCall("write", WHOLE_ARGUMENTS[:cut])
        server.script(Reply(tool_calls=[call], finish_reason="length"))
        run(agent)

    assert disk.written == []
    assert len(server.requests) == len(WHOLE_ARGUMENTS)


@pytest.mark.parametrize("run", [run_streamed, run_streamed_on_a_loop])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_agent_never_runs_a_tool_whose_stream_is_cut_anywhere(
    how: Any, run: Callable[[Any], None], impatient: ChatCerebrasInference, server: Emulator
) -> None:
    disk = Disk()
    agent = disk.agent(impatient)
    reply = Reply(tool_calls=[ToolCall("write", WHOLE_ARGUMENTS)])

    for after in range(7):
        server.script(Cut(after=after, how=how, reply=reply))
        with pytest.raises(CerebrasConnectionError):
            run(agent)

    assert disk.written == []
    assert len(server.requests) == 7


@pytest.mark.parametrize("run", RUNS)
def test_an_agent_runs_a_tool_whose_arguments_are_whole(
    run: Callable[[Any], None], model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("write", {"path": "a.txt"})]))
    disk = Disk()

    run(disk.agent(model))

    assert disk.written == ["a.txt"]


@pytest.mark.parametrize("run", [run_streamed, run_streamed_on_a_loop])
def test_an_agent_never_runs_a_tool_whose_stream_is_cut(
    run: Callable[[Any], None], impatient: ChatCerebrasInference, server: Emulator
) -> None:
    call = ToolCall("write", {"path": "a.txt", "content": "a long text " * 5})
    server.script(Cut(after=4, reply=Reply(tool_calls=[call])))
    disk = Disk()

    with pytest.raises(CerebrasConnectionError):
        run(disk.agent(impatient))

    assert disk.written == []


@pytest.mark.parametrize("style", STREAMED)
@pytest.mark.parametrize("cut", CUT_ARGUMENTS)
def test_cut_arguments_stay_out_of_tool_calls_whoever_adds_the_chunks(
    cut: str, style: str, model: ChatCerebrasInference, server: Emulator
) -> None:
    call = ToolCall("write", CUT_ARGUMENTS[cut], id="a")
    server.script(Reply(tool_calls=[call], finish_reason="length"))
    bound = model.bind_tools([{"name": "write"}])

    answer = STREAMED[style](bound, "Write it.")

    assert answer.tool_calls == []
    assert [each["id"] for each in answer.invalid_tool_calls] == ["a"]


def test_the_order_in_which_chunks_are_added_changes_nothing(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    call = ToolCall("write", CUT_ARGUMENTS["in a string"], id="a")
    server.script(Reply(tool_calls=[call], finish_reason="length"))
    chunks = [
        chunk
        for chunk in model.bind_tools([{"name": "write"}]).stream("Write it.")
        if isinstance(chunk, AIMessageChunk)
    ]

    from_the_end = chunks[-1]
    for chunk in reversed(chunks[:-1]):
        from_the_end = chunk + from_the_end

    assert from_the_end.tool_calls == summed(chunks).tool_calls == []
    assert from_the_end.invalid_tool_calls == summed(chunks).invalid_tool_calls


def test_refusing_a_stream_is_an_error_at_its_first_step(
    impatient: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(503))

    stream = impatient.stream("Hello!")

    with pytest.raises(CerebrasServerError):
        next(stream)
