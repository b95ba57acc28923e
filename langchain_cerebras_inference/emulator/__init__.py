"""A local emulator of the Cerebras service, for tests and demonstrations.

It rejects what, according to the documentation, Cerebras rejects, responds in the formats of
Cerebras, and fails on demand. It contains no language model: it generates each completion from
the request alone.

In this package, "recorded" means: in the form of real responses of Cerebras, which other
projects have recorded and published. `tests/data/README.md` names them. This package itself
has not been run against Cerebras.

```python
from langchain_cerebras_inference.emulator import Cut, Emulator, Refuse, Reply

with Emulator() as server:
    server.script(Refuse(429), Cut(after=3), Reply("The third request succeeds."))
    ...  # send requests to server.base_url with server.api_key
    print([request.body for request in server.requests])
    server.always(Reply("All later requests get this."))
```

`python -m langchain_cerebras_inference.emulator` runs it for other programs.
"""

from langchain_cerebras_inference.emulator.errors import Refuse
from langchain_cerebras_inference.emulator.received_requests import Moment, Request
from langchain_cerebras_inference.emulator.script import (
    Act,
    Cut,
    ErrorEvent,
    Garble,
    Redirect,
    Reply,
    Scripted,
    Session,
    Stall,
    ToolCall,
)
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
