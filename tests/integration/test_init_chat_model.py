"""`init_chat_model("cerebras:...")` of LangChain, after `enable_init_chat_model()`.

The tests change a private table of LangChain, as `enable_init_chat_model` does.
"""

from typing import Any

import pytest
from langchain.chat_models import base, init_chat_model

from langchain_cerebras_inference import ChatCerebrasInference, enable_init_chat_model
from langchain_cerebras_inference.emulator import Emulator


@pytest.fixture
def enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable the provider for one test."""
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS))
    enable_init_chat_model()


def test_init_chat_model_creates_models_of_the_enabled_provider(
    enabled: None, server: Emulator
) -> None:
    settings: dict[str, Any] = {"base_url": server.base_url, "api_key": server.api_key}

    model = init_chat_model("cerebras:gpt-oss-120b", temperature=0, **settings)

    assert isinstance(model, ChatCerebrasInference)
    assert (model.model_name, model.temperature) == ("gpt-oss-120b", 0)
    assert model.invoke("Hello!").text


def test_init_chat_model_creates_configurable_models(enabled: None, server: Emulator) -> None:
    model: Any = init_chat_model(
        configurable_fields=("model",), base_url=server.base_url, api_key=server.api_key
    )

    message = model.invoke(
        "Hello!", config={"configurable": {"model": "cerebras:qwen-3.8-27b"}}
    )

    assert message.response_metadata["model_name"] == "qwen-3.8-27b"


def test_provider_is_unknown_before_it_is_enabled() -> None:
    with pytest.raises(ValueError, match="cerebras"):
        init_chat_model("cerebras:gpt-oss-120b")


@pytest.mark.parametrize(
    "table", [None, {}, [], {"groq": ("module",)}, {"groq": ("a", "b", 1)}], ids=str
)
def test_changed_table_of_providers_is_an_error(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", table)

    with pytest.raises(RuntimeError, match="table of providers"):
        enable_init_chat_model()
