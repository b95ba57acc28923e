"""Whole programs: event loops, threads, forks and process pools.

Each program runs in a process of its own, where every warning is an error. It must do its
work, exit with status 0, and write nothing to its standard error: no unclosed client
session, no task that was never awaited.
"""

import os
import sys
from collections.abc import Callable
from textwrap import dedent

import pytest

from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.certificates import CertificateAuthority
from tests.integration.programs import ForkServer

PRELUDE = """
import asyncio, contextlib, copy, logging, os, pickle, sys, threading, warnings
import cloudpickle
from langchain_cerebras_inference import CerebrasConnectionError, ChatCerebrasInference

# Python warns of any fork beside a thread; the thread of the sync calls is one.
warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
model = ChatCerebrasInference()

def call(model=model):
    assert "Hello!" in model.invoke("Hello!").text
    assert "Hello!" in "".join(chunk.text for chunk in model.stream("Hello!"))

async def acall(model=model):
    assert "Hello!" in (await model.ainvoke("Hello!")).text
    assert "Hello!" in "".join([chunk.text async for chunk in model.astream("Hello!")])

def run_threads(work, count):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""

ProgramRunner = Callable[[str, Emulator], None]


@pytest.fixture
def run(fork_server: ForkServer) -> ProgramRunner:
    """Runs a program, which begins with the prelude and must reach its end."""

    def run(program: str, server: Emulator) -> None:
        lines = [PRELUDE, dedent(program), 'print("done")']

        output = fork_server.run_program("\n".join(lines), server)

        assert output.split() == ["done"]

    return run


@pytest.fixture
def trust_authority(
    certificate_authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_authority.bundle))


# --- event loops and threads --------------------------------------------------------

# A loop that is closed with `loop.close()` alone, without `shutdown_asyncgens`, gives the
# package no chance to close its connections on the loop.
LOOPS = {
    "loops in a row": """
        for _ in range(20):
            asyncio.run(acall())
        """,
    "loops closed without shutdown": """
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(acall())
            loop.close()
        call()
        """,
    "loops closed without shutdown in threads": """
        def work():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(acall())
            loop.close()

        run_threads(work, 16)
        """,
    "loops in threads": """
        run_threads(lambda: asyncio.run(acall()), 16)
        """,
    "loops that run forever in daemon threads": """
        for _ in range(4):
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, daemon=True).start()
            asyncio.run_coroutine_threadsafe(acall(), loop).result()
        """,
    "asyncio.run that never returns in daemon threads": """
        def work():
            asyncio.run(call_and_wait())

        async def call_and_wait():
            await acall()
            ready.release()
            await asyncio.Event().wait()

        ready = threading.Semaphore(0)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(4):
            ready.acquire()
        """,
    "sync calls in a running loop": """
        async def main():
            call()
            await acall()
            await asyncio.gather(*(asyncio.to_thread(call) for _ in range(8)))

        asyncio.run(main())
        call()
        """,
    "sync calls in running loops in threads": """
        async def main():
            call()

        run_threads(lambda: asyncio.run(main()), 8)
        """,
    "a stream abandoned on a loop closed without shutdown": """
        async def begin():
            global stream
            stream = model.astream("Write 500 words.")
            await anext(stream)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        """,
    "a loop that ends with an exception": """
        async def main():
            streams = [model.astream("Write 500 words.") for _ in range(20)]
            await asyncio.gather(*map(anext, streams))
            raise LookupError

        with contextlib.suppress(LookupError):
            asyncio.run(main())
        call()
        """,
}


@pytest.mark.parametrize("name", LOOPS)
def test_one_model_serves_every_kind_of_event_loop(
    name: str, server: Emulator, run: ProgramRunner
) -> None:
    run(LOOPS[name], server)


# The event loops that close a connection differently over TLS.
LOOPS_OVER_TLS = [
    "loops closed without shutdown",
    "loops in threads",
    "loops that run forever in daemon threads",
    "a stream abandoned on a loop closed without shutdown",
    "a loop that ends with an exception",
]


@pytest.mark.usefixtures("trust_authority")
@pytest.mark.parametrize("name", LOOPS_OVER_TLS)
def test_one_model_serves_every_kind_of_event_loop_over_tls(
    name: str, https_server: Emulator, run: ProgramRunner
) -> None:
    run(LOOPS[name], https_server)


# Loops that are closed without shutdown are left out: uvloop's own `close` then warns about
# each open socket and, where a warning is an error, never returns.
LOOPS_ON_UVLOOP = [
    "loops in a row",
    "loops that run forever in daemon threads",
    "sync calls in a running loop",
    "a loop that ends with an exception",
]


def create_loops_with_uvloop(program: str) -> str:
    """Change a program so that it creates its event loops with uvloop."""
    program = program.replace("asyncio.run(", "uvloop.run(")
    return program.replace("asyncio.new_event_loop()", "uvloop.new_event_loop()")


@pytest.mark.parametrize("name", LOOPS_ON_UVLOOP)
def test_one_model_serves_every_kind_of_event_loop_on_uvloop(
    name: str, server: Emulator, run: ProgramRunner
) -> None:
    pytest.importorskip("uvloop")

    run("import uvloop\n" + dedent(create_loops_with_uvloop(LOOPS[name])), server)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="policies are deprecated")
def test_sync_and_async_calls_work_with_the_event_loop_policy_of_uvloop(
    server: Emulator, run: ProgramRunner
) -> None:
    pytest.importorskip("uvloop")
    policy = "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"

    run(policy + dedent(LOOPS["sync calls in a running loop"]), server)


# --- the end of a program -----------------------------------------------------------

PROGRAMS = {
    "one call": """
        model.invoke("Hello!")
        """,
    "sync calls in threads": """
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(model.invoke, ["Hello!"] * 64))
        """,
    "a stream dropped": """
        for chunk in model.stream("Write 500 words."):
            break
        """,
    "a stream kept until the exit": """
        stream = model.stream("Write 500 words.")
        next(stream)
        """,
    "an async stream dropped": """
        async def main():
            async for chunk in model.astream("Write 500 words."):
                break

        asyncio.run(main())
        """,
    "an async stream kept until the exit": """
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
    "a model closed by its context manager": """
        async def main():
            async with model:
                await model.ainvoke("Hello!")

        asyncio.run(main())
        with model:
            model.invoke("Hello!")
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_exits_without_a_warning(
    name: str, server: Emulator, run: ProgramRunner
) -> None:
    run(PROGRAMS[name], server)


# --- forks --------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORK_PRELUDE = """
def fork(child):
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit()
    return pid

def succeeded(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def call_in_every_style():
    call()
    asyncio.run(acall())
    run_threads(call, 2)
"""

FORKS = {
    "before the first use": """
        assert succeeded(fork(call_in_every_style))
        call_in_every_style()
        """,
    "after use": """
        call_in_every_style()
        child = fork(call_in_every_style)
        call_in_every_style()
        assert succeeded(child)
        """,
    "by a child": """
        call_in_every_style()

        def fork_again():
            call_in_every_style()
            assert succeeded(fork(call_in_every_style))
            call_in_every_style()

        assert succeeded(fork(fork_again))
        call_in_every_style()
        """,
    "while threads are calling": """
        call_in_every_style()
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = [fork(call_in_every_style) for _ in range(3)]
        for thread in threads:
            thread.join()
        assert all(map(succeeded, children))
        """,
    "during a stream": """
        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(call_in_every_style)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert succeeded(child)
        """,
    "during a stream that the child reads on": """
        def read_on():
            try:
                list(stream)
            except CerebrasConnectionError as error:
                assert "process" in str(error)
                call_in_every_style()
            else:
                sys.exit("the child could read the stream of its parent")

        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(read_on)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert succeeded(child)
        """,
    "during a stream that the child closes": """
        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(stream.close)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert succeeded(child)
        """,
    "inside a running loop": """
        async def main():
            await acall()
            pid = os.fork()
            if pid == 0:
                call()
                os._exit(0)
            await acall()
            assert succeeded(pid)

        asyncio.run(main())
        """,
    "beside a loop that is not running": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(acall())
        child = fork(call_in_every_style)
        loop.run_until_complete(acall())
        assert succeeded(child)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        """,
    "by multiprocessing": """
        import multiprocessing

        call_in_every_style()
        processes = [
            multiprocessing.get_context("fork").Process(target=call_in_every_style)
            for _ in range(3)
        ]
        for process in processes:
            process.start()
        call_in_every_style()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        """,
}


@needs_fork
@pytest.mark.parametrize("name", FORKS)
def test_parent_and_child_both_work_after_a_fork(
    name: str, server: Emulator, run: ProgramRunner
) -> None:
    # The first response is slow, or its stream would be read completely before the fork.
    server.script(Reply(pace=0.05), *[Reply(delay=0.05)] * 100)

    run(FORK_PRELUDE + dedent(FORKS[name]), server)


@needs_fork
@pytest.mark.usefixtures("trust_authority")
def test_parent_and_child_both_work_after_a_fork_over_tls(
    https_server: Emulator, run: ProgramRunner
) -> None:
    run(FORK_PRELUDE + dedent(FORKS["after use"]), https_server)


CALLS = {
    "invoke": 'model.invoke("Hello!")',
    "stream": 'list(model.stream("Hello!"))',
    "ainvoke": 'asyncio.run(model.ainvoke("Hello!"))',
    "astream": "asyncio.run(collect())",
}

CONNECTIONS_PROGRAM = """
async def collect():
    return [chunk async for chunk in model.astream("Hello!")]

def call_once():
    {call}

call_once()
for child in [lambda: model.invoke("Hello!"), lambda: asyncio.run(collect())]:
    pid = fork(child)
    call_once()
    assert succeeded(pid)
"""


@needs_fork
@pytest.mark.parametrize(
    ("style", "connections_of_parent"),
    [("invoke", 1), ("stream", 1), ("ainvoke", 3), ("astream", 3)],
)
def test_parent_and_child_share_no_connection(
    style: str, connections_of_parent: int, server: Emulator, run: ProgramRunner
) -> None:
    run(FORK_PRELUDE + CONNECTIONS_PROGRAM.format(call=CALLS[style]), server)

    children = 2
    assert len(server.requests) == 3 + children
    assert server.connections == connections_of_parent + children


# --- copies and process pools -------------------------------------------------------

COPIES_PRELUDE = """
copiers = [
    lambda model: pickle.loads(pickle.dumps(model)),
    lambda model: pickle.loads(cloudpickle.dumps(model)),
    copy.copy,
    copy.deepcopy,
    lambda model: model.model_copy(update={"temperature": 0}),
    lambda model: model.model_copy(deep=True),
]

def use(model):
    call(model)
    asyncio.run(acall(model))
"""

COPIES = {
    "before and after use and closing": """
        for copier in copiers:
            use(copier(ChatCerebrasInference()))
            use(copier(model))
            use(model)
            use(copier(copier(model)))
            model.close()
            use(copier(model))
        """,
    "during a stream and in a running loop": """
        async def main():
            await acall()
            for copier in copiers:
                await acall(copier(model))

        for copier in copiers:
            stream = model.stream("Hello!")
            text = next(stream).text
            use(copier(model))
            text += "".join(chunk.text for chunk in stream)
            assert "Hello!" in text
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("name", COPIES)
def test_every_kind_of_copy_works(name: str, server: Emulator, run: ProgramRunner) -> None:
    run(COPIES_PRELUDE + dedent(COPIES[name]), server)


POOL_PROGRAM = """
import multiprocessing

if __name__ == "__main__":
    if {is_used}:
        call()
        asyncio.run(acall())
    context = multiprocessing.get_context("{method}")
    # A new process imports the package: asyncio's debug mode would log that it is slow.
    silence_asyncio = logging.getLogger("asyncio").setLevel, (logging.ERROR,)
    with context.Pool(1, *silence_asyncio) as pool:
        messages = pool.map(model.invoke, ["Hello!"] * 2)
        messages += pool.apply(model.batch, [["Hello!"] * 2])
        pool.close()
        pool.join()
    assert ["Hello!" in message.text for message in messages] == [True] * 4
    call()
"""


@pytest.mark.parametrize(
    ("method", "is_used"), [("spawn", True), ("forkserver", False), ("fork", True)]
)
def test_model_works_in_a_pool_of_processes(
    method: str, is_used: bool, server: Emulator, run: ProgramRunner
) -> None:
    if method != "spawn" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")

    run(POOL_PROGRAM.format(method=method, is_used=is_used), server)

    assert len(server.requests) == 4 + 2 + (4 if is_used else 0)
