"""Requests made smaller, and which servers do not take them so.

Source: https://inference-docs.cerebras.ai/payload-optimization
"""

from __future__ import annotations

import asyncio

_LEVEL = 5
_MOST_ON_THE_LOOP = 256 * 1024

_refusing: set[str] = set()


def is_refused_by(server: str) -> bool:
    """Whether a server is known to refuse compressed requests."""
    return server in _refusing


def remember_refusal(server: str) -> None:
    """Remember that a server refuses compressed requests."""
    _refusing.add(server)


async def gzipped(body: bytes) -> bytes:
    """Compress a body; equal bodies give equal bytes. A long one is done off the loop."""
    if len(body) > _MOST_ON_THE_LOOP:
        return await asyncio.to_thread(_gzipped, body)
    return _gzipped(body)


def _gzipped(body: bytes) -> bytes:
    import gzip  # not needed by most calls

    return gzip.compress(body, _LEVEL, mtime=0)
