"""LangServe's playground of examples/server.py, in headless Chromium.

SCREENSHOT=docs/images/playground.png make test-browser
replaces the documentation's picture.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference.emulator import Emulator, Reply
from tests.integration.devtools import Page, open_page
from tests.integration.example_servers import run_example_server
from tests.integration.helpers import get_chat_requests

pytestmark = pytest.mark.browser

COMPLETION = (
    "The Moon pulls on the sea, a little like a magnet. The water on the side that faces the"
    " Moon bulges out, and so does the water on the far side.\n\nThe Earth turns once a day, so"
    " your beach passes through both bulges: twice a day the sea comes in, and twice a day it"
    " goes out again. That is the tide!"
)
EVENT_SECONDS = 0.15
FIELD_SECONDS = 0.5
"""The playground reads and renders a field with a delay, which is much shorter than this."""

PLUS_BUTTON = "document.querySelector('button')"
START_BUTTON = """
[...document.querySelectorAll('button')].find(button => button.innerText.includes('Start'))
"""
OUTPUT = """
[...document.querySelectorAll('h2')].find(title => title.innerText.includes('Output'))
    ?.parentElement.innerText ?? ''
"""


@pytest.fixture
def langserve_url(server: Emulator) -> Iterator[str]:
    server.always(Reply(COMPLETION, reasoning="Tides, for a child.", pace=EVENT_SECONDS))
    with run_example_server("server.py", server) as url:
        yield url


async def click(page: Page, button: str) -> None:
    """Click a button, once it exists and is enabled."""
    await page.wait_for(f"({button})?.disabled === false")
    await page.evaluate(f"({button}).click()")


async def fill_in(page: Page, field: str, value: str, enter: Callable[[], Any]) -> None:
    """Enter a value, and again if the playground has replaced it in the meantime."""
    await page.wait_for(f"!!{field}")
    await asyncio.sleep(FIELD_SECONDS)
    async with asyncio.timeout(20):
        while await page.evaluate(f"{field}.value") != value:
            await enter()
            await asyncio.sleep(FIELD_SECONDS)


async def choose(page: Page, name: str, option: str) -> None:
    """Choose an option of a select box."""
    box = f"document.getElementById('#/properties/{name}-input')"
    event = "new Event('change', {bubbles: true})"
    choice = f"{box}.value = '{option}'; {box}.dispatchEvent({event})"
    await fill_in(page, box, option, lambda: page.evaluate(choice))


async def type_into_text_area(page: Page, text: str) -> None:
    area = "document.querySelector('textarea')"

    async def replace_text() -> None:
        await page.evaluate(f"{area}.select()")
        await page.type(text)

    await fill_in(page, area, text, replace_text)


async def read_texts_until_complete(page: Page) -> list[str]:
    """Read the output until it contains the completion; return all texts on the way."""
    texts = [""]
    async with asyncio.timeout(20):
        while COMPLETION not in texts[-1]:
            text = await page.evaluate(OUTPUT)
            if text != texts[-1] and COMPLETION[:8] in text:
                texts.append(text)
    return texts


def check_that_text_grew(texts: list[str]) -> None:
    assert len(texts) > 4
    assert sorted(texts, key=len) == texts


async def test_playground_of_a_chain_streams_the_completion(
    langserve_url: str, server: Emulator, tmp_path: Path
) -> None:
    async with open_page(tmp_path) as page:
        await page.open(f"{langserve_url}/chain/playground/")
        await choose(page, "length", "short")
        await choose(page, "reasoning_effort", "high")
        await type_into_text_area(page, "tides")
        await click(page, START_BUTTON)
        texts = await read_texts_until_complete(page)
        await page.wait_for(f"!!({START_BUTTON})")
        picture = await page.take_screenshot()

    file = Path(os.environ.get("SCREENSHOT") or tmp_path / "playground.png")
    await asyncio.to_thread(file.write_bytes, picture)
    [request] = get_chat_requests(server)
    check_that_text_grew(texts)
    assert request.body["messages"][0]["content"] == "Explain tides to a ten-year-old."
    assert request.body["reasoning_effort"] == "high"
    assert request.body["max_completion_tokens"] == 500
    assert page.exceptions == []


async def test_playground_of_a_model_streams_the_completion(
    langserve_url: str, server: Emulator, tmp_path: Path
) -> None:
    async with open_page(tmp_path) as page:
        await page.open(f"{langserve_url}/model/playground/")
        await click(page, PLUS_BUTTON)
        await type_into_text_area(page, "What are tides?")
        await click(page, START_BUTTON)
        texts = await read_texts_until_complete(page)

    [request] = get_chat_requests(server)
    check_that_text_grew(texts)
    assert request.body["messages"] == [{"role": "user", "content": "What are tides?"}]
    assert page.exceptions == []
