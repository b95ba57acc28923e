"""Connection pools: which models share one, and when it is closed."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from langchain_cerebras_inference._http import connection_pool
from langchain_cerebras_inference._http.connection_pool import ConnectionPool, close_unshared

URL = "https://api.example/v1/chat/completions"
THREADS = 8


class Owner:
    """An object that keeps connections open, as a model does."""


async def begin_request(
    owner: Owner | None, url: str = URL
) -> tuple[ConnectionPool, aiohttp.ClientSession]:
    """Begin a request, and return its pool and its client session."""
    pool = await connection_pool.acquire_pool(url, owner)
    return pool, pool.get_client_session(fresh=False)


async def make_request(owner: Owner | None, url: str = URL) -> aiohttp.ClientSession:
    """Make a whole request, and return its client session."""
    pool, client_session = await begin_request(owner, url)
    pool.end_request()
    return client_session


def is_open(client_session: aiohttp.ClientSession) -> bool:
    return not client_session.closed


# --- sharing -------------------------------------------------------------------------


async def test_owners_share_the_pool_of_a_server() -> None:
    first = await make_request(Owner())
    same_server = await make_request(Owner(), "https://api.example/v1/models")
    other_server = await make_request(Owner(), "https://other.example/v1/models")

    assert same_server is first
    assert other_server is not first


async def test_fresh_client_session_is_not_the_shared_one() -> None:
    pool, client_session = await begin_request(Owner())

    assert pool.get_client_session(fresh=True) is not client_session


# --- closing the pools that no other owner shares -------------------------------------


async def test_pool_of_one_owner_is_closed() -> None:
    owner = Owner()
    client_session = await make_request(owner)

    await close_unshared(owner)

    assert not is_open(client_session)
    assert await make_request(owner) is not client_session


async def test_pool_of_another_owner_stays_open() -> None:
    owner, other = Owner(), Owner()
    client_session = await make_request(owner)
    await make_request(other)

    await close_unshared(owner)
    assert is_open(client_session)
    assert await make_request(other) is client_session

    await close_unshared(other)
    assert not is_open(client_session)


async def test_pool_of_an_owner_with_another_request_stays_open() -> None:
    owner, other = Owner(), Owner()
    client_session = await make_request(owner)
    await make_request(other)

    await close_unshared(owner)
    await make_request(owner)
    await close_unshared(other)

    assert is_open(client_session)


async def test_pool_of_a_garbage_collected_owner_is_closed() -> None:
    owner, collected = Owner(), Owner()
    client_session = await make_request(owner)
    await make_request(collected)

    del collected
    gc.collect()
    await close_unshared(owner)

    assert not is_open(client_session)


async def test_pool_without_an_owner_is_closed() -> None:
    client_session = await make_request(None)

    await close_unshared(Owner())

    assert not is_open(client_session)


async def test_pools_of_different_servers_are_closed_independently() -> None:
    owner, other = Owner(), Owner()
    shared = await make_request(owner)
    await make_request(other)
    unshared = await make_request(owner, "https://other.example/v1/models")

    await close_unshared(owner)

    assert is_open(shared)
    assert not is_open(unshared)


async def test_closing_without_a_pool_does_nothing() -> None:
    await close_unshared(Owner())


async def test_pool_with_requests_in_progress_is_closed_after_the_last_one() -> None:
    owner = Owner()
    pool, client_session = await begin_request(owner)
    await begin_request(owner)

    await close_unshared(owner)
    new_client_session = await make_request(owner)
    pool.end_request()
    await asyncio.sleep(0)
    assert is_open(client_session)

    pool.end_request()
    assert pool._closing_task is not None
    await pool._closing_task
    assert not is_open(client_session)
    assert is_open(new_client_session)


# --- event loops that end ------------------------------------------------------------


def test_pool_is_closed_when_its_event_loop_ends() -> None:
    client_session = asyncio.run(make_request(Owner()))

    assert not is_open(client_session)


def test_pool_of_a_closed_event_loop_is_closed_by_the_next_event_loop() -> None:
    loop = asyncio.new_event_loop()
    client_session = loop.run_until_complete(make_request(Owner()))
    loop.close()
    assert is_open(client_session)

    asyncio.run(make_request(Owner()))

    assert not is_open(client_session)


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_can_close_the_same_pools_at_once(frequent_thread_switches: None) -> None:
    barrier = threading.Barrier(THREADS)

    def close_pools(_: int) -> None:
        barrier.wait()
        connection_pool._close_pools_of_closed_loops()

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(50):
            for _ in range(30):
                loop = asyncio.new_event_loop()
                loop.close()
                connection_pool._pools[loop] = {URL: ConnectionPool(URL)}
            list(threads.map(close_pools, range(THREADS)))

    assert not any(loop.is_closed() for loop in connection_pool._pools)
