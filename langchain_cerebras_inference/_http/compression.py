"""Compression of request bodies, and which servers do not accept it.

Source: https://inference-docs.cerebras.ai/payload-optimization
"""

from __future__ import annotations

import asyncio

_LEVEL = 5
_MAX_BYTES_ON_EVENT_LOOP = 256 * 1024

_rejecting_servers: set[str] = set()


def is_rejected_by(base_url: str) -> bool:
    """Return whether a server has rejected a compressed body before."""
    return base_url in _rejecting_servers


def remember_rejection(base_url: str) -> None:
    """Remember that a server rejects compressed bodies."""
    _rejecting_servers.add(base_url)


async def compress(body: bytes) -> bytes:
    """Compress a body with gzip, a long one in a thread; equal bodies give equal bytes."""
    if len(body) > _MAX_BYTES_ON_EVENT_LOOP:
        return await asyncio.to_thread(_compress, body)
    return _compress(body)


def _compress(body: bytes) -> bytes:
    import gzip  # most calls do not need it

    return gzip.compress(body, _LEVEL, mtime=0)
