import os
import re
from collections.abc import Iterator

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

_SETTINGS = re.compile(
    r"(CEREBRAS|OPENAI|LANGCHAIN|LANGSMITH|LC)_.*|.*_PROXY|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(_SETTINGS.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    return ChatCerebrasInference(base_url=server.base_url, api_key=server.api_key)
