"""The models that the emulator serves, its two lists of them, and the archived models.

`GET /v1/models` needs a key; `GET /public/v1/models` does not.
"""

import json
from dataclasses import dataclass
from typing import Any

from langchain_cerebras_inference.emulator.errors import Refuse, RequestError

MAX_CONTEXT_TOKENS = 131_072
MAX_COMPLETION_TOKENS = 40_960


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: what it accepts, how it streams, and its entries in both lists."""

    id: str
    reasoning_efforts: tuple[str, ...]
    default_reasoning_effort: str
    reasoning_formats: tuple[str, ...]
    tokens_per_second: float
    public_fields: dict[str, Any]
    """Additional fields of the entry of `GET /public/v1/models`."""
    pricing: dict[str, str]
    """US dollars per token."""
    instruct_type: str
    accepts_images: bool = False
    accepts_developer_role: bool = False
    accepts_prediction: bool = False
    accepts_tools_with_response_format: bool = False
    """Whether one request may have both. A recorded error response of gpt-oss-120b says no.
    Nothing is recorded for qwen-3.8-27b, so the emulator accepts both there."""
    calls_tools_in_parallel: bool = False
    streams_tool_arguments: bool = False
    """Whether tool arguments are streamed in fragments instead of as a whole."""
    stops_in_reasoning: bool = False
    """Whether stop sequences also apply to the reasoning."""
    puts_raw_reasoning_into_content: bool = False
    """Whether `reasoning_format="raw"` moves the reasoning to the start of the content, without
    a separator. If not, "raw" has no effect.
    Source: https://inference-docs.cerebras.ai/capabilities/reasoning"""

    @property
    def system_fingerprint(self) -> str:
        """The `system_fingerprint` of its completions."""
        return f"fp_{self.id.encode().hex():.20}"

    def build_entry(self) -> dict[str, Any]:
        """Build the entry of `GET /v1/models`."""
        return {"id": self.id, "object": "model", "created": 0, "owned_by": "Cerebras"}

    def build_public_entry(self) -> dict[str, Any]:
        """Build the entry of `GET /public/v1/models`."""
        return {
            "id": self.id,
            "object": "model",
            **self.public_fields,
            "pricing": self.pricing,
            "capabilities": {
                **_CAPABILITIES,
                "vision": self.accepts_images,
                "parallel_tool_calls": self.calls_tools_in_parallel,
            },
            "supported_parameters": _SUPPORTED_PARAMETERS,
            "architecture": {
                "modality": "text+vision" if self.accepts_images else "text",
                "instruct_type": self.instruct_type,
            },
            "limits": _LIMITS,
            "datacenter_locations": [],
            "deprecated": False,
            "preview": False,
        }


_CAPABILITIES = dict.fromkeys(
    (
        "streaming",
        "function_calling",
        "structured_outputs",
        "json_mode",
        "tools",
        "tool_choice",
        "response_format",
        "reasoning",
    ),
    True,
)
_SUPPORTED_PARAMETERS = {
    # As recorded, although Cerebras does support logprobs.
    **dict.fromkeys(("logprobs", "top_logprobs", "repetition_penalty"), False),
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "seed",
            "stop",
            "max_completion_tokens",
            "frequency_penalty",
            "presence_penalty",
            "logit_bias",
        ),
        True,
    ),
}
_LIMITS = {
    "max_context_length": MAX_CONTEXT_TOKENS,
    "max_completion_tokens": MAX_COMPLETION_TOKENS,
    "requests_per_minute": None,
    "tokens_per_minute": None,
}

_GPT_OSS = Model(
    id="gpt-oss-120b",
    reasoning_efforts=("low", "medium", "high"),
    default_reasoning_effort="medium",
    reasoning_formats=("none", "parsed", "text_parsed", "raw", "hidden"),
    tokens_per_second=3000,
    public_fields={
        "created": 1754438400,
        "owned_by": "OpenAI",
        "name": "OpenAI GPT OSS",
        "description": "A reasoning model for math, code and long documents.",
        "hugging_face_id": "openai/gpt-oss-120b",
        "quantization": "FP16/8 (weights only)",
    },
    pricing={"prompt": "0.00000035", "completion": "0.00000075"},
    instruct_type="harmony",
    accepts_developer_role=True,
    accepts_prediction=True,
    streams_tool_arguments=True,
    stops_in_reasoning=True,
    puts_raw_reasoning_into_content=True,
)
_QWEN = Model(
    id="qwen-3.8-27b",
    reasoning_efforts=("none", "low", "medium", "high"),
    default_reasoning_effort="high",
    reasoning_formats=("none", "parsed", "text_parsed", "raw"),
    tokens_per_second=1850,
    public_fields={
        "created": 1788393600,
        "owned_by": "Alibaba",
        "name": "Qwen 3.8 27B",
        "description": "A reasoning model that also reads images.",
        "hugging_face_id": "Qwen/Qwen3.8-27B",
        "quantization": None,
    },
    pricing={"prompt": "0.00000099", "completion": "0.00000149"},
    instruct_type="qwen",
    accepts_images=True,
    accepts_tools_with_response_format=True,
    calls_tools_in_parallel=True,
)

MODELS = {model.id: model for model in (_GPT_OSS, _QWEN)}

ARCHIVED_MODELS = frozenset(
    (
        "deepseek-r1-distill-llama-70b",
        "gemma-4-31b",
        "llama-3.3-70b",
        "llama3.1-70b",
        "llama-4-maverick-17b-128e-instruct",
        "llama-4-scout-17b-16e-instruct",
        "llama3.1-8b",
        "llama3.3-70b",
        "qwen-3-235b-a22b",
        "qwen-3-235b-a22b-instruct-2507",
        "qwen-3-32b",
        "qwen-3-235b-a22b-thinking-2507",
        "qwen-3-coder-480b",
        "zai-glm-4.6",
        "zai-glm-4.7",
    )
)


def find_model(name: str) -> Model:
    """Find a model by its name.

    Raises:
        RequestError: If it is archived or unknown.
    """
    if name in MODELS:
        return MODELS[name]
    if name in ARCHIVED_MODELS:
        message = f"Model {name} is archived and unavailable for the organization."
        code = "model_archived"
        raise RequestError(Refuse(404, code, message, type="model_archived_error"))
    message = f"Model {name} does not exist or you do not have access to it."
    raise RequestError(Refuse(404, message=message))


def list_models() -> dict[str, Any]:
    """Build the body of `GET /v1/models`."""
    return {"object": "list", "data": [model.build_entry() for model in MODELS.values()]}


def list_public_models() -> dict[str, Any]:
    """Build the body of `GET /public/v1/models`."""
    return {"object": "list", "data": [model.build_public_entry() for model in MODELS.values()]}


def get_public_model(name: str) -> dict[str, Any]:
    """Build the body of `GET /public/v1/models/{name}`.

    Raises:
        RequestError: If there is no such model.
    """
    if name not in MODELS:
        detail = f"Model '{name}' not found or not publicly available"
        raise RequestError(Refuse(404, body=json.dumps({"detail": detail})))
    return MODELS[name].build_public_entry()
