"""Ray and Dask on this machine: their workers share a quota, and their logs have no secrets.

The engines run in processes of their own. Without an engine, its tests are skipped.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.quota_stores import REDIS_PASSWORD, both_stores

pytestmark = [pytest.mark.scale, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {"ray": "ray_data.py", "dask": "dask_bag.py"}

# What the command line of a worker contains.
WORKER_NAMES = {"ray": "MapWorker", "dask": "spawn_main"}

# What the engine writes about a worker.
LOG_FILES = {"ray": "ray/session_*/logs/worker-*.out", "dask": "output.log"}

ALLOWED_PER_SECOND = 125


@pytest.fixture(params=["ray", "dask"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is NOT INSTALLED: the tests of this engine do not run")
    return name


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the files of an engine. Its path is short, because Ray adds long names."""
    with tempfile.TemporaryDirectory(prefix="scale", ignore_cleanup_errors=True) as path:
        yield Path(path)


def create_server() -> Emulator:
    """Create an emulator with a quota of requests."""
    return Emulator(
        requests_per_minute=60 * ALLOWED_PER_SECOND,
        burst=ALLOWED_PER_SECOND,
        latency=(0.01, 0.05),
    )


@contextmanager
def run(
    command: list[str], folder: Path, server: Emulator, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a program. Its engine writes all files into the folder, and ends with the test."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "DASK_"))
    }
    settings = {
        "CEREBRAS_API_BASE": server.base_url,
        "CEREBRAS_API_KEY": server.api_key,
        "DASK_TEMPORARY_DIRECTORY": str(folder),
        "HOME": str(folder),  # Ray writes a token into it
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with (
        (folder / "output.log").open("w", encoding="utf-8") as output,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**inherited, **settings, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        ) as program,
    ):
        try:
            yield program
        finally:
            for process in find_processes(program):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            program.kill()


@contextmanager
def run_example(
    engine: str, prompts: int, folder: Path, server: Emulator, store_url: str
) -> Iterator[subprocess.Popen[str]]:
    """Run the example of an engine on a file of prompts."""
    lines = (
        json.dumps({"id": number, "prompt": f"Describe the number {number} in ten words." * 3})
        for number in range(prompts)
    )
    (folder / "prompts.jsonl").write_text("\n".join(lines), "utf-8")
    command = [str(EXAMPLES / PROGRAMS[engine]), "prompts.jsonl", "answers"]
    with run(command, folder, server, CEREBRAS_QUOTA_STORE=store_url) as program:
        yield program


def wait_until_accepted(
    count: int, server: Emulator, program: subprocess.Popen[str], folder: Path
) -> None:
    """Wait until the server has accepted a number of requests of a running program."""
    while server.accepted < count:
        assert program.poll() is None, read_logs(folder)
        time.sleep(0.1)


def find_processes(program: subprocess.Popen[str]) -> list[psutil.Process]:
    """Find all processes that a program has started and that run."""
    try:
        processes: list[psutil.Process] = psutil.Process(program.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return processes


def find_workers(engine: str, program: subprocess.Popen[str]) -> list[psutil.Process]:
    """Find the processes of the actors or workers of a running program."""
    workers = []
    for process in find_processes(program):
        with suppress(psutil.NoSuchProcess):
            if WORKER_NAMES[engine] in " ".join(process.cmdline()):
                workers.append(process)
    return workers


def read_logs(folder: Path) -> str:
    """Read everything that a program and its engine have written into the folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return "\n".join(path.read_text("latin-1") for path in paths)


def read_answers(folder: Path) -> list[dict[str, Any]]:
    files = (folder / "answers").iterdir()
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@both_stores
def test_four_workers_use_the_whole_quota(engine: str, folder: Path, store_url: str) -> None:
    with create_server() as server:
        with run_example(engine, 2_000, folder, server, store_url) as program:
            wait_until_accepted(1_500, server, program, folder)
            memory = [worker.memory_info().rss for worker in find_workers(engine, program)]
            assert program.wait() == 0, read_logs(folder)
        times = [request.time for request in server.requests if request.status == 200]

    seconds = max(times) - min(times)
    # At the start, the bucket holds the requests of a second.
    usage = server.accepted / (ALLOWED_PER_SECOND * (1 + seconds))
    print(  # noqa: T201 # figures for the reader
        f"\n{engine}: {server.accepted} accepted, {server.rejected} rejected"
        f" ({server.rejected / server.accepted:.1%}), {seconds:.2f} s,"
        f" {usage:.1%} of the quota used, {len(memory)} workers"
        f" of {statistics.median(memory) / 1e6:.0f} MB each"
    )
    answers = read_answers(folder)
    assert {answer["error"] for answer in answers} == {""}
    assert sorted(answer["id"] for answer in answers) == list(range(2_000))
    assert len(memory) == 4
    assert server.accepted == 2_000
    assert server.rejected <= 40
    assert usage >= 0.85
    logs = read_logs(folder)
    assert server.api_key not in logs
    assert REDIS_PASSWORD not in logs


def test_prompts_of_a_killed_worker_are_completed(
    engine: str, folder: Path, tmp_path: Path
) -> None:
    store_url = f"sqlite:///{tmp_path}/quotas.db"
    with (
        create_server() as server,
        run_example(engine, 400, folder, server, store_url) as program,
    ):
        wait_until_accepted(150, server, program, folder)
        find_workers(engine, program)[0].kill()
        assert program.wait() == 0, read_logs(folder)

    answers = read_answers(folder)
    assert {answer["error"] for answer in answers} == {""}
    assert sorted(answer["id"] for answer in answers) == list(range(400))


# --- secrets ---------------------------------------------------------------------------

# The workers inherit the environment of the program as it is when the engine starts.
CALL_AND_FAIL = {
    "ray": """
import os, sys
import ray.data
from langchain_cerebras_inference import ChatCerebrasInference

class Caller:
    def __init__(self, model):
        self.model = model

    def __call__(self, batch):
        print("The worker called", self.model, "and got", self.model.invoke("Hello!").text)
        raise RuntimeError("failure of the worker")

def read_key():
    return os.environ["CEREBRAS_API_KEY"]

if __name__ == "__main__":
    ray.init()
    key = os.environ.pop("CEREBRAS_API_KEY")
    model = ChatCerebrasInference(api_key=read_key if sys.argv[1] == "function" else key)
    ray.data.range(1).map_batches(
        Caller,
        fn_constructor_args=(model,),
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0.2,
    ).materialize()
""",
    "dask": """
import os, sys
import dask.bag
from distributed import Client
from langchain_cerebras_inference import ChatCerebrasInference

def call(rows, model):
    print("The worker called", model, "and got", model.invoke("Hello!").text)
    raise RuntimeError("failure of the worker")

def read_key():
    return os.environ["CEREBRAS_API_KEY"]

if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=1):
        key = os.environ.pop("CEREBRAS_API_KEY")
        model = ChatCerebrasInference(api_key=read_key if sys.argv[1] == "function" else key)
        dask.bag.range(1, npartitions=1).map_partitions(call, model).compute()
""",
}


@pytest.mark.parametrize("api_key", ["function", "string"])
def test_logs_of_a_failed_worker_have_no_secrets(
    engine: str, api_key: str, folder: Path
) -> None:
    """With a function, the program itself has no key when it pickles the model."""
    (folder / "program.py").write_text(CALL_AND_FAIL[engine], "utf-8")
    store_url = f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"  # nothing listens there
    command = ["program.py", api_key]
    with (
        Emulator() as server,
        run(command, folder, server, CEREBRAS_QUOTA_STORE=store_url) as program,
    ):
        assert program.wait() == 1, read_logs(folder)

    logs = read_logs(folder)
    assert list(folder.glob(LOG_FILES[engine]))
    assert "The worker called" in logs
    assert "and got You said" in logs
    assert "failure of the worker" in logs
    assert "quota store does not work" in logs
    assert server.accepted == 1
    assert server.api_key not in logs
    assert REDIS_PASSWORD not in logs
