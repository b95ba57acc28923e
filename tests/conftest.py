"""Options and fixtures for all tests."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._auth import key_exchange
from langchain_cerebras_inference._http import compression, route
from langchain_cerebras_inference._quota import registry
from tests.quota_stores import require_redis, run_redis

DATA = Path(__file__).parent / "data"

# No deadline: how long an example takes depends on the machine. To search for longer:
# EXAMPLES=100000 pytest tests/unit/test_malformed_responses.py
settings.register_profile(
    "plain",
    deadline=None,
    database=None,
    max_examples=int(os.environ.get("EXAMPLES", "100")),
)
settings.load_profile("plain")

_REMOVED_VARIABLES = re.compile(
    r"(CEREBRAS|OPENAI|LANGCHAIN|LANGSMITH|LC)_.*|.*_PROXY|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coalesce", action="store_true", help="run every model with coalesce=True"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--coalesce"):
        ChatCerebrasInference.model_fields["coalesce"].default = True
        ChatCerebrasInference.model_rebuild(force=True)


@pytest.fixture(autouse=True, scope="session")
def enable_interrupts() -> None:
    """Let programs that tests start receive SIGINT, which a background shell ignores."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the developer that would change a test's result."""
    for name in filter(_REMOVED_VARIABLES.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def clear_process_caches() -> None:
    """Clear what the process caches about a server: another one may get its port."""
    key_exchange._demo_keys.clear()
    compression.rejecting_servers.clear()
    route.find_proxy.cache_clear()
    registry.forget_all()


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """A function that reads a recording in `data/`: a stream, or the same completion whole."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    require_redis()
    with run_redis(tmp_path) as url:
        yield url


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of the kind that the test names."""
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return f"sqlite:///{tmp_path}/quotas.db"
