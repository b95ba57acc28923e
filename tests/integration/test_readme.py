import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.programs import ForkServer

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


RUN_TEST = """
import pytest, sys
sys.exit(pytest.main(["-p", "no:asyncio", "test_block.py"]))
"""
PROGRAMS = [
    pytest.param(block, id="-".join(re.findall(r"\w+", section.lower())))
    for section, block in programs()
]


@pytest.fixture
def environment(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader has set, but for the emulator."""
    pairs = (f"{name}={value}" for name, value in server.cookies.items())
    monkeypatch.setenv("CEREBRAS_COOKIES", "; ".join(pairs))
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)


def test_every_python_block_is_found() -> None:
    assert len(PROGRAMS) == TEXT.count("```python")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("program", PROGRAMS)
def test_pages_run_as_written_in(
    program: str,
    server: Emulator,
    fork_server: ForkServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "\ndef test_" in program:
        Path("test_block.py").write_text(program, "utf-8")
        program = RUN_TEST

    said = fork_server.run_program(program, server)

    assert said or "print" not in program
