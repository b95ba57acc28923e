"""The pytest plugin, in pytest runs of their own, and the documented test suite."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.example_servers import EXAMPLES
from tests.python_command import PYTEST

ROOT = EXAMPLES.parent
PLUGIN = "langchain_cerebras_inference.pytest_plugin"
VARIABLES_OF_A_DEVELOPER = {
    "CEREBRAS_API_BASE": "https://api.cerebras.ai/v1",
    "CEREBRAS_API_KEY": "csk-of-the-developer",
    "CEREBRAS_BASE_URL": "https://api.cerebras.ai/v1",
    "CEREBRAS_COOKIES": "next-auth.session-token=secret",
    "CEREBRAS_PROXY": "http://127.0.0.1:9",
    "CEREBRAS_QUOTA_STORE": "sqlite:////nowhere/quotas.db",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "example.com",
}


def run_pytest(
    directory: Path, *options: str, environment: dict[str, str] | None = None
) -> str:
    """Run the tests of a directory with no plugin but ours; return the output.

    All tests must pass without a warning.
    """
    process = subprocess.run(
        [*PYTEST, "-p", PLUGIN, "-rA", *options],
        cwd=directory,
        env=os.environ
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
        | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def write_tests(directory: Path, text: str) -> None:
    (directory / "test_program.py").write_text(text, "utf-8")


def test_plugin_imports_only_pytest_until_a_fixture_is_used(tmp_path: Path) -> None:
    write_tests(
        tmp_path,
        """
import sys

def test_before():
    assert not {"aiohttp", "pydantic", "langchain_core"} & sys.modules.keys()
    names = {name for name in sys.modules if name.startswith("langchain_cerebras_inference")}
    assert names == {
        "langchain_cerebras_inference", "langchain_cerebras_inference.pytest_plugin"
    }

def test_use(cerebras_emulator):
    assert "aiohttp" in sys.modules
    assert "langchain_core" not in sys.modules
""",
    )

    assert "2 passed" in run_pytest(tmp_path)


def test_import_of_the_plugin_imports_nothing_else() -> None:
    program = (
        "import sys, pytest, typing; before = {*sys.modules}\n"
        f"import {PLUGIN}\n"
        "print(*{*sys.modules} - before)"
    )

    output = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)

    assert set(output.split()) == {PLUGIN, PLUGIN.partition(".")[0]}


def test_models_without_settings_use_the_emulator_despite_the_environment(
    tmp_path: Path,
) -> None:
    write_tests(
        tmp_path,
        """
import os

from langchain_cerebras_inference import ChatCerebrasInference

before = dict(os.environ)

def test_environment(cerebras_emulator):
    assert ChatCerebrasInference().invoke("Hello!").text
    [request] = cerebras_emulator.requests
    assert request.bearer == cerebras_emulator.api_key

def test_cookies(cerebras_emulator):
    model = ChatCerebrasInference(cookies=cerebras_emulator.cookies)
    assert model.invoke("Hello!").text
    assert cerebras_emulator.requests[-1].bearer == cerebras_emulator.demo_key

def test_environment_is_restored():
    changed = {name for name in os.environ if before.get(name) != os.environ[name]}
    assert before.keys() - os.environ.keys() == set()
    assert changed == {"PYTEST_CURRENT_TEST"}
""",
    )

    output = run_pytest(tmp_path, environment=VARIABLES_OF_A_DEVELOPER)

    assert "3 passed" in output


def test_every_test_gets_a_new_emulator_and_a_model_for_it(tmp_path: Path) -> None:
    write_tests(
        tmp_path,
        """
import asyncio

from langchain_cerebras_inference.emulator import Refuse, Reply

seen = []

def test_first(cerebras_emulator, chat_cerebras_inference):
    cerebras_emulator.always(Reply("Ahoy!"))
    assert chat_cerebras_inference.invoke("Hello!").text == "Ahoy!"
    cerebras_emulator.always(Refuse(400))
    seen.append(cerebras_emulator.api_key)

def test_second(chat_cerebras_inference, cerebras_emulator):
    assert cerebras_emulator.requests == []
    assert cerebras_emulator.api_key not in seen
    message = asyncio.run(chat_cerebras_inference.ainvoke("Hello!"))
    assert "Hello!" in message.text
""",
    )

    assert "2 passed" in run_pytest(tmp_path)


def test_own_emulator_fixture_is_used_by_the_model_fixture(tmp_path: Path) -> None:
    write_tests(
        tmp_path,
        """
import pytest

from langchain_cerebras_inference.emulator import Emulator

@pytest.fixture
def cerebras_emulator():
    with Emulator(api_key="my-key") as server:
        yield server

def test_model(cerebras_emulator, chat_cerebras_inference):
    assert chat_cerebras_inference.invoke("Hello!").text
    assert cerebras_emulator.requests[0].bearer == "my-key"
""",
    )

    assert "1 passed" in run_pytest(tmp_path)


@pytest.mark.parametrize("options", [[], ["-p", "pytest_socket", "--allow-hosts=127.0.0.1"]])
def test_documented_test_suite_passes(tmp_path: Path, options: list[str]) -> None:
    shutil.copytree(EXAMPLES / "testing", tmp_path / "testing")
    tests = (EXAMPLES / "testing/test_tickets.py").read_text("utf-8")

    output = run_pytest(tmp_path / "testing", *options)

    assert sorted(re.findall(r"^PASSED \S+::(\w+)", output, re.MULTILINE)) == sorted(
        re.findall(r"^def (test_\w+)", tests, re.MULTILINE)
    )


def test_entry_point_has_the_name_of_the_module() -> None:
    # Otherwise `-p` with the name of the module would register the plugin twice.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
    assert find_spec(PLUGIN) is not None
