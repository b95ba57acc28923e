"""The models this Cerebras serves, and the ones it has archived."""

import json
from dataclasses import dataclass
from typing import Any

from langchain_cerebras_inference.emulator.refusals import Refuse, RequestError

CONTEXT_TOKENS = 131_072
OUTPUT_TOKENS = 40_960


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: what it takes, how it streams, and how the catalogue puts it."""

    id: str
    efforts: tuple[str, ...]
    default_effort: str
    reasoning_formats: tuple[str, ...]
    tokens_per_second: float
    described: dict[str, Any]
    prices: tuple[str, str]
    instruct_type: str
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
        return f"fp_{self.id.encode().hex():.20}"

    def listing(self) -> dict[str, Any]:
        """The entry of `GET /v1/models`."""
        entry = {"id": self.id, "object": "model"}
        return {**entry, "created": 0, "owned_by": "Cerebras"}

    def public_entry(self) -> dict[str, Any]:
        """The entry of `GET /public/v1/models`."""
        vision, parallel = self.sees_images, self.calls_in_parallel
        modality = "text+vision" if vision else "text"
        able = {**_CAPABILITIES, "vision": vision, "parallel_tool_calls": parallel}
        return {
            "id": self.id,
            "object": "model",
            **self.described,
            "pricing": dict(zip(("prompt", "completion"), self.prices, strict=True)),
            "capabilities": able,
            "supported_parameters": _PARAMETERS,
            "architecture": {"modality": modality, "instruct_type": self.instruct_type},
            "limits": _LIMITS,
            "datacenter_locations": [],
            "deprecated": False,
            "preview": False,
        }


_CAPABILITIES = dict.fromkeys(
    (
        "streaming function_calling structured_outputs json_mode tools tool_choice "
        "response_format reasoning"
    ).split(),
    True,
)
# The public list denies logprobs, yet the service answers with them.
_PARAMETERS = {
    **dict.fromkeys(("logprobs", "top_logprobs", "repetition_penalty"), False),
    **dict.fromkeys(
        (
            "temperature top_p seed stop max_completion_tokens frequency_penalty "
            "presence_penalty logit_bias"
        ).split(),
        True,
    ),
}
_LIMITS = {
    "max_context_length": CONTEXT_TOKENS,
    "max_completion_tokens": OUTPUT_TOKENS,
    "requests_per_minute": None,
    "tokens_per_minute": None,
}

GPT_OSS = Model(
    id="gpt-oss-120b",
    efforts=("low", "medium", "high"),
    default_effort="medium",
    reasoning_formats=("none", "parsed", "text_parsed", "raw", "hidden"),
    tokens_per_second=3000,
    described={
        "created": 1754438400,
        "owned_by": "OpenAI",
        "name": "OpenAI GPT OSS",
        "hugging_face_id": "openai/gpt-oss-120b",
        "quantization": "FP16/8 (weights only)",
    },
    prices=("0.00000035", "0.00000075"),
    instruct_type="harmony",
    fragments_arguments=True,
    stops_in_reasoning=True,
    takes_developer=True,
    takes_prediction=True,
)

QWEN = Model(
    id="qwen-3.8-27b",
    efforts=("none", "low", "medium", "high"),
    default_effort="high",
    reasoning_formats=("none", "parsed", "text_parsed", "raw"),
    tokens_per_second=1850,
    described={
        "created": 1788393600,
        "owned_by": "Alibaba",
        "name": "Qwen 3.8 27B",
        "hugging_face_id": "Qwen/Qwen3.8-27B",
        "quantization": None,
    },
    prices=("0.00000099", "0.00000149"),
    instruct_type="qwen",
    sees_images=True,
    calls_in_parallel=True,
    takes_tools_with_format=True,
)

MODELS = {model.id: model for model in (GPT_OSS, QWEN)}

ARCHIVED = frozenset(
    (
        "deepseek-r1-distill-llama-70b gemma-4-31b llama-3.3-70b llama3.1-70b "
        "llama-4-maverick-17b-128e-instruct llama-4-scout-17b-16e-instruct llama3.1-8b "
        "llama3.3-70b qwen-3-235b-a22b qwen-3-235b-a22b-instruct-2507 "
        "qwen-3-32b qwen-3-235b-a22b-thinking-2507 qwen-3-coder-480b zai-glm-4.6 zai-glm-4.7"
    ).split()
)


def find_model(name: str) -> Model:
    """The model called `name`.

    Raises:
        RequestError: if it is archived, or there is none.
    """
    if name in MODELS:
        return MODELS[name]
    if name in ARCHIVED:
        message = f"Model {name} is archived and unavailable for the organization."
        kind = "model_archived"
        raise RequestError(Refuse(404, code=kind, type=f"{kind}_error", message=message))
    message = f"Model {name} does not exist or you do not have access to it."
    raise RequestError(Refuse(404, message=message))


def listed(name: list[str]) -> Any:
    """What `GET /v1/models` answers, with the name of one or without."""
    if name:
        return find_model("/".join(name)).listing()
    return {"object": "list", "data": [model.listing() for model in MODELS.values()]}


def public(name: list[str]) -> Any:
    """What `GET /public/v1/models` answers, with the name of one or without."""
    if not name:
        entries = [model.public_entry() for model in MODELS.values()]
        return {"object": "list", "data": entries}
    if name[0] in MODELS:
        return MODELS[name[0]].public_entry()
    detail = f"Model '{name[0]}' not found or not publicly available"
    raise RequestError(Refuse(404, body=json.dumps({"detail": detail})))
