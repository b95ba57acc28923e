"""A pytest plugin: fixtures for programs that use `ChatCerebrasInference`.

pytest loads it wherever this package is installed, also for tests of other programs. So it
imports only pytest until a fixture is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_cerebras_inference.chat_models import ChatCerebrasInference
    from langchain_cerebras_inference.emulator import Emulator

_REMOVED_VARIABLES = """
    CEREBRAS_BASE_URL CEREBRAS_COOKIES CEREBRAS_PROXY CEREBRAS_QUOTA_STORE
""".split()


@pytest.fixture
def cerebras_emulator() -> Iterator[Emulator]:
    """A local emulator of Cerebras, new for each test, and the environment variables for it.

    Models that the test creates without `base_url` and `api_key` use it. Variables with other
    credentials, cookies or proxies have no effect, so a test cannot reach the real service by
    mistake.
    """
    from langchain_cerebras_inference.emulator import Emulator

    with Emulator() as server, pytest.MonkeyPatch.context() as patch:
        for name in _REMOVED_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in _create_environment(server).items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def chat_cerebras_inference(cerebras_emulator: Emulator) -> Iterator[ChatCerebrasInference]:
    """A `ChatCerebrasInference` with default settings that uses `cerebras_emulator`."""
    from langchain_cerebras_inference.chat_models import ChatCerebrasInference

    model = ChatCerebrasInference(
        base_url=cerebras_emulator.base_url, api_key=cerebras_emulator.api_key
    )
    yield model
    model.close()


def _create_environment(server: Emulator) -> dict[str, str]:
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = f"{no_proxy},127.0.0.1".removeprefix(",")
    return {
        "CEREBRAS_API_BASE": server.base_url,
        "CEREBRAS_API_KEY": server.api_key,
        "CEREBRAS_SESSION_URL": server.session_url,
        "no_proxy": hosts,
        "NO_PROXY": hosts,
    }
