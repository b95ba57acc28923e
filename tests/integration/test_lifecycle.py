import asyncio
import copy
import pickle
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import cloudpickle
import pytest

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Stall
from tests.integration.nursery import Nursery
from tests.integration.styles import STYLES, ainvoke, astream, collected

MADE = """
import asyncio
from langchain_cerebras_inference import ChatCerebrasInference

model = ChatCerebrasInference()

async def collect():
    return "".join([chunk.text async for chunk in model.astream("Hello!")])
"""


# --- copies -------------------------------------------------------------------------


def pickled(model: ChatCerebrasInference) -> ChatCerebrasInference:
    copied: ChatCerebrasInference = pickle.loads(pickle.dumps(model))  # noqa: S301
    return copied


def cloudpickled(model: ChatCerebrasInference) -> ChatCerebrasInference:
    copied: ChatCerebrasInference = pickle.loads(cloudpickle.dumps(model))  # noqa: S301
    return copied


def updated(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return model.model_copy(update={"temperature": 0.0})


def copied_deeply(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return model.model_copy(deep=True)


def rebuilt(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        **{name: getattr(model, name) for name in type(model).model_fields}
    )


COPIES = [
    pickled,
    cloudpickled,
    copy.copy,
    copy.deepcopy,
    updated,
    copied_deeply,
    rebuilt,
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_works_before_and_after_use(
    copied: Callable[[ChatCerebrasInference], ChatCerebrasInference],
    style: str,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    call = STYLES[style]

    answers = [call(copied(model), "Hello!"), call(model, "Hello!")]
    answers += [call(copied(model), "Hello!"), call(copied(copied(model)), "Hello!")]

    assert len({answer.text for answer in answers}) == 1
    assert {request.bearer for request in server.requests} == {server.api_key}


# --- loops --------------------------------------------------------------------------


@pytest.mark.parametrize("style", [ainvoke, astream])
def test_one_model_serves_any_number_of_loops(
    style: Callable[..., object], model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(50):
        style(model, "Hello!")

    assert len(server.requests) == 50


def test_one_model_serves_loops_in_many_threads(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    styles = [STYLES["ainvoke"], STYLES["astream"]] * 8
    together = threading.Barrier(len(styles))

    def work(number: int) -> None:
        together.wait()
        for _ in range(5):
            styles[number](model, "Hello!")

    with ThreadPoolExecutor(len(styles)) as threads:
        list(threads.map(work, range(len(styles))))

    assert len(server.requests) == 80


async def test_the_calls_of_a_loop_share_its_connections(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(20):
        await model.ainvoke("Hello!")
        await collected(model.astream("Hello!"))
        await ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key).ainvoke(
            "Hello!"
        )

    assert server.connections == 1


# --- closing ------------------------------------------------------------------------


def gone(server: Emulator) -> bool:
    """Whether every connection is closed, or will be in a moment."""
    moment = threading.Event()
    return any(not server.open_connections or moment.wait(0.01) for _ in range(100))


async def test_aclose_lets_go_of_the_loops_connections_and_may_be_repeated(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.ainvoke("Hello!")

    await model.aclose()
    await model.aclose()

    assert await asyncio.to_thread(gone, server)


def test_close_lets_go_of_the_connections_of_synchronous_calls(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    model.invoke("Hello!")

    model.close()
    model.close()

    assert gone(server)


FAILURES: dict[str, Act] = {
    "refused": Refuse(400),
    "reset before the headers": Cut(after=None, how="reset"),
    "silent before the headers": Stall(after=None),
    "silent after the headers": Stall(after=1),
    "cut": Cut(how="drop"),
}


async def fail(model: ChatCerebrasInference) -> None:
    with pytest.raises(CerebrasError):
        await model.ainvoke("Hello!")


async def cancel(model: ChatCerebrasInference) -> None:
    task = asyncio.create_task(model.ainvoke("Hello!"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("end", [fail, cancel])
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_call_that_failed_keeps_nothing_open(
    failure: str,
    end: Callable[[ChatCerebrasInference], Awaitable[None]],
    streaming: bool,
    server: Emulator,
) -> None:
    model = ChatCerebrasInference(
        base_url=server.base_url,
        api_key=server.api_key,
        timeout=0.3,
        max_retries=0,
        streaming=streaming,
    )
    # Two connections are kept, so that one is left; the dead one is replaced once.
    server.script(*[Reply(delay=0.1)] * 2, *[FAILURES[failure]] * 2)
    await asyncio.gather(model.ainvoke("Hello!"), model.ainvoke("Hello!"))

    await end(model)
    await model.aclose()

    assert server.connections > 1
    assert await asyncio.to_thread(gone, server)


async def test_leaving_the_context_closes(server: Emulator) -> None:
    async with ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key) as model:
        await model.ainvoke("Hello!")

    assert await asyncio.to_thread(gone, server)


def test_leaving_the_synchronous_context_closes(server: Emulator) -> None:
    with ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key) as model:
        model.invoke("Hello!")

    assert gone(server)


async def test_a_closed_model_may_be_used_again(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.ainvoke("Hello!")
    await model.aclose()

    await model.ainvoke("Hello!")

    assert server.connections == 2


async def test_closing_one_model_breaks_no_other(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="one two three four five six seven", pace=0.05))
    other = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
    stream = other.astream("Hello!")
    text = str((await anext(stream)).text)

    await model.aclose()
    text += "".join([chunk.text async for chunk in stream])

    assert text == "one two three four five six seven"
    assert await asyncio.to_thread(gone, server)


def test_closing_one_model_breaks_no_other_that_is_synchronous(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="one two three four five six seven", pace=0.05))
    other = ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
    stream = other.stream("Hello!")
    text = str(next(stream).text)

    model.close()
    text += "".join(chunk.text for chunk in stream)

    assert text == "one two three four five six seven"


async def test_warming_up_opens_the_connection_of_the_first_call(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.awarm_up()

    await model.ainvoke("Hello!")

    assert [request.path for request in server.requests] == [
        "/v1/tcp_warming",
        "/v1/chat/completions",
    ]
    assert server.connections == 1


def test_warming_up_may_fail(server: Emulator) -> None:
    server.stop()

    ChatCerebrasInference(base_url=server.base_url, api_key="k").warm_up()


# --- whole programs, which end without a word ---------------------------------------

PROGRAMS = {
    "one call": """
        model.invoke("Hello!")
        """,
    "many loops": """
        for _ in range(10):
            asyncio.run(model.ainvoke("Hello!"))
            assert asyncio.run(collect())
        """,
    "a loop made by hand and closed": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(model.ainvoke("Hello!"))
        loop.close()
        model.invoke("Hello!")
        """,
    "a loop that is never closed": """
        import threading

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(model.ainvoke("Hello!"), loop).result()
        """,
    "threads with loops of their own": """
        import threading

        def work():
            asyncio.run(model.ainvoke("Hello!"))
            assert asyncio.run(collect())

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    "synchronous calls in a running loop": """
        async def main():
            model.invoke("Hello!")
            list(model.stream("Hello!"))
            await model.ainvoke("Hello!")

        asyncio.run(main())
        """,
    "synchronous calls in threads": """
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(model.invoke, ["Hello!"] * 64))
        """,
    "an iterator dropped": """
        for chunk in model.stream("Write 500 words."):
            break
        """,
    "an iterator kept to the end": """
        stream = model.stream("Write 500 words.")
        next(stream)
        """,
    "an iterator dropped on a loop": """
        async def main():
            async for chunk in model.astream("Write 500 words."):
                break

        asyncio.run(main())
        """,
    "an iterator kept to the end on a loop": """
        async def main():
            global stream
            stream = model.astream("Write 500 words.")
            await anext(stream)

        asyncio.run(main())
        """,
    "a task cancelled": """
        async def main():
            task = asyncio.create_task(model.ainvoke("Hello!"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())
        """,
    "uvloop": """
        import uvloop

        for _ in range(5):
            uvloop.run(model.ainvoke("Hello!"))
            assert uvloop.run(collect())
        model.invoke("Hello!")
        """,
    "closed": """
        async def main():
            async with model:
                await model.ainvoke("Hello!")

        asyncio.run(main())
        with model:
            model.invoke("Hello!")
        """,
    "a spawned pool": """
        import multiprocessing

        if __name__ == "__main__":
            model.invoke("Hello!")
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.map(model.invoke, ["Hello!"] * 4)
                pool.close()
                pool.join()
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_without_a_word(name: str, server: Emulator, nursery: Nursery) -> None:
    program = [MADE, dedent(PROGRAMS[name]), 'print("done")']

    output = nursery.output_of("\n".join(program), server)

    assert output == "done\n"


FORKED = """
import os, sys

def call():
    {call}

call()
for child in [{children}]:
    pid = os.fork()
    if pid == 0:
        child()
        print("child", flush=True)
        sys.exit()
    call()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("parent")
"""

CALLS = {
    "invoke": 'model.invoke("Hello!")',
    "stream": 'list(model.stream("Hello!"))',
    "ainvoke": 'asyncio.run(model.ainvoke("Hello!"))',
    "astream": "asyncio.run(collect())",
}


@pytest.mark.parametrize(
    ("style", "connections"),
    [("invoke", 1), ("stream", 1), ("ainvoke", 3), ("astream", 3)],
)
def test_both_sides_of_a_fork_work_and_share_no_connection(
    style: str, connections: int, server: Emulator, nursery: Nursery
) -> None:
    children = ", ".join(f"lambda: {CALLS[child]}" for child in ("invoke", "astream"))
    forked = FORKED.format(call=CALLS[style], children=children)

    output = nursery.output_of(MADE + forked, server)

    assert output == "child\n" * 2 + "parent\n"
    assert len(server.requests) == 5
    assert server.connections == connections + 2  # a child has one of its own
