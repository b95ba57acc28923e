"""Support for `init_chat_model("cerebras:…")`, which `enable_init_chat_model` turns on."""

from __future__ import annotations

from typing import Any


def enable_init_chat_model() -> None:
    """Make `langchain.chat_models.init_chat_model("cerebras:gpt-oss-120b")` work.

    LangChain has a private table of providers, and no public function to add one. This function
    therefore adds an entry to the table of the current process. Importing the package does not
    change the table.

    Raises:
        ImportError: If `langchain` is not installed.
        RuntimeError: If LangChain has changed its table.
    """
    from langchain.chat_models import base  # not a dependency of this package

    providers: Any = getattr(base, "_BUILTIN_PROVIDERS", None)
    # The entry of groq shows the format of the table. Its `create` function also works for this
    # class: it passes all arguments to the constructor.
    match providers:
        case {"groq": (str(), str(), create)} if callable(create):
            module = "langchain_cerebras_inference.chat_models"
            providers["cerebras"] = (module, "ChatCerebrasInference", create)
        case _:
            raise RuntimeError(
                "LangChain has changed its table of providers, so init_chat_model cannot be"
                " enabled. Construct ChatCerebrasInference(model=...) instead."
            )
