"""Drive headless Chromium over its DevTools protocol."""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --password-store=basic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --hide-scrollbars --remote-debugging-port=0 about:blank"
).split()
SIZE = {"width": 900, "height": 900}
INTERVAL = 0.02


class Page:
    """A page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.exceptions: list[str] = []
        """The uncaught exceptions of the page's scripts."""

    async def open(self, url: str) -> None:
        await self.call("Runtime.enable")
        await self.call("Page.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", mobile=False, deviceScaleFactor=1, **SIZE
        )
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        reply = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def wait_for(self, expression: str, timeout: float = 20) -> Any:
        """Wait until an expression is true, and return its value."""
        async with asyncio.timeout(timeout):
            while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 # in a page
                await asyncio.sleep(INTERVAL)
        return value

    async def type(self, text: str) -> None:
        """Type a text into the element that has the focus."""
        await self.call("Input.insertText", text=text)

    async def take_screenshot(self) -> bytes:
        """Return a picture of the page as PNG."""
        reply = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(reply["data"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        await self._socket.send_json(
            {"id": self._number, "method": method, "params": parameters}
        )
        while True:
            message = await self._socket.receive_json()
            if message.get("method") == "Runtime.exceptionThrown":
                self.exceptions.append(json.dumps(message["params"]["exceptionDetails"]))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result


@asynccontextmanager
async def open_page(home: Path) -> AsyncIterator[Page]:
    """Start Chromium with an empty profile, and yield its page."""
    if shutil.which(CHROMIUM[0]) is None:
        pytest.skip(f"{CHROMIUM[0]} is not installed")
    process = await asyncio.create_subprocess_exec(
        *CHROMIUM,
        f"--user-data-dir={home}/chromium",
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"HOME": str(home)},
    )
    try:
        url = await _read_debugging_url(process)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}/json/list") as response:
                [target, *_] = [
                    item for item in await response.json() if item["type"] == "page"
                ]
            connect = client.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
            async with connect as socket:
                yield Page(socket)
    finally:
        process.terminate()
        await process.communicate()


async def _read_debugging_url(process: asyncio.subprocess.Process) -> str:
    assert process.stderr
    async for line in process.stderr:
        if b"DevTools listening on ws://" in line:
            return "http://" + line.decode().split("ws://")[1].split("/")[0]
    raise AssertionError("Chromium has no debugging port")
