"""`init_chat_model("cerebras:…")`, for who asks for it."""

from __future__ import annotations


def enable_init_chat_model() -> None:
    """Make `langchain.chat_models.init_chat_model("cerebras:gpt-oss-120b")` work.

    LangChain keeps its providers in a private table and has no way to register one, so
    this writes into that table, for this process, when it is called and not before.

    Raises:
        ImportError: If `langchain` is not installed.
        RuntimeError: If LangChain has changed its table.
    """
    from langchain.chat_models import base  # no dependency of ours

    providers = getattr(base, "_BUILTIN_PROVIDERS", None)
    like = providers.get("groq") if isinstance(providers, dict) else None
    if (
        providers is None
        or not isinstance(like, tuple)
        or len(like) != 3
        or not callable(like[2])
    ):
        msg = (
            "LangChain has changed its table of providers, so init_chat_model cannot"
            " be taught this one; construct ChatCerebrasInference(model=...) instead."
        )
        raise RuntimeError(msg)
    name = "langchain_cerebras_inference.chat_models"
    providers["cerebras"] = (name, "ChatCerebrasInference", like[2])
