"""The layers of docs and CONTRIBUTING: which part may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "langchain_cerebras_inference"
ROOT = Path(__file__).parents[2] / PACKAGE
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

GROUND = {"_settings", "_model_catalog", "_urls", "_version", "_types", "errors"}
MAY_IMPORT = {
    "__init__": {"_auth", "_init_chat_model", "chat_models", *GROUND},
    "cli": {"chat_models", "emulator", *GROUND},
    "chat_models": {"_client", "_conversion", "_auth", *GROUND},
    "_client": {"_response_parser", "_error_mapping", "_auth", "_quota", "_http", *GROUND},
    "_response_parser": {"_error_mapping", "_http", *GROUND},
    "_error_mapping": {"_http", *GROUND},
    "_auth": {"_http", *GROUND},
    "_quota": {"_http", *GROUND},
    "_http": GROUND,
    "_conversion": GROUND,
    "emulator": set(),
    "_init_chat_model": set(),
    **{name: set() for name in GROUND},
}

PURE = (
    "_conversion/",
    "_auth/cookie_input",
    "_auth/cookie_files",
    "_http/rate_limits",
    "_http/sse",
    "_quota/state",
)
EFFECTS = {"aiohttp", "asyncio", "socket", "threading"}


def part_of(module: str) -> str:
    return Path(module).parts[0].removesuffix(".py")


def imports_of(module: str) -> Iterator[str]:
    """Names every import of a module in full, wherever in the file it stands."""
    for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def neighbours_of(module: str) -> set[str]:
    own = (name.split(".") for name in imports_of(module))
    parts = {(path[1:] or ["__init__"])[0] for path in own if path[0] == PACKAGE}
    return parts - {"__version__", part_of(module)}


def strangers_of(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports_of(module)} - {PACKAGE}


@pytest.mark.parametrize("module", MODULES)
def test_a_part_imports_only_the_parts_below_it(module: str) -> None:
    assert neighbours_of(module) <= MAY_IMPORT[part_of(module)]


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(PURE)])
def test_a_pure_module_does_nothing_to_the_world(module: str) -> None:
    assert not strangers_of(module) & EFFECTS


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) == "_http"])
def test_the_transport_knows_nothing_of_langchain(module: str) -> None:
    assert not {name for name in strangers_of(module) if name.startswith("lang")}


def test_only_the_transport_and_the_emulator_speak_aiohttp() -> None:
    speakers = {part_of(m) for m in MODULES if "aiohttp" in strangers_of(m)}

    assert speakers <= {"_http", "emulator"}
