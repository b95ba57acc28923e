"""Fixtures for the tests with packages that build on LangChain.

The packages are in the dependency group `ecosystem`; without them, no test is collected.
"""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.helpers import create_model

PACKAGES = ["deepagents", "langchain_mcp_adapters", "openinference", "opentelemetry"]
if not all(map(find_spec, PACKAGES)):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator for one test."""
    with Emulator() as running:
        yield running


@pytest.fixture
def model(server: Emulator) -> Iterator[ChatCerebrasInference]:
    """A model that talks to `server`."""
    with create_model(server) as model:
        yield model
