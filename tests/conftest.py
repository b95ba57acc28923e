"""What tests of several modules share."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._auth import key_exchange
from langchain_cerebras_inference._http import compression
from langchain_cerebras_inference._quota import registry
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.nursery import Nursery

DATA = Path(__file__).parent / "data"

# How long an example takes says more about the machine than about the code. To look
# longer: EXAMPLES=100000 pytest tests/unit/test_hostile.py
settings.register_profile(
    "plain",
    deadline=None,
    database=None,
    max_examples=int(os.environ.get("EXAMPLES", "100")),
)
settings.load_profile("plain")

_SETTINGS = re.compile(
    r"(CEREBRAS|OPENAI|LANGCHAIN|LANGSMITH|LC)_.*|.*_PROXY|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coalesce", action="store_true", help="every model joins what has arrived together"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--coalesce"):
        ChatCerebrasInference.model_fields["coalesce"].default = True
        ChatCerebrasInference.model_rebuild(force=True)


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Programs that tests start can be interrupted: in the background a shell forbids it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set decides no test."""
    for name in filter(_SETTINGS.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def clean_memory() -> None:
    """What is remembered of a server that is gone is not said of the next on its port."""
    key_exchange._keys.clear()
    compression.rejecting_servers.clear()
    registry.forget_all()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where programs come from, for tests that need many of them."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    with closing(Nursery()) as running:
        yield running


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """The bytes of a file in `data/`: event streams, and the same answers whole."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture
def server() -> Iterator[Emulator]:
    """A local Cerebras, for one test."""
    with Emulator() as running:
        yield running


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    """A model that talks to it with its API key."""
    return ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
