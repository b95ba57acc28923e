"""Copies of a model, its event loops and connections, closing and warming up."""

import asyncio
import copy
import gc
import pickle
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest

from langchain_cerebras_inference import CerebrasError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Act, Cut, Emulator, Refuse, Reply, Stall
from tests.integration.call_styles import (
    CallStyle,
    ainvoke,
    astream_message,
    collect,
    every_call_style,
    parametrize_call,
)
from tests.integration.helpers import create_model, wait_for_no_connections

SLOW_WORDS = Reply(content="one two three four five six seven", pace=0.05)

# --- copies -------------------------------------------------------------------------

ModelCopier = Callable[[ChatCerebrasInference], ChatCerebrasInference]


def pickle_model(model: ChatCerebrasInference) -> ChatCerebrasInference:
    copied: ChatCerebrasInference = pickle.loads(pickle.dumps(model))  # noqa: S301 # ours
    return copied


def cloudpickle_model(model: ChatCerebrasInference) -> ChatCerebrasInference:
    copied: ChatCerebrasInference = pickle.loads(cloudpickle.dumps(model))  # noqa: S301 # ours
    return copied


def copy_with_update(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return model.model_copy(update={"temperature": 0.0})


def copy_deeply(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return model.model_copy(deep=True)


def rebuild_from_fields(model: ChatCerebrasInference) -> ChatCerebrasInference:
    return ChatCerebrasInference(
        **{name: getattr(model, name) for name in type(model).model_fields}
    )


@every_call_style
@pytest.mark.parametrize(
    "make_copy",
    [
        pickle_model,
        cloudpickle_model,
        copy.copy,
        copy.deepcopy,
        copy_with_update,
        copy_deeply,
        rebuild_from_fields,
    ],
)
def test_copy_works_before_and_after_use(
    make_copy: ModelCopier, call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    messages = [call(make_copy(model), "Hello!"), call(model, "Hello!")]
    messages += [call(make_copy(model), "Hello!"), call(make_copy(make_copy(model)), "Hello!")]

    assert len({message.text for message in messages}) == 1
    assert {request.bearer for request in server.requests} == {server.api_key}


# --- event loops and their connections ----------------------------------------------


@parametrize_call("ainvoke", "astream")
def test_one_model_serves_any_number_of_event_loops(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(20):
        call(model, "Hello!")

    assert len(server.requests) == 20


def call_on_two_new_loops(model: ChatCerebrasInference) -> None:
    ainvoke(model, "Hello!")
    astream_message(model, "Hello!")


def test_new_event_loop_needs_no_retry_and_no_recovery(
    model: ChatCerebrasInference, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "langchain_cerebras_inference")

    for _ in range(10):
        call_on_two_new_loops(model)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(call_on_two_new_loops, [model] * 4))

    assert len(server.requests) == 28
    assert caplog.messages == []


def test_ended_event_loop_is_garbage_collected_with_its_connections(server: Emulator) -> None:
    loops = []

    async def record_loop() -> str:  # runs on the event loop of the call
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return server.api_key

    call_on_two_new_loops(create_model(server, api_key=record_loop))

    gc.collect()
    assert [loop() for loop in loops] == [None, None]
    wait_for_no_connections(server)


@parametrize_call("invoke", "stream")
def test_sync_calls_share_one_connection(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(20):
        call(model, "Hello!")
        call(create_model(server), "Hello!")

    assert server.connections == 1


async def test_async_calls_on_one_event_loop_share_one_connection(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    for _ in range(20):
        await model.ainvoke("Hello!")
        await collect(model.astream("Hello!"))
        await create_model(server).ainvoke("Hello!")

    assert server.connections == 1


# --- closing ------------------------------------------------------------------------


def test_close_closes_the_connections_of_sync_calls_and_can_be_repeated(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    model.invoke("Hello!")

    model.close()
    model.close()

    wait_for_no_connections(server)


async def test_aclose_closes_the_connections_of_the_event_loop_and_can_be_repeated(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.ainvoke("Hello!")

    await model.aclose()
    await model.aclose()

    await asyncio.to_thread(wait_for_no_connections, server)


def test_context_manager_closes_the_connections(server: Emulator) -> None:
    with create_model(server) as model:
        model.invoke("Hello!")

    wait_for_no_connections(server)


async def test_async_context_manager_closes_the_connections(server: Emulator) -> None:
    async with create_model(server) as model:
        await model.ainvoke("Hello!")

    await asyncio.to_thread(wait_for_no_connections, server)


async def test_closed_model_can_be_used_again(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.ainvoke("Hello!")
    await model.aclose()

    await model.ainvoke("Hello!")

    assert server.connections == 2


def test_close_does_not_break_a_stream_of_another_model(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(SLOW_WORDS)
    stream = create_model(server).stream("Hello!")
    text = str(next(stream).text)

    model.close()
    text += "".join(chunk.text for chunk in stream)

    assert text == SLOW_WORDS.content


async def test_aclose_does_not_break_a_stream_of_another_model(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(SLOW_WORDS)
    other_model = create_model(server)
    stream = other_model.astream("Hello!")
    text = str((await anext(stream)).text)

    await model.aclose()
    text += "".join([chunk.text async for chunk in stream])

    assert text == SLOW_WORDS.content
    assert server.open_connections == 1
    await other_model.aclose()
    await asyncio.to_thread(wait_for_no_connections, server)


def test_close_keeps_connections_that_another_model_has_used(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    other_model = create_model(server)
    other_model.invoke("Hello!")

    with model:
        model.invoke("Hello!")
    other_model.invoke("Hello!")

    assert server.connections == 1


async def test_aclose_keeps_connections_that_another_model_has_used(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    other_model = create_model(server)
    await other_model.ainvoke("Hello!")

    async with model:
        await model.ainvoke("Hello!")
    await other_model.ainvoke("Hello!")

    assert server.connections == 1


async def test_aclose_ignores_garbage_collected_models(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await create_model(server).ainvoke("Hello!")
    gc.collect()
    await model.ainvoke("Hello!")

    await model.aclose()

    await asyncio.to_thread(wait_for_no_connections, server)


FAILURES: dict[str, Act] = {
    "error response": Refuse(400),
    "reset before the headers": Cut(after=None, how="reset"),
    "silence before the headers": Stall(after=None),
    "silence after the headers": Stall(after=1),
    "disconnect": Cut(how="drop"),
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
async def test_failed_or_cancelled_call_keeps_no_connection_open_after_aclose(
    failure: str,
    end: Callable[[ChatCerebrasInference], Awaitable[None]],
    streaming: bool,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    # Two connections are kept alive, one more than the failing call uses. The failure is
    # scripted twice: after the first one the call may recover with a fresh connection.
    server.script(*[Reply(delay=0.1)] * 2, *[FAILURES[failure]] * 2)
    await asyncio.gather(model.ainvoke("Hello!"), model.ainvoke("Hello!"))

    failing_model = create_model(server, timeout=0.3, max_retries=0, streaming=streaming)
    await end(failing_model)
    await failing_model.aclose()
    await model.aclose()

    assert server.connections > 1
    await asyncio.to_thread(wait_for_no_connections, server)


# --- warming up ---------------------------------------------------------------------


async def test_awarm_up_opens_the_connection_of_the_first_call(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    await model.awarm_up()

    await model.ainvoke("Hello!")

    assert [request.path for request in server.requests] == [
        "/v1/tcp_warming",
        "/v1/chat/completions",
    ]
    assert server.connections == 1


def test_warm_up_ignores_an_unreachable_server(server: Emulator) -> None:
    server.stop()

    create_model(server).warm_up()
