"""The models this Cerebras serves, and the ones it has archived."""

from dataclasses import dataclass
from typing import Any

CONTEXT_TOKENS = 131_072
OUTPUT_TOKENS = 40_960


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: what it is called, what it can do, and how it streams."""

    id: str
    created: int
    owner: str
    name: str
    hugging_face_id: str
    prices: tuple[str, str]
    tokenizer: str
    instruct_type: str
    efforts: tuple[str, ...]
    default_effort: str
    quantization: str | None
    tokens_per_second: float
    reasoning_formats: tuple[str, ...]
    sees_images: bool = False
    calls_in_parallel: bool = False
    fragments_arguments: bool = False
    stops_in_reasoning: bool = False
    takes_developer: bool = False
    takes_prediction: bool = False
    takes_tools_with_format: bool = False

    @property
    def fingerprint(self) -> str:
        """The system fingerprint its answers carry."""
        return f"fp_{self.id.encode().hex():0<20.20}"

    def listing(self) -> dict[str, Any]:
        """The entry of `GET /v1/models`."""
        listed = {"id": self.id, "object": "model", "created": 0}
        return listed | {"owned_by": "Cerebras"}

    def public_entry(self) -> dict[str, Any]:
        """The entry of `GET /public/v1/models`."""
        prompt, completion = self.prices
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.owner,
            "name": self.name,
            "description": f"{self.name}, as played by the local emulator.",
            "hugging_face_id": self.hugging_face_id,
            "pricing": {"prompt": prompt, "completion": completion},
            "capabilities": {
                **dict.fromkeys(_ABILITIES, True),
                "vision": self.sees_images,
                "parallel_tool_calls": self.calls_in_parallel,
            },
            "supported_parameters": _PARAMETERS,
            "architecture": {
                "modality": "text+vision" if self.sees_images else "text",
                "tokenizer": self.tokenizer,
                "instruct_type": self.instruct_type,
            },
            "limits": {
                "max_context_length": CONTEXT_TOKENS,
                "max_completion_tokens": OUTPUT_TOKENS,
                "requests_per_minute": None,
                "tokens_per_minute": None,
            },
            "datacenter_locations": [],
            "deprecated": False,
            "preview": False,
            "quantization": self.quantization,
        }


_ABILITIES = (
    "streaming",
    "function_calling",
    "structured_outputs",
    "vision",
    "json_mode",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning",
)

# The public list denies logprobs, yet the service answers with them.
_PARAMETERS = {
    "temperature": True,
    "top_p": True,
    "seed": True,
    "stop": True,
    "max_completion_tokens": True,
    "logprobs": False,
    "top_logprobs": False,
    "frequency_penalty": True,
    "presence_penalty": True,
    "logit_bias": True,
    "repetition_penalty": False,
}

GPT_OSS = Model(
    id="gpt-oss-120b",
    created=1754438400,
    owner="OpenAI",
    name="OpenAI GPT OSS",
    hugging_face_id="openai/gpt-oss-120b",
    prices=("0.00000035", "0.00000075"),
    tokenizer="GPT",
    instruct_type="harmony",
    efforts=("low", "medium", "high"),
    default_effort="medium",
    reasoning_formats=("none", "parsed", "text_parsed", "raw", "hidden"),
    quantization="FP16/8 (weights only)",
    tokens_per_second=3000,
    fragments_arguments=True,
    stops_in_reasoning=True,
    takes_developer=True,
    takes_prediction=True,
)

QWEN = Model(
    id="qwen-3.8-27b",
    created=1788393600,
    owner="Alibaba",
    name="Qwen 3.8 27B",
    hugging_face_id="Qwen/Qwen3.8-27B",
    prices=("0.00000099", "0.00000149"),
    tokenizer="Qwen",
    instruct_type="qwen",
    efforts=("none", "low", "medium", "high"),
    default_effort="high",
    reasoning_formats=("none", "parsed", "text_parsed", "raw"),
    quantization=None,
    tokens_per_second=1850,
    sees_images=True,
    calls_in_parallel=True,
    takes_tools_with_format=True,
)

MODELS = {model.id: model for model in (GPT_OSS, QWEN)}

ARCHIVED = frozenset(
    {
        "deepseek-r1-distill-llama-70b",
        "gemma-4-31b",
        "llama-3.3-70b",
        "llama-4-maverick-17b-128e-instruct",
        "llama-4-scout-17b-16e-instruct",
        "llama3.1-70b",
        "llama3.1-8b",
        "qwen-3-235b-a22b",
        "qwen-3-235b-a22b-instruct-2507",
        "qwen-3-235b-a22b-thinking-2507",
        "qwen-3-32b",
        "qwen-3-coder-480b",
        "zai-glm-4.6",
        "zai-glm-4.7",
    }
)
