"""The child process of the rows `cold_start`: it ends when the first content has arrived.

- `python benchmarks/cold_start.py URL MODULE:CLASS` imports the class of a chat model,
  constructs a model, and streams synchronously until the first chunk with content.
- `python benchmarks/cold_start.py URL` is the baseline: it imports langchain-core's chat models
  and aiohttp, and reads the first data of one stream with aiohttp alone.

Like a short program of a user, this one imports at its top level, and is not started with
`python -m`, which would add stack frames.
The depth of the stack matters: in CPython 3.11, if the same imports start ten stack frames
deeper, the process can take a quarter longer.
"""

from __future__ import annotations

import os
import sys

from benchmarks.clients import API_KEY, MODEL, PROMPT, REQUEST

url, *paths = sys.argv[1:]
if paths:
    module, _, name = paths[0].partition(":")
    # Unlike `import_module`, `__import__` has no more stack frames than an import statement.
    chat_model = getattr(__import__(module, fromlist=[name]), name)
    for chunk in chat_model(model=MODEL, api_key=API_KEY, base_url=url).stream(PROMPT):
        if chunk.content:
            os._exit(0)  # do not wait until the stream has been closed
else:
    import asyncio

    import aiohttp
    import langchain_core.language_models.chat_models  # noqa: F401 # part of the figure

    async def _read() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={**REQUEST, "stream": True}) as response,
        ):
            async for _ in response.content.iter_any():
                os._exit(0)  # do not wait until the stream has been closed

    asyncio.run(_read())
raise RuntimeError("the stream has no content")
