"""An agent's history of 200 KB: what it was told by its tools, and the code it read.

The tools' answers are JSON made from a fixed seed; the code is of Python's own library.
"""

import argparse
import dataclasses
import inspect
import json
import random
import tarfile
from typing import Any

SIZE = 200_000
_MODULES = (argparse, dataclasses, tarfile)
_WORDS = (
    "build cache client config error events index model parse retry schema session test".split()
)


def history() -> list[Any]:
    """Messages whose contents have `SIZE` characters, tool calls aside."""
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    messages: list[Any] = [HumanMessage("Find out why the build is slow, and mend it.")]
    for turn, text in enumerate(_texts()):
        name, call_id = ("read_file", "search")[turn % 2], f"call_{turn:03}"
        call = {"name": name, "args": {"path": f"src/{turn}.py"}, "id": call_id}
        messages += [
            AIMessage("", tool_calls=[call]),
            ToolMessage(text, tool_call_id=call_id),
        ]
    return messages


def _texts() -> list[str]:
    """Pieces of 4,000 characters: code and findings, by turns."""
    dice = random.Random(2026)  # noqa: S311 # must be the same every time
    code = "".join(map(inspect.getsource, _MODULES))
    pieces = [code[at : at + 4_000] for at in range(0, SIZE // 2, 4_000)]
    return [text for piece in pieces for text in (piece, _findings(dice))]


def _findings(dice: random.Random) -> str:
    found = [
        {
            "path": "/".join(dice.choices(_WORDS, k=3)) + ".py",
            "line": dice.randrange(2_000),
            "score": round(dice.random(), 4),
            "digest": f"{dice.getrandbits(64):016x}",
            "text": " ".join(dice.choices(_WORDS, k=8)),
        }
        for _ in range(40)
    ]
    return json.dumps(found)[:4_000]
