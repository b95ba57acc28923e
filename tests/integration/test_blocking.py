"""The constructor and the calls on an event loop never block it.

An audit hook reports files, sockets, name lookups, processes and sleeps that the main
thread uses while it is watched. An audit hook cannot be removed, and a first call must
import what it needs outside the event loop, so each program runs in a new interpreter.
"""

from textwrap import dedent

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.programs import run_program

PRELUDE = """
import asyncio
import sys
import threading

from langchain_core.language_models import FakeListChatModel
from langchain_cerebras_inference import ChatCerebrasInference

BLOCKING_EVENTS = {
    "open", "os.listdir", "os.scandir", "socket.__new__", "socket.getaddrinfo",
    "subprocess.Popen", "time.sleep",
}
is_watching = threading.Event()
main_thread = threading.get_ident()
blocking_calls = []

def record_blocking_call(event, arguments):
    if (
        event in BLOCKING_EVENTS
        and is_watching.is_set()
        and threading.get_ident() == main_thread
    ):
        blocking_calls.append((event, *map(str, arguments[:2])))

async def collect(model):
    return [chunk async for chunk in model.astream("Hello!")]

def without_new_sockets(calls):  # a connection needs one, which does not block
    return [call for call in calls if call[0] != "socket.__new__"]

sys.addaudithook(record_blocking_call)
"""

# Each program first does with a fake model what LangChain itself does in a first call.
PROGRAMS = {
    "constructor": """
        ChatCerebrasInference()
        is_watching.set()
        models = [
            ChatCerebrasInference(api_key="k", verify="/ca.pem", proxy="http://127.0.0.1:9"),
            ChatCerebrasInference(cookies={"a": "b"}),
            ChatCerebrasInference(cookies="cookies.txt", temperature=0),
        ]
        """,
    "first calls on an event loop": """
        model = ChatCerebrasInference(base_url=ChatCerebrasInference().cerebras_api_base)
        asyncio.run(collect(FakeListChatModel(responses=["Hello."])), debug=False)
        asyncio.run(FakeListChatModel(responses=["Hello."]).ainvoke("Hello!"), debug=False)

        async def main():
            is_watching.set()
            message = await model.ainvoke("Hello!")
            chunks = await collect(model)
            is_watching.clear()
            assert message.text == "".join(chunk.text for chunk in chunks)

        asyncio.run(main(), debug=False)
        blocking_calls = without_new_sockets(blocking_calls)
        """,
    "first call to a host name": """
        base_url = ChatCerebrasInference().cerebras_api_base
        model = ChatCerebrasInference(base_url=base_url.replace("127.0.0.1", "localhost"))

        async def main():
            await FakeListChatModel(responses=["Hello."]).ainvoke("Hello!")
            is_watching.set()
            await model.ainvoke("Hello!")
            is_watching.clear()

        asyncio.run(main(), debug=False)
        blocking_calls = without_new_sockets(blocking_calls)
        """,
}


def find_blocking_calls(program: str, server: Emulator) -> str:
    lines = [PRELUDE, dedent(program), "is_watching.clear()", "print(blocking_calls)"]
    return run_program("\n".join(lines), server)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_blocks_the_event_loop(name: str, server: Emulator) -> None:
    assert find_blocking_calls(PROGRAMS[name], server) == "[]\n"


def test_audit_hook_reports_a_blocking_call(server: Emulator) -> None:
    program = "is_watching.set()\nopen('/dev/null').close()"

    assert "/dev/null" in find_blocking_calls(program, server)
