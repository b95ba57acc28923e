"""Compression of request bodies, and which servers do not accept it.

Source: https://inference-docs.cerebras.ai/payload-optimization
"""

from __future__ import annotations

import asyncio

_LEVEL = 5
_MAX_BYTES_ON_EVENT_LOOP = 256 * 1024

rejecting_servers: set[str] = set()
"""The API URLs of servers that have rejected a compressed body in this process."""


async def compress(body: bytes) -> bytes:
    """Compress a body with gzip, a long one in a thread; equal bodies give equal bytes."""
    if len(body) > _MAX_BYTES_ON_EVENT_LOOP:
        return await asyncio.to_thread(_compress, body)
    return _compress(body)


def _compress(body: bytes) -> bytes:
    import gzip  # most calls do not need it

    return gzip.compress(body, _LEVEL, mtime=0)
