"""The files in dist/, which `make dist` builds before these tests."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)  # pip downloads the dependencies

ROOT = Path(__file__).parents[2]
NAME = "langchain_cerebras_inference"
PIP = ROOT / ".tools/bin/pip"  # .venv has none
CLIENT = ROOT / "tests/typing/user_program.py"

# Prints the version, and whether a completion has tokens.
IMPORT = f"""
import {NAME} as package
from {NAME}.emulator import Emulator

assert "site-packages" in package.__file__
with Emulator() as server:
    model = package.ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
    print(package.__version__, model.invoke("Hello!").usage_metadata["total_tokens"] > 0)
"""


def run(*command: object, folder: Path, **variables: str) -> str:
    """Run a command outside of the checkout; return its output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


@pytest.fixture(scope="module")
def wheel() -> Path:
    [path] = (ROOT / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist() -> Path:
    [path] = (ROOT / "dist").glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def unpacked_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def installed_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with only the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    pip = (PIP, "--disable-pip-version-check", "--python", folder)
    run(*pip, "install", "-qq", "--no-compile", wheel, folder=folder)
    run(*pip, "check", folder=folder)
    return folder / "bin/python"


def test_second_build_from_the_sdist_has_the_same_bytes(
    wheel: Path, sdist: Path, unpacked_sdist: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        times = {member.mtime for member in archive.getmembers()}

    assert len(times) == 1
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path),
        folder=unpacked_sdist,
        SOURCE_DATE_EPOCH=str(int(times.pop())),
    )
    for first in (wheel, sdist):
        assert (tmp_path / first.name).read_bytes() == first.read_bytes(), first.name


def test_wheel_has_the_package_its_type_marker_and_its_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    folders = {name.split("/")[0] for name in names}
    assert {folder.split("-")[0] for folder in folders} == {NAME}
    assert f"{NAME}/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_sdist_has_every_file_of_the_repository(unpacked_sdist: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("git lists the files")
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n")  # noqa: S607
    expected = {name for name in tracked if name and not name.startswith((".ci/", ".git"))}

    missing = {name for name in expected if not (unpacked_sdist / name).exists()}

    assert missing == set()


def test_unit_tests_of_the_sdist_run(unpacked_sdist: Path) -> None:
    tests = ["tests/unit/test_documented_tests.py", "tests/unit/test_sse.py"]

    output = run(sys.executable, "-m", "pytest", "-q", *tests, folder=unpacked_sdist)

    assert " passed" in output


def test_wheel_runs_in_an_empty_environment(
    wheel: Path, installed_python: Path, tmp_path: Path
) -> None:
    output = run(installed_python, "-W", "error", "-c", IMPORT, folder=tmp_path)

    assert output == f"{wheel.name.split('-')[1]} True\n"


def test_mypy_finds_the_types_of_the_installed_wheel(
    installed_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "client.py").write_bytes(CLIENT.read_bytes())
    command = (sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache")

    run(*command, "--python-executable", installed_python, "client.py", folder=tmp_path)


def test_pyright_finds_the_types_of_the_installed_wheel(
    installed_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "client.py").write_bytes(CLIENT.read_bytes())
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', "utf-8")
    command = (sys.executable, "-m", "basedpyright", "--pythonpath", installed_python)

    output = run(*command, "client.py", folder=tmp_path)

    assert "0 errors" in output
