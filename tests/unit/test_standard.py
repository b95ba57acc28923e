from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, load
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
        fields = {
            "cerebras_api_key": "a key",
            "cerebras_api_base": "https://example.com/v1",
            "proxy": "http://proxy.example.com:3128",
            "quota_store": "redis://store.example.com",
        }
        return environment, {}, fields

    @pytest.mark.xfail(
        raises=ValueError,
        reason='load(allowed_objects="all") knows LangChain\'s own classes alone',
    )
    def test_serdes(self, model: BaseChatModel, snapshot: SnapshotAssertion) -> None:
        super().test_serdes(model, snapshot)


def test_what_is_dumped_loads_again_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "csk-" + "s" * 20
    model = ChatCerebrasInference(
        model="qwen-3.8-27b", api_key=key, temperature=0, stop=["\n"], max_tokens=10
    )

    dumped = dumpd(model)
    monkeypatch.setenv("CEREBRAS_API_KEY", key)
    loaded = load(
        dumped,
        allowed_objects=[ChatCerebrasInference],
        valid_namespaces=["langchain_cerebras_inference"],
        secrets_from_env=True,
    )

    assert key not in str(dumped)
    assert loaded == model
