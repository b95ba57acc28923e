"""docs/reference.md has every public name, and every public name has a docstring."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference.md").read_text("utf-8")
MODULES = [
    "langchain_cerebras_inference",
    "langchain_cerebras_inference.batch",
    "langchain_cerebras_inference.emulator",
]
PUBLIC_NAMES = [
    f"{module}.{name}"
    for module in MODULES
    for name in importlib.import_module(module).__all__
    if name != "__version__"  # a string; the page describes it in a sentence
]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def find_object(public_name: str) -> object:
    module, _, name = public_name.rpartition(".")
    return getattr(importlib.import_module(module), name)


@cache
def parse_file(path: str) -> ast.Module:
    return ast.parse(Path(path).read_bytes())


def find_documented_attributes(body: list[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """Yield the name of each annotated attribute, and whether a docstring follows it."""
    for node, successor in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            is_documented = (
                isinstance(successor, ast.Expr)
                and isinstance(successor.value, ast.Constant)
                and isinstance(successor.value.value, str)
            )
            yield node.target.id, is_documented


def find_documented_members(class_node: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Yield the name of each member of a class, and whether it is documented."""
    docstring = ast.get_docstring(class_node) or ""
    for name, is_documented in find_documented_attributes(class_node.body):
        is_listed = re.search(rf"^ +{name}: ", docstring, re.MULTILINE)
        yield name, is_documented or is_listed is not None
    for node in class_node.body:
        is_setter = isinstance(node, FUNCTIONS) and any(
            isinstance(decorator, ast.Attribute) for decorator in node.decorator_list
        )
        if isinstance(node, FUNCTIONS) and not is_setter:
            yield node.name, ast.get_docstring(node) is not None


def list_undocumented_members(cls: type) -> list[str]:
    """Return the public members that a class defines without a docstring."""
    path = inspect.getsourcefile(cls)
    assert path is not None
    class_node = next(
        node
        for node in parse_file(path).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    return [
        name
        for name, is_documented in find_documented_members(class_node)
        if not is_documented and not name.startswith("_")
    ]


def test_reference_lists_every_public_name_once() -> None:
    listed = re.findall(r"^::: (\S+)$", PAGE, re.MULTILINE)

    assert sorted(set(listed) - set(MODULES)) == sorted(PUBLIC_NAMES)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("public_name", PUBLIC_NAMES)
def test_public_name_is_documented(public_name: str) -> None:
    value = find_object(public_name)

    if isinstance(value, type):
        assert value.__doc__
        assert list_undocumented_members(value) == []
    elif inspect.isfunction(value):
        assert value.__doc__
    else:  # a type alias: its docstring follows it in the module
        module, _, name = public_name.rpartition(".")
        files = Path(str(importlib.import_module(module).__file__)).parent.glob("*.py")
        aliases = [
            is_documented
            for file in files
            for alias, is_documented in find_documented_attributes(parse_file(str(file)).body)
            if alias == name
        ]
        assert aliases == [True]
