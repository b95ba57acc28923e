"""A model with bound call options: what `bind` and `bind_tools` return.

This module is imported by the first call of `bind`, because it creates a pydantic class, which
takes a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding
from pydantic import field_validator

from langchain_cerebras_inference import _settings

_TOOL_OPTIONS = frozenset({"tools", "tool_choice"})


class ModelBinding(RunnableBinding[LanguageModelInput, AIMessage]):
    """A model with bound call options, which `with_structured_output` does not drop.

    LangChain's class calls `with_structured_output` of the model without the bound options.
    """

    @field_validator("kwargs")
    @classmethod
    def _wrap_headers(cls, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wrap the values of `extra_headers` in `SecretStr`.

        Then no `repr` and no serialized form shows them.
        """
        headers = kwargs.get("extra_headers")
        if headers is None:
            return kwargs
        return {**kwargs, "extra_headers": _settings.wrap_headers(headers)}

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialize as LangChain's class, which its `load` accepts."""
        return [*cls.get_lc_namespace(), RunnableBinding.__name__]

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call, and keep the other bound options.

        Args:
            tools: As for `ChatCerebrasInference.bind_tools`. They replace bound tools.
            kwargs: As there. They override the bound options.

        Raises:
            ValueError: As there.
        """
        bound = {name: self.kwargs[name] for name in self.kwargs if name not in _TOOL_OPTIONS}
        model: Any = self.bound
        binding: Runnable[LanguageModelInput, AIMessage] = model.bind_tools(
            tools, **{**bound, **kwargs}
        )
        return binding.with_config(self.config) if self.config else binding

    def with_structured_output(
        self, schema: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose output is an object of a schema, with the bound options.

        Args:
            schema: As for `ChatCerebrasInference.with_structured_output`.
            kwargs: As there. They override the bound options.

        Raises:
            ValueError: If tools are bound, because the model could not call them.
        """
        if self.kwargs.get("tools"):
            raise ValueError(
                "with_structured_output would drop the bound tools. Call it on the model"
                " without bind_tools, as with_structured_output(schema,"
                " method='function_calling', tools=[...])."
            )
        model: Any = self.bound
        chain: Runnable[LanguageModelInput, Any] = model.with_structured_output(
            schema, **{**self.kwargs, **kwargs}
        )
        return chain
