"""Nothing that may take long is done on the event loop, nor by the constructor."""

from textwrap import dedent

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.scripts import output_of

WATCHED = """
import asyncio
import sys
import threading

from langchain_core.language_models import FakeListChatModel
from langchain_cerebras_inference import ChatCerebrasInference

BLOCKING = {"open", "os.listdir", "os.scandir", "socket.__new__", "socket.getaddrinfo"}
BLOCKING |= {"subprocess.Popen", "time.sleep"}
seen = []
watching = threading.Event()
main = threading.get_ident()

def watch(event, arguments):
    if watching.is_set() and threading.get_ident() == main and event in BLOCKING:
        seen.append((event, *map(str, arguments[:2])))

async def collect(model):
    return [chunk async for chunk in model.astream("Hello!")]

sys.addaudithook(watch)
"""

PROGRAMS = {
    "a constructor": """
        ChatCerebrasInference()
        watching.set()
        models = [
            ChatCerebrasInference(api_key="k", verify="/ca.pem", proxy="http://127.0.0.1:9"),
            ChatCerebrasInference(cookies={"a": "b"}),
            ChatCerebrasInference(cookies="cookies.txt", temperature=0),
        ]
        """,
    "the first calls of a loop": """
        model = ChatCerebrasInference(base_url=ChatCerebrasInference().cerebras_api_base)
        asyncio.run(collect(FakeListChatModel(responses=["Hello."])))
        asyncio.run(FakeListChatModel(responses=["Hello."]).ainvoke("Hello!"))

        async def main_program():
            watching.set()
            answer = await model.ainvoke("Hello!")
            chunks = await collect(model)
            watching.clear()
            assert answer.text == "".join(chunk.text for chunk in chunks)

        asyncio.run(main_program(), debug=False)
        seen = [each for each in seen if each[0] != "socket.__new__"]  # it needs one
        """,
    "a call to a name": """
        here = ChatCerebrasInference().cerebras_api_base
        model = ChatCerebrasInference(base_url=here.replace("127.0.0.1", "localhost"))

        async def main_program():
            await FakeListChatModel(responses=["Hello."]).ainvoke("Hello!")
            watching.set()
            await model.ainvoke("Hello!")
            watching.clear()

        asyncio.run(main_program(), debug=False)
        seen = [each for each in seen if each[0] != "socket.__new__"]
        """,
}


def seen(program: str, server: Emulator) -> str:
    whole = [WATCHED, dedent(program), "watching.clear()", "print(seen)"]
    return output_of("\n".join(whole), server)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_blocks(name: str, server: Emulator) -> None:
    assert seen(PROGRAMS[name], server) == "[]\n"


def test_what_blocks_would_be_seen(server: Emulator) -> None:
    program = "watching.set()\nopen('/dev/null').close()"

    assert "/dev/null" in seen(program, server)
