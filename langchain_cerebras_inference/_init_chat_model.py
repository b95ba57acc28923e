"""Support for `init_chat_model("cerebras:…")`, on request."""

from __future__ import annotations

from typing import Any


def enable_init_chat_model() -> None:
    """Make `langchain.chat_models.init_chat_model("cerebras:gpt-oss-120b")` work.

    LangChain keeps its providers in a private table and has no public way to add one. So
    this function adds an entry to the table, for the current process. Importing the package
    does not.

    Raises:
        ImportError: If `langchain` is not installed.
        RuntimeError: If LangChain has changed its table.
    """
    from langchain.chat_models import base  # not a dependency of this package

    providers: Any = getattr(base, "_BUILTIN_PROVIDERS", None)
    match providers:
        case {"groq": (str(), str(), create)} if callable(create):
            module = "langchain_cerebras_inference.chat_models"
            providers["cerebras"] = (module, "ChatCerebrasInference", create)
        case _:
            raise RuntimeError(
                "LangChain has changed its table of providers, so init_chat_model cannot be"
                " enabled. Construct ChatCerebrasInference(model=...) instead."
            )
