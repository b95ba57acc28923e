"""Loops, threads and processes of every kind, each in a program that warns of all.

A program must do its work, end well, and leave nothing on its standard error.
"""

import os
from collections.abc import Callable, Iterator
from textwrap import dedent

import pytest

from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.certificates import OPENSSL, Authority
from tests.integration.nursery import Nursery

PRELUDE = """
import asyncio, contextlib, copy, logging, os, pickle, sys, threading, warnings
import cloudpickle
from langchain_cerebras_inference import CerebrasConnectionError, ChatCerebrasInference

# Python warns of any fork beside a thread, whoever's it is.
warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
model = ChatCerebrasInference()

def call(model=model):
    assert "Hello!" in model.invoke("Hello!").text
    assert "Hello!" in "".join(chunk.text for chunk in model.stream("Hello!"))

async def acall(model=model):
    assert "Hello!" in (await model.ainvoke("Hello!")).text
    assert "Hello!" in "".join([chunk.text async for chunk in model.astream("Hello!")])

def together(work, count):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Emulator(ssl_context=authority.server_context()) as running:
        yield running


Run = Callable[[str, Emulator], None]


@pytest.fixture
def run(nursery: Nursery) -> Run:
    def run(program: str, server: Emulator) -> None:
        lines = [PRELUDE, dedent(program), 'print("done")']

        output = nursery.output_of("\n".join(lines), server)

        assert output.split() == ["done"]

    return run


# --- loops and threads --------------------------------------------------------------

LOOPS = {
    "fifty loops, one after the other": """
        for _ in range(50):
            asyncio.run(acall())
        """,
    "loops closed without a word": """
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(acall())
            loop.close()
        """,
    "loops closed without a word, in threads": """
        def work():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(acall())
            loop.close()

        together(work, 16)
        """,
    "threads with loops of their own": """
        together(lambda: asyncio.run(acall()), 16)
        """,
    "daemon threads whose loops never end": """
        for _ in range(4):
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, daemon=True).start()
            asyncio.run_coroutine_threadsafe(acall(), loop).result()
        """,
    "daemon threads whose loops have stopped and were never closed": """
        def work():
            asyncio.run(forever())

        async def forever():
            await acall()
            ready.release()
            await asyncio.Event().wait()

        ready = threading.Semaphore(0)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(4):
            ready.acquire()
        """,
    "synchronous calls in a running loop": """
        async def main():
            call()
            await acall()
            await asyncio.gather(*(asyncio.to_thread(call) for _ in range(8)))

        asyncio.run(main())
        call()
        """,
    "synchronous calls in a running loop, in threads": """
        async def main():
            call()

        together(lambda: asyncio.run(main()), 8)
        """,
    "a stream left on a loop closed without a word": """
        async def begin():
            global stream
            stream = model.astream("Write 500 words.")
            await anext(stream)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        """,
    "a loop that fails": """
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
def test_one_model_serves_all_kinds_of_loops(name: str, server: Emulator, run: Run) -> None:
    run(LOOPS[name], server)


# What is closed over TLS, or behind a loop's back, is closed in another way.
SECURE = [
    "loops closed without a word",
    "threads with loops of their own",
    "daemon threads whose loops never end",
    "a stream left on a loop closed without a word",
    "a loop that fails",
]


@pytest.mark.parametrize("name", SECURE)
def test_one_model_serves_all_kinds_of_loops_over_tls(
    name: str, secure: Emulator, run: Run
) -> None:
    run(LOOPS[name], secure)


UVLOOP = "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"


# None is closed without a word: uvloop's own close() then warns of each open socket and,
# where a warning is an error, never returns.
UVLOOPS = [
    "fifty loops, one after the other",
    "daemon threads whose loops never end",
    "synchronous calls in a running loop",
    "a loop that fails",
]


@pytest.mark.parametrize("name", UVLOOPS)
def test_one_model_serves_all_kinds_of_uvloops(name: str, server: Emulator, run: Run) -> None:
    pytest.importorskip("uvloop")

    run(UVLOOP + dedent(LOOPS[name]), server)


# --- forks --------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

BOTH_SIDES = """
def fork(child):
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit()
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def everything():
    call()
    asyncio.run(acall())
    together(call, 2)
"""

FORKS = {
    "before the parent's first use": """
        assert ended(fork(everything))
        everything()
        """,
    "after every use": """
        everything()
        child = fork(everything)
        everything()
        assert ended(child)
        """,
    "a child of a child": """
        everything()

        def with_child():
            everything()
            assert ended(fork(everything))
            everything()

        assert ended(fork(with_child))
        everything()
        """,
    "beside calls in flight": """
        everything()
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = [fork(everything) for _ in range(3)]
        for thread in threads:
            thread.join()
        assert all(map(ended, children))
        """,
    "in the middle of a stream": """
        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(everything)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert ended(child)
        """,
    "in the middle of a stream that the child goes on reading": """
        def go_on():
            try:
                list(stream)
            except CerebrasConnectionError as error:
                assert "the process that began it" in str(error)
                everything()
            else:
                sys.exit("the child has read on")

        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(go_on)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert ended(child)
        """,
    "in the middle of a stream that the child closes": """
        stream = model.stream("Hello!")
        text = next(stream).text
        child = fork(stream.close)
        text += "".join(chunk.text for chunk in stream)
        assert "Hello!" in text
        assert ended(child)
        """,
    "on a running loop": """
        async def main():
            await acall()
            pid = os.fork()
            if pid == 0:
                call()
                os._exit(0)
            await acall()
            assert ended(pid)

        asyncio.run(main())
        """,
    "beside a loop that waits": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(acall())
        child = fork(everything)
        loop.run_until_complete(acall())
        assert ended(child)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        """,
    "by multiprocessing": """
        import multiprocessing

        everything()
        processes = [
            multiprocessing.get_context("fork").Process(target=everything) for _ in range(3)
        ]
        for each in processes:
            each.start()
        everything()
        for each in processes:
            each.join()
        assert [each.exitcode for each in processes] == [0, 0, 0]
        """,
}


@forks
@pytest.mark.parametrize("name", FORKS)
def test_both_sides_of_any_fork_work(name: str, server: Emulator, run: Run) -> None:
    # Had the first been read ahead, nothing would be in the middle of it.
    server.script(Reply(pace=0.05), *[Reply(delay=0.05)] * 100)

    run(BOTH_SIDES + dedent(FORKS[name]), server)


@forks
def test_both_sides_of_a_fork_work_over_tls(secure: Emulator, run: Run) -> None:
    run(BOTH_SIDES + dedent(FORKS["after every use"]), secure)


# --- copies -------------------------------------------------------------------------

COPIES = """
copies = [
    lambda model: pickle.loads(pickle.dumps(model)),
    lambda model: pickle.loads(cloudpickle.dumps(model)),
    copy.copy,
    copy.deepcopy,
    lambda model: model.model_copy(update={"temperature": 0}),
    lambda model: model.model_copy(deep=True),
]

def used(copied):
    call(copied)
    asyncio.run(acall(copied))
"""

COPIED = {
    "before and after use and closing": """
        for copied in copies:
            used(copied(ChatCerebrasInference()))
            used(copied(model))
            used(model)
            used(copied(copied(model)))
            model.close()
            used(copied(model))
        """,
    "in the middle of a stream, and on a running loop": """
        async def main():
            await acall()
            for copied in copies:
                await acall(copied(model))

        for copied in copies:
            stream = model.stream("Hello!")
            text = next(stream).text
            used(copied(model))
            text += "".join(chunk.text for chunk in stream)
            assert "Hello!" in text
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("name", COPIED)
def test_copies_of_all_kinds_work(name: str, server: Emulator, run: Run) -> None:
    run(COPIES + dedent(COPIED[name]), server)


POOL = """
import multiprocessing

if __name__ == "__main__":
    if {used}:
        call()
        asyncio.run(acall())
    context = multiprocessing.get_context("{method}")
    quiet = logging.getLogger("asyncio").setLevel, (logging.ERROR,)
    with context.Pool(1, *quiet) as pool:
        answers = pool.map(model.invoke, ["Hello!"] * 2)
        answers += pool.apply(model.batch, [["Hello!"] * 2])
        pool.close()
        pool.join()
    assert ["Hello!" in answer.text for answer in answers] == [True] * 4
    call()
"""


@pytest.mark.parametrize(
    ("method", "used"), [("spawn", False), ("forkserver", True), ("fork", True)]
)
def test_a_pool_of_processes_works(method: str, used: bool, server: Emulator, run: Run) -> None:
    if method != "spawn" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")

    run(POOL.format(method=method, used=used), server)

    assert len(server.requests) == 4 + 2 + (4 if used else 0)
