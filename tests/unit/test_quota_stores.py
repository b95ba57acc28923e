"""The shared stores for the state of quotas."""

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_cerebras_inference._quota import stores
from langchain_cerebras_inference._quota.state import Amounts, Decision, Outcome, QuotaState
from langchain_cerebras_inference._quota.stores import (
    QuotaStoreError,
    RedisStore,
    SQLiteStore,
    open_store,
)

NEEDS = Amounts(1, 100)
LIMITS = {"requests-minute": (60.0, 0.0), "tokens-minute": (6e4, 5e4)}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "quotas.db")


@pytest.fixture
def store(path: str) -> Iterator[SQLiteStore]:
    opened = open_store(f"sqlite:///{path}")
    assert isinstance(opened, SQLiteStore)
    yield opened
    opened.close()


@pytest.fixture
def other_store(path: str) -> Iterator[SQLiteStore]:
    """The store of another process."""
    opened = SQLiteStore(path)
    yield opened
    opened.close()


async def report_acceptance(store: stores.Store, decision: Decision) -> None:
    """Report that the server has accepted a request and has shown its limits."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    outcome = Outcome("handled", NEEDS, decision, limits=LIMITS)

    def on_done() -> None:
        loop.call_soon_threadsafe(done.set)

    store.record_outcome("quota", outcome, on_done)
    await done.wait()


async def test_limits_from_one_process_are_known_to_another(
    store: SQLiteStore, other_store: SQLiteStore
) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))

    decision = await other_store.reserve("quota", NEEDS)

    assert decision.knows_limits
    assert 0.5 < decision.wait <= 1


async def test_reservations_of_two_processes_have_increasing_waits(
    store: SQLiteStore, other_store: SQLiteStore
) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))

    decisions = [
        await opened.reserve("quota", NEEDS)
        for opened in (store, other_store, store, other_store)
    ]

    waits = [decision.wait for decision in decisions]
    assert waits == sorted(waits)
    assert all(
        after - before == pytest.approx(1, abs=0.3)
        for before, after in itertools.pairwise(waits)
    )


@pytest.mark.parametrize("stored", ["", "[]", "{}", '{"time": 1, "taken": [0, 0]}'])
async def test_state_of_another_version_is_replaced(
    stored: str, path: str, store: SQLiteStore
) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE cerebras_quotas SET state = ?", (stored,))

    decision = await store.reserve("quota", NEEDS)

    assert not decision.knows_limits


async def test_quotas_are_independent(store: SQLiteStore) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))

    assert (await store.reserve("other quota", NEEDS)).wait == 0


async def test_reservation_is_given_back_if_its_call_is_cancelled_meanwhile(
    store: SQLiteStore,
) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))
    before = (await store.reserve("quota", NEEDS)).wait
    for _ in range(20):
        task = asyncio.create_task(store.reserve("quota", NEEDS))
        await asyncio.sleep(0)  # the operation begins, in a thread
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError)

    # The last one may be given back after this.
    assert (await store.reserve("quota", NEEDS)).wait <= before + 2.1


async def test_operations_of_threads_and_event_loops_keep_their_order(
    store: SQLiteStore,
) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))

    async def reserve_often() -> list[float]:
        return [(await store.reserve("quota", NEEDS)).wait for _ in range(20)]

    results = await asyncio.gather(
        *(asyncio.to_thread(asyncio.run, reserve_often()) for _ in range(3))
    )

    assert all(waits == sorted(waits) for waits in results)


async def test_old_states_are_deleted(path: str, store: SQLiteStore) -> None:
    await store.reserve("quota", NEEDS)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE cerebras_quotas SET time = 0")
    connection.close()

    reopened = SQLiteStore(path)
    await reopened.reserve("other quota", NEEDS)
    reopened.close()

    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM cerebras_quotas").fetchall()
    connection.close()
    assert names == [("other quota",)]


async def test_database_that_cannot_be_opened_raises_a_store_error(tmp_path: Path) -> None:
    broken = SQLiteStore(str(tmp_path / "missing" / "quotas.db"))

    with pytest.raises(QuotaStoreError, match="unable to open"):
        await broken.reserve("quota", NEEDS)

    broken.close()


def test_new_database_can_be_opened_several_times_at_once(tmp_path: Path) -> None:
    def open_database(number: int) -> None:
        store = SQLiteStore(str(tmp_path / f"{number // 8}.db"))
        barriers[number // 8].wait(timeout=10)
        store.update("quota", lambda _state, _now: None)
        store.close()

    barriers = [threading.Barrier(8) for _ in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_database, range(160)))


async def test_failed_operation_does_not_change_the_state(store: SQLiteStore) -> None:
    await report_acceptance(store, await store.reserve("quota", NEEDS))

    def fail(quota_state: QuotaState, now: float) -> None:
        quota_state.reserved[0] += 1e9
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.update("quota", fail)

    assert (await store.reserve("quota", NEEDS)).wait < 5


@pytest.mark.parametrize("query", ["bogus=secret", "db=secret"])
def test_error_for_an_invalid_redis_url_does_not_quote_it(query: str) -> None:
    with pytest.raises(ValueError, match="quota_store") as caught:
        open_store(f"redis://redis.example?{query}")

    assert "secret" not in str(caught.value)


async def test_error_for_an_unreachable_redis_does_not_contain_the_password() -> None:
    pytest.importorskip("redis")
    store = open_store("unix://:secret@/missing/redis.sock")
    assert isinstance(store, RedisStore)

    with pytest.raises(QuotaStoreError, match=r"Redis at /missing/redis\.sock") as caught:
        await store.reserve("quota", NEEDS)

    store.close()
    assert "secret" not in str(caught.value)
    assert "secret" not in f"{store!r} {caught.value!r}"
