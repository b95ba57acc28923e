"""Stores that several processes share: a file of SQLite, or a Redis server."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REDIS_PASSWORD = "password-of-redis"

both_stores = pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)


def require_redis() -> None:
    """Skip the test if Redis is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is NOT INSTALLED: the store in Redis is not tested")
    pytest.importorskip("redis", reason="the package redis is NOT INSTALLED")


@contextmanager
def run_redis(directory: Path) -> Iterator[str]:
    """Run a Redis server; its URL has a password."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--requirepass",
        REDIS_PASSWORD,
        "--save",
        "",
        "--dir",
        str(directory),
    ]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)  # noqa: S607
    try:
        for _ in range(500):
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://:{REDIS_PASSWORD}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
