"""The arguments of the classes people come from, each accepted or refused with advice."""

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import SecretStr, ValidationError

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._settings import FOREIGN

# The fields and aliases of ChatCerebras 0.8.2 (langchain-cerebras) and of ChatOpenAI 1.7.4
# (langchain-openai), which the former inherits, with what people give them.
ACCEPTED: dict[str, Any] = {
    # ChatCerebras' own
    "model": "gpt-oss-120b",
    "model_name": "gpt-oss-120b",
    "api_key": SecretStr("csk-1"),
    "cerebras_api_key": "csk-1",
    "base_url": "https://api.cerebras.ai/v1/",
    "cerebras_api_base": "https://api.cerebras.ai/v1/",
    "reasoning_effort": "low",
    "disable_reasoning": True,
    # ChatOpenAI's
    "temperature": 0.7,
    "max_tokens": 100,
    "max_completion_tokens": 100,
    "max_retries": 2,
    "timeout": 10,
    "streaming": False,
    "stream_usage": True,
    "stop": ["END"],
    "stop_sequences": ["END"],
    "n": 1,
    "top_p": 0.9,
    "seed": 42,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {50256: -100},
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "service_tier": "auto",
    "default_headers": {"X-Cerebras-3rd-Party-Integration": "langgraph"},
    "extra_body": {"user": "me"},
    "include_response_headers": True,
    "output_version": "v1",
    # LangChain's
    "name": "model",
    "cache": InMemoryCache(),
    "verbose": False,
    "callbacks": [],
    "tags": ["a"],
    "metadata": {"a": "b"},
    "custom_get_token_ids": lambda text: [len(text)],
    "rate_limiter": InMemoryRateLimiter(),
    "disable_streaming": "tool_calling",
    "profile": {"max_input_tokens": 100},
}
REFUSED = {
    "model_kwargs": "extra_body",
    "cerebras_proxy": "use proxy",
    "openai_api_key": "use api_key",
    "openai_api_base": "use base_url",
    "openai_proxy": "use proxy",
    "openai_organization": "Cerebras knows no organizations",
    "organization": "Cerebras knows no organizations",
    "request_timeout": "use timeout",
    "stream_chunk_timeout": "use timeout",
    "reasoning": "use reasoning_effort",
    "verbosity": "ask for it in the prompt",
    "tiktoken_model_name": "needs no tokenizer",
    "default_query": "takes no query",
    "http_client": "aiohttp",
    "http_async_client": "aiohttp",
    "http_socket_options": "aiohttp",
    "client": "aiohttp",
    "async_client": "aiohttp",
    "root_client": "aiohttp",
    "root_async_client": "aiohttp",
    "disabled_params": "what is None is not sent",
    "context_management": "Responses API",
    "include": "Responses API",
    "store": "Responses API",
    "truncation": "Responses API",
    "use_previous_response_id": "Responses API",
    "use_responses_api": "Responses API",
    "prompt_cache_options": "prompt_cache_key",
}


def make(**fields: Any) -> ChatCerebrasInference:
    return ChatCerebrasInference(**fields)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_means_something_to_cerebras_has_the_same_name(name: str) -> None:
    assert make(**{name: ACCEPTED[name]}) is not None


@pytest.mark.parametrize("name", REFUSED)
def test_what_means_nothing_to_it_is_refused_with_advice(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**{name: "a secret"})

    [error] = caught.value.errors()
    assert error["msg"].startswith(f"Value error, There is no field {name!r}: ")
    assert REFUSED[name] in error["msg"]
    assert "a secret" not in str(caught.value)


def test_advice_is_given_for_names_that_are_none_here() -> None:
    assert FOREIGN.keys() == REFUSED.keys()
    assert not FOREIGN.keys() & {*ACCEPTED, *ChatCerebrasInference.model_fields}


def test_token_ids_may_be_numbers_as_elsewhere() -> None:
    assert make(logit_bias={50256: -100, "7": 1}).logit_bias == {"50256": -100, "7": 1}


def test_what_is_no_mapping_of_token_ids_is_refused() -> None:
    with pytest.raises(ValidationError):
        make(logit_bias=5)
