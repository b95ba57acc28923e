"""Every Python block of the documentation runs as it is written, and so does every diff."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.example_servers import run_example_server
from tests.integration.programs import ForkServer

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)

# The address of examples/server.py in the documentation. Here, it gets a free port.
EXAMPLE_SERVER = "http://127.0.0.1:8000"

# A block that defines tests is saved as test_block.py, and this program runs it.
RUN_PYTEST = """
import pytest, sys
plugin = "langchain_cerebras_inference.pytest_plugin"
sys.exit(pytest.main(["-p", "no:asyncio", "-p", plugin, "test_block.py"]))
"""


def find_python_blocks() -> Iterator[tuple[str, str]]:
    """Yield the heading and the text of every Python block."""
    heading = ""
    for match in re.finditer(
        r"^```python\n(?P<block>.*?)^```$|^```.*?^```$|^#+ (?P<heading>.+?)$",
        TEXT,
        re.DOTALL | re.MULTILINE,
    ):
        heading = match["heading"] or heading
        if match["block"]:
            yield heading, match["block"]


BLOCKS = [
    pytest.param(block, id="-".join(re.findall(r"\w+", heading.lower())))
    for heading, block in find_python_blocks()
]


def find_new_sides_of_diffs() -> Iterator[str]:
    """Yield the program that each diff of the documentation leads to."""
    for diff in re.findall(r"^```diff\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        lines = diff.splitlines()
        yield "\n".join(line[1:] for line in lines if not line.startswith("-"))


DIFFS = list(find_new_sides_of_diffs())


@pytest.fixture
def cookies_in_environment(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the cookies; a program also gets the emulator's URL and API key."""
    cookies = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
    monkeypatch.setenv("CEREBRAS_COOKIES", cookies)
    monkeypatch.setenv("CEREBRAS_SESSION_URL", server.session_url)


def test_every_python_block_is_found() -> None:
    assert len(BLOCKS) == TEXT.count("```python")


@pytest.mark.usefixtures("cookies_in_environment")
@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_runs(
    block: str,
    server: Emulator,
    fork_server: ForkServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    program = block
    if "\ndef test_" in block:
        Path("test_block.py").write_text(block, "utf-8")
        program = RUN_PYTEST

    if EXAMPLE_SERVER in program:
        with run_example_server("server.py", server) as url:
            output = fork_server.run_program(program.replace(EXAMPLE_SERVER, url), server)
    else:
        output = fork_server.run_program(program, server)

    assert output or "print" not in block


@pytest.mark.parametrize("program", DIFFS)
def test_program_after_a_documented_change_runs(
    program: str, server: Emulator, fork_server: ForkServer
) -> None:
    output = fork_server.run_program(program, server)

    assert "ChatCerebrasInference(" in program
    assert 'You said: "Why is the sky blue?"' in output


def test_every_documented_change_is_found() -> None:
    assert len(DIFFS) == TEXT.count("```diff") > 0
