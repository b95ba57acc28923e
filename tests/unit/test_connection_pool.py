"""The sessions of loops that were closed without a word."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_cerebras_inference._http import connection_pool

THREADS = 8


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def leave_dead_loops() -> None:
    for _ in range(30):
        loop = asyncio.new_event_loop()
        loop.close()
        connection_pool._pools[loop] = connection_pool.Pool()


def test_threads_may_bury_the_same_dead_loops(hasty_threads: None) -> None:
    together = threading.Barrier(THREADS)

    def bury(_: int) -> None:
        together.wait()
        connection_pool._bury_dead()

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(50):
            leave_dead_loops()
            list(threads.map(bury, range(THREADS)))

    assert not any(loop.is_closed() for loop in connection_pool._pools)
