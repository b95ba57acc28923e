"""Real browsers sign in to the emulator; the package reads their cookies."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.helpers import create_cookie_model, get_cookie_header, get_key_exchanges

pytestmark = pytest.mark.browser

CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --password-store=basic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync --dump-dom"
).split()
FIREFOX = ["firefox-esr", "--headless", "--no-remote", "--screenshot"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, env=os.environ, check=True, capture_output=True, timeout=50)


def open_in_chromium(url: str, home: Path) -> None:
    run([*CHROMIUM, f"--user-data-dir={home}/.config/chromium", url])


def open_in_firefox(url: str, home: Path) -> None:
    run([*FIREFOX, str(home / "page.png"), url])


BROWSERS = {"chromium": open_in_chromium, "firefox": open_in_firefox}


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize(("browser", "open_url"), BROWSERS.items())
def test_cookies_of_a_real_browser_are_exchanged(
    browser: str,
    open_url: Callable[[str, Path], None],
    is_named: bool,
    server: Emulator,
    home: Path,
) -> None:
    open_url(f"{server.origin}/api/auth/signin", home)
    model = create_cookie_model(server, cookies=f"browser:{browser}" if is_named else "browser")

    message = model.invoke("Hello!")

    [exchange] = get_key_exchanges(server)
    assert message.text
    assert exchange.headers["Cookie"] == get_cookie_header(server)
    assert server.requests[-1].bearer == server.demo_key
    assert model.credential().source == "browser"
