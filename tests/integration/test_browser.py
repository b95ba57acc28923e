"""Real browsers sign in to the emulator; their cookies are read back and exchanged."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

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


def in_chromium(page: str, home: Path) -> None:
    run([*CHROMIUM, f"--user-data-dir={home}/.config/chromium", page])


def in_firefox(page: str, home: Path) -> None:
    run([*FIREFOX, str(home / "page.png"), page])


BROWSERS = {"chromium": in_chromium, "firefox": in_firefox}


def run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    subprocess.run(command, env=os.environ, check=True, capture_output=True, timeout=50)


@pytest.mark.parametrize("names_it", [True, False])
@pytest.mark.parametrize(("name", "visit"), BROWSERS.items())
def test_who_signed_in_with_a_browser_is_signed_in(
    name: str, visit: Callable[[str, Path], None], names_it: bool, server: Emulator, home: Path
) -> None:
    visit(f"{server.origin}/api/auth/signin", home)
    model = ChatCerebrasInference(
        base_url=server.base_url,
        session_url=server.session_url,
        cookies=f"browser:{name}" if names_it else "browser",
    )

    answer = model.invoke("Hello!")

    [session] = [each for each in server.requests if each.path == "/api/auth/session"]
    [cookie] = server.cookies.items()
    assert answer.text
    assert session.headers["Cookie"] == "=".join(cookie)
    assert server.requests[-1].bearer == server.demo_key
    assert model.credential().source == "browser"
