"""docs/compatibility.md has the versions that pyproject.toml allows."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/compatibility.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def find_row(name: str) -> str:
    [row] = re.findall(rf"^\| {re.escape(name)} \|.*$", PAGE, re.MULTILINE)
    return str(row)


def test_page_has_the_lower_bound_of_every_dependency() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for requirement in chain(PROJECT["dependencies"], *extras):
        match = re.match(r"([\w-]+)>=([\d.]+)", requirement)
        assert match, f"{requirement} has no lower bound"
        assert re.search(rf"\b{re.escape(match[2])}\b", find_row(match[1])), requirement


def test_page_has_every_python_of_the_classifiers() -> None:
    prefix = "Programming Language :: Python :: 3."
    minors = [name.removeprefix(prefix) for name in PROJECT["classifiers"] if prefix in name]

    assert minors
    assert all(find_row(f"3.{minor}") for minor in minors)
