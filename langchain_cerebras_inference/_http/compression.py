"""Compress request bodies, and remember the servers that do not accept compressed bodies.

Source: https://inference-docs.cerebras.ai/payload-optimization
"""

from __future__ import annotations

import asyncio

_LEVEL = 5
_MAX_BYTES_ON_EVENT_LOOP = 256 * 1024

rejecting_servers: set[str] = set()
"""The API base URLs of servers that have rejected a compressed body of this process."""


async def compress(body: bytes) -> bytes:
    """Compress a body with gzip; equal bodies give equal bytes.

    A large body is compressed in a thread, so that it does not block the event loop.
    """
    if len(body) > _MAX_BYTES_ON_EVENT_LOOP:
        return await asyncio.to_thread(_compress, body)
    return _compress(body)


def _compress(body: bytes) -> bytes:
    import gzip  # imported here, because most calls do not need it

    return gzip.compress(body, _LEVEL, mtime=0)
