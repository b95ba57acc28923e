"""vcrpy records and replays the responses in every call style."""

import re
import subprocess
from pathlib import Path

import pytest
import vcr

from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import NON_STREAMING_STYLES, STREAMING_STYLES, CallStyle
from tests.integration.helpers import create_model
from tests.integration.programs import ROOT, create_environment
from tests.python_command import PYTEST

REPLY = Reply(
    reasoning="Let me see.",
    content="I will ask a tool.",
    tool_calls=[ToolCall("magic", {"input": 3}, id="a")],
)


@pytest.mark.parametrize("name", [*NON_STREAMING_STYLES, *STREAMING_STYLES])
def test_replayed_message_equals_the_recorded_one(
    name: str, server: Emulator, tmp_path: Path
) -> None:
    call_style: CallStyle = {**NON_STREAMING_STYLES, **STREAMING_STYLES}[name]
    recorder = vcr.VCR(match_on=["method", "path", "body"], filter_headers=["authorization"])
    file = tmp_path / "recording.yaml"
    server.script(REPLY)

    with recorder.use_cassette(str(file)):
        recorded = call_style(create_model(server), "Hello!")
    server.stop()
    with recorder.use_cassette(str(file), record_mode="none") as recording:
        replayed = call_style(create_model(server, api_key="another key"), "Hello!")

    assert recording.all_played
    assert len(server.requests) == 1
    assert server.api_key not in file.read_text("utf-8")
    assert recorded.tool_calls
    assert replayed.content_blocks == recorded.content_blocks
    assert replayed.usage_metadata == recorded.usage_metadata


def find_documented_recipe() -> str:
    """Return the Python block of docs/testing.md that uses vcrpy."""
    text = (ROOT / "docs/testing.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(import vcr\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block)


def test_documented_recipe_records_once_and_then_replays(
    server: Emulator, tmp_path: Path
) -> None:
    recipe = find_documented_recipe()
    (tmp_path / "test_recipe.py").write_text(recipe, "utf-8")

    def run() -> str:
        command = [*PYTEST, "-q", "-p", "no:cacheprovider"]
        variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
        process = subprocess.run(
            command,
            cwd=tmp_path,
            env=create_environment(server) | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return process.stdout

    assert "1 passed" in run()
    server.stop()
    assert "1 passed" in run()

    [recording] = tmp_path.glob("recordings/*.yaml")
    assert len(server.requests) == 1
    assert server.api_key not in recording.read_text("utf-8")
    assert len([line for line in recipe.splitlines() if line.strip()]) <= 10
