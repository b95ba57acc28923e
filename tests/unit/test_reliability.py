"""docs/reliability.md: each pain has a rule, and each rule has tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text("utf-8")
PAINS, _, PARTS = PAGE.partition("## What no test holds")
NUMBERS = list(range(1, 47))

TEST = re.compile(r"`((?:unit|integration)/test_\w+\.py)::(\w+)`")


def rows_of(text: str) -> dict[int, list[str]]:
    """The rows of the tables in a text, by the number each begins with."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return {int(row[0]): row[1:] for row in rows if row[0].isdecimal()}


RULES = rows_of(PAINS)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_bytes())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_pain_has_its_row_and_they_are_in_order() -> None:
    assert list(RULES) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_a_row_says_what_hurts_the_rule_and_the_tests_that_hold_it(number: int) -> None:
    pain, rule, tests = RULES[number]

    found = TEST.findall(tests)

    assert pain
    assert rule.endswith(".")
    assert found
    assert TEST.sub("", tests).replace("<br>", "").strip() == ""
    assert [name for path, name in found if name not in names_in(path)] == []


def test_what_no_test_holds_says_why() -> None:
    parts = rows_of(PARTS)

    assert parts
    assert parts.keys() <= set(NUMBERS)
    assert all(len(row) == 2 and row[1].endswith(".") for row in parts.values())
