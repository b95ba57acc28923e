"""A local Cerebras: the whole service on loopback, for tests and demonstrations.

It takes the requests Cerebras takes, refuses what Cerebras refuses, answers in the
recorded shapes, and fails on demand. Nothing it says comes from a model: an answer is
made from the request alone.

```python
from langchain_cerebras_inference.emulator import Cut, Emulator, Refuse, Reply

with Emulator() as server:
    server.script(Refuse(429), Cut(after=3), Reply("Third time lucky."))
    ...  # talk to server.base_url with server.api_key
    print([request.body for request in server.requests])
```

`python -m langchain_cerebras_inference.emulator` serves it to other programs.
"""

from langchain_cerebras_inference.emulator.acts import (
    Act,
    Cut,
    ErrorEvent,
    Garble,
    Redirect,
    Reply,
    Scripted,
    Session,
    Stall,
)
from langchain_cerebras_inference.emulator.answers import ToolCall
from langchain_cerebras_inference.emulator.records import Moment, Request
from langchain_cerebras_inference.emulator.refusals import Refuse
from langchain_cerebras_inference.emulator.server import Emulator

__all__ = [
    "Act",
    "Cut",
    "Emulator",
    "ErrorEvent",
    "Garble",
    "Moment",
    "Redirect",
    "Refuse",
    "Reply",
    "Request",
    "Scripted",
    "Session",
    "Stall",
    "ToolCall",
]
