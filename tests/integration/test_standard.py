"""LangChain's standard integration tests for chat models, run on the emulator."""

import base64
from typing import Any, Literal

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator

UsageDetail = Literal[
    "audio_input",
    "audio_output",
    "reasoning_output",
    "cache_read_input",
    "cache_creation_input",
]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class EmulatorTests(ChatModelIntegrationTests):
    """What every model can do. The name does not match `Test*`: only subclasses run."""

    server: Emulator

    @pytest.fixture(autouse=True)
    def _set_server(self, server: Emulator) -> None:
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
    ) -> dict[Literal["invoke", "stream"], list[UsageDetail]]:
        details: list[UsageDetail] = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._complete("Think hard.", stream=stream, reasoning_effort="high")

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        prompt = "The same again, please. " * 100
        self._complete(prompt, stream=stream)
        return self._complete(prompt, stream=stream)

    def _complete(self, prompt: str, *, stream: bool, **settings: Any) -> AIMessage:
        model = ChatCerebrasInference(**self.chat_model_params, **settings)
        if not stream:
            return model.invoke(prompt)
        first, *others = model.stream(prompt)
        assert isinstance(first, AIMessageChunk)
        return sum(others, first)


class TestJsonSchema(EmulatorTests):
    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}


class TestVision(TestJsonSchema):
    """A model that accepts images as data, but not by URL."""

    @pytest.fixture(autouse=True)
    def _replace_download(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give LangChain's tests the image that they would download."""
        response = httpx.Response(200, content=PNG)
        monkeypatch.setattr(httpx, "get", lambda *_args, **_options: response)

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "model": "qwen-3.8-27b"}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return False

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "gpt-oss-120b"


class TestOutputVersion1(TestVision):
    """Messages whose content is a list of content blocks."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "output_version": "v1"}


class TestFunctionCalling(EmulatorTests):
    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}
