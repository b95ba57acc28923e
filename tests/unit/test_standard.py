"""LangChain's standard unit tests for chat models."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion

from langchain_cerebras_inference import ChatCerebrasInference

pytestmark = pytest.mark.filterwarnings("ignore:The function `load` is in beta")


class TestStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatCerebrasInference]:
        return ChatCerebrasInference

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-oss-120b", "api_key": "test"}

    @property
    def init_from_env_params(
        self,
    ) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {
            "CEREBRAS_API_KEY": "a key",
            "CEREBRAS_API_BASE": "https://example.com/v1",
            "CEREBRAS_PROXY": "http://proxy.example.com:3128",
            "CEREBRAS_QUOTA_STORE": "redis://store.example.com",
        }
        settings = {
            "cerebras_api_key": "a key",
            "cerebras_api_base": "https://example.com/v1",
            "proxy": "http://proxy.example.com:3128",
            "quota_store": "redis://store.example.com",
        }
        return environment, {}, settings

    @pytest.mark.xfail(
        raises=ValueError,
        reason='load(allowed_objects="all") knows only the classes of LangChain itself',
    )
    def test_serdes(self, model: BaseChatModel, snapshot: SnapshotAssertion) -> None:
        super().test_serdes(model, snapshot)
