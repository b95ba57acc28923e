"""LangChain chat model for Cerebras, with an API key or the cookies of a browser session.

Public names are imported on first use. Importing one of them does not import the dependencies
of the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_cerebras_inference._auth.api_key import Credential
    from langchain_cerebras_inference._init_chat_model import enable_init_chat_model
    from langchain_cerebras_inference._model_catalog import ModelInfo
    from langchain_cerebras_inference._quota.info import QuotaInfo
    from langchain_cerebras_inference.chat_models import ChatCerebrasInference
    from langchain_cerebras_inference.errors import (
        CerebrasAuthenticationError,
        CerebrasBillingError,
        CerebrasConnectionError,
        CerebrasContextOverflowError,
        CerebrasCookieError,
        CerebrasError,
        CerebrasInvalidRequestError,
        CerebrasModelNotFoundError,
        CerebrasPermissionDeniedError,
        CerebrasProtocolError,
        CerebrasRateLimitError,
        CerebrasServerError,
        CerebrasTimeoutError,
    )

    __version__: str

__all__ = [
    "CerebrasAuthenticationError",
    "CerebrasBillingError",
    "CerebrasConnectionError",
    "CerebrasContextOverflowError",
    "CerebrasCookieError",
    "CerebrasError",
    "CerebrasInvalidRequestError",
    "CerebrasModelNotFoundError",
    "CerebrasPermissionDeniedError",
    "CerebrasProtocolError",
    "CerebrasRateLimitError",
    "CerebrasServerError",
    "CerebrasTimeoutError",
    "ChatCerebrasInference",
    "Credential",
    "ModelInfo",
    "QuotaInfo",
    "__version__",
    "enable_init_chat_model",
]

_MODULES = {
    "ChatCerebrasInference": "chat_models",
    "Credential": "_auth.api_key",
    "ModelInfo": "_model_catalog",
    "QuotaInfo": "_quota.info",
    "enable_init_chat_model": "_init_chat_model",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(f"{__name__}._version").get_version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES.get(name, "errors")
    if module == "chat_models":
        # CPython allocates stack frames in blocks of 16 KB, and a loop that crosses the end of
        # a block allocates a new one in each round. If `chat_models` were the first to import
        # langchain-core, the stack would be at such a depth in the usual program, and the
        # import would take 100 ms longer. Therefore it is imported here, before.
        import_module("langchain_core.language_models.chat_models")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
