"""README.md and docs/ name tests as evidence; each of these tests exists."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]

# `unit/test_urls.py::test_name`, or a link: [`test_name`](tests/unit/test_urls.py)
NAMED_TEST = re.compile(r"`(?P<path>\w+/test_\w+\.py)::(?P<name>\w+)`")
LINKED_TEST = re.compile(r"\[`(?P<name>\w+)`\]\(tests/(?P<path>\w+/test_\w+\.py)\)")


@cache
def list_functions(path: str) -> set[str]:
    """Return the names of the functions of a test file, or none if there is no such file."""
    file = ROOT / "tests" / path
    if not file.exists():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_bytes())
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_test_named_in_the_documentation_exists() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    matches = [*NAMED_TEST.finditer(text), *LINKED_TEST.finditer(text)]

    missing = [
        f"{match['path']}::{match['name']}"
        for match in matches
        if match["name"] not in list_functions(match["path"])
    ]

    assert matches
    assert missing == []
