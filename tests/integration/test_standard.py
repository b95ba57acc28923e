from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

Detail = Literal[
    "audio_input",
    "audio_output",
    "reasoning_output",
    "cache_read_input",
    "cache_creation_input",
]


class OnEmulator(ChatModelIntegrationTests):
    """All that Cerebras can do, but for images: that test downloads one."""

    server: Emulator

    @pytest.fixture(autouse=True)
    def _serve(self, server: Emulator) -> None:
        self.server = server

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCerebrasInference

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.server.base_url, "api_key": self.server.api_key}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "qwen-3.8-27b"

    @property
    def supported_usage_metadata_details(
        self,
    ) -> dict[Literal["invoke", "stream"], list[Detail]]:
        details: list[Detail] = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer("Think hard.", stream=stream, reasoning_effort="high")

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        prompt = "The same again, please. " * 100
        self._answer(prompt, stream=stream)
        return self._answer(prompt, stream=stream)

    def _answer(self, prompt: str, *, stream: bool, **fields: Any) -> AIMessage:
        model = ChatCerebrasInference(**self.chat_model_params, **fields)
        if not stream:
            return model.invoke(prompt)
        first, *chunks = model.stream(prompt)
        assert isinstance(first, AIMessageChunk)
        return sum(chunks, first)


class TestJsonSchema(OnEmulator):
    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}


class TestFunctionCalling(OnEmulator):
    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}
