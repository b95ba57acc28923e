"""`list_models` and `alist_models`."""

import asyncio

import pytest

from langchain_cerebras_inference import CerebrasRateLimitError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply


def test_list_models_adds_the_details_of_the_public_catalog(
    model: ChatCerebrasInference,
) -> None:
    models = model.list_models()

    gpt, qwen = models
    assert [gpt.id, qwen.id] == ["gpt-oss-120b", "qwen-3.8-27b"]
    assert (gpt.context_tokens, gpt.output_tokens, gpt.images) == (131_072, 40_960, False)
    assert (qwen.input_price, qwen.output_price, qwen.images) == (0.99, 1.49, True)
    assert qwen.owner == "Alibaba"
    assert (gpt.preview, gpt.quantization) == (False, "FP16/8 (weights only)")
    assert (gpt.datacenter_locations, qwen.quantization) == ((), None)
    assert gpt.description
    assert "temperature" in (gpt.supported_parameters or ())
    assert gpt.profile == model.profile
    assert asyncio.run(model.alist_models()) == models


def test_list_models_works_without_the_public_catalog(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script_models(Reply(body={"data": [{"id": "my-own"}]}), Refuse(404))

    [info] = model.list_models()

    assert info.id == "my-own"
    assert info.context_tokens is None


def test_list_models_reports_a_rejection_by_the_token_limit(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    headers = {"x-ratelimit-limit-tokens-minute": "60000"}
    server.script_models(Refuse(429, code="token_quota_exceeded", headers=headers))

    with pytest.raises(CerebrasRateLimitError):
        model.model_copy(update={"max_retries": 0}).list_models()
