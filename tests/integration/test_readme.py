import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_cerebras_inference.emulator import Emulator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)


def programs() -> Iterator[tuple[str, str]]:
    """Name the section of every Python block, and give its text."""
    section = ""
    for found in re.finditer(
        r"^```python\n(?P<block>.*?)^```$|^```.*?^```$|^#+ (?P<section>.+?)$",
        TEXT,
        re.DOTALL | re.MULTILINE,
    ):
        section = found["section"] or section
        if found["block"]:
            yield section, found["block"]


PROGRAMS = [
    pytest.param(block, id="-".join(re.findall(r"\w+", section.lower())))
    for section, block in programs()
]


@pytest.fixture
def environment(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader has set, but for the emulator."""
    pairs = (f"{name}={value}" for name, value in server.cookies.items())
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    monkeypatch.setenv("CEREBRAS_COOKIES", "; ".join(pairs))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)
    monkeypatch.setenv("PYTHONUTF8", "1")


def test_every_python_block_is_found() -> None:
    assert len(PROGRAMS) == TEXT.count("```python")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("program", PROGRAMS)
def test_pages_run_as_written_in(program: str, tmp_path: Path) -> None:
    file = tmp_path / "test_block.py"
    file.write_text(program, "utf-8")
    runner = ["-m", "pytest", "-p", "no:asyncio"] if "\ndef test_" in program else []
    command = [sys.executable, *runner, str(file)]

    done = subprocess.run(
        command, capture_output=True, check=False, cwd=tmp_path, encoding="utf-8"
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout or "print" not in program
