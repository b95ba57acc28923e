"""Uses of private names of asyncio and aiohttp, and their fallbacks."""

# ruff: noqa: SLF001 # this module exists to use private names

from __future__ import annotations

from typing import Any

import aiohttp

from langchain_cerebras_inference._private_names_switch import PRIVATE_NAMES_ALLOWED


def close_transport(transport: Any) -> None:
    """Close the socket of a transport whose event loop is closed.

    The transport's own `close` needs the event loop. Without the private names nothing is
    done: the socket stays open until garbage collection, which emits a `ResourceWarning`.
    """
    if not PRIVATE_NAMES_ALLOWED:
        return
    ssl_protocol = getattr(transport, "_ssl_protocol", None)
    inner_transport = getattr(ssl_protocol, "_transport", None)
    if inner_transport is not None:
        transport._closed = True
        close_transport(inner_transport)
    elif getattr(transport, "_sock", None) is not None:
        transport._sock.close()
        transport._sock = None


def abandon_connections(connector: aiohttp.BaseConnector) -> None:
    """Remove the connections from a connector without closing them, in a forked process.

    Closing a TLS connection would write into the socket that the parent process still uses.
    Without the private names nothing is done: the connections stay open until the process
    exits.
    """
    connections = getattr(connector, "_conns", None)
    if PRIVATE_NAMES_ALLOWED and connections is not None:
        connections.clear()
        connector._closed = True
