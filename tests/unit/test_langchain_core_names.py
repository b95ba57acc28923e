"""The hooks and private names of langchain-core that this package relies on.

A hook is a method that langchain-core calls by its name. A new version may do without one. Most
calls would still work then, but in another way.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import langchain_core
import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.structured_output import StructuredOutputParser

# For each name: what happens if langchain-core does not use it.
NAMES: dict[type, dict[str, str]] = {
    ChatCerebrasInference: {
        "_add_version": "no model can be constructed",
        "_agenerate": "`ainvoke` does not call this package",
        "_astream": "`astream` does not stream",
        "_astream_chat_model_events": "v3 events of `astream_events` are made from chunks",
        "_convert_input": "streams without callback handlers fail",
        "_combine_llm_outputs": "`generate` does not add up the token usage",
        "_generate": "`invoke` does not call this package",
        "_get_invocation_params": "traces show the values of `extra_headers`",
        "_get_llm_string": "LangChain's cache may confuse models and tenants",
        "_get_ls_params": "traces may show another model than that of the call",
        "_identifying_params": "callbacks do not get the settings",
        "_llm_type": "callbacks do not get the type of the model",
        "_should_stream": "streams without callback handlers fail",
        "_serialized": "traces may show a setting that has been changed since",
        "_stream": "`stream` does not stream",
        "_stream_chat_model_events": "v3 events of `stream_events` are made from chunks",
        "_streaming_disabled": "`invoke` with `n=2` and `streaming=True` fails",
        "is_lc_serializable": "models cannot be serialized",
        "lc_secrets": "serialized models contain secrets",
    },
    StructuredOutputParser: {
        "_atransform": "`astream` of structured output does not stream",
        "_transform": "`stream` of structured output does not stream",
        "parse_result": "`invoke` of structured output fails",
    },
}


@cache
def find_names_in_langchain_core(subclass: type) -> set[str]:
    """Return the attributes and strings in the modules of the bases of a class."""
    names = set()
    for module in {base.__module__ for base in subclass.__mro__}:
        if module.startswith("langchain_core."):
            path = Path(str(sys.modules[module].__file__))
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Attribute):
                    names.add(node.attr)
                elif isinstance(node, ast.Constant):
                    names.add(str(node.value))
    return names


@pytest.mark.parametrize(
    ("subclass", "name"), [(subclass, name) for subclass in NAMES for name in NAMES[subclass]]
)
def test_langchain_core_uses_the_name(subclass: type, name: str) -> None:
    assert name in find_names_in_langchain_core(subclass), (
        f"langchain-core {langchain_core.__version__} does not use {name}, which"
        f" {subclass.__name__} relies on. Without it, {NAMES[subclass][name]}."
    )


@pytest.mark.parametrize("subclass", NAMES)
def test_every_private_hook_is_in_the_list(subclass: type) -> None:
    private = {name for name in vars(subclass) if name.startswith("_") and name[1:2] != "_"}
    hooks = private & find_names_in_langchain_core(subclass)

    assert hooks <= set(NAMES[subclass]), "Add the hook to NAMES."
