"""The house: who may import whom, and how long a file may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "langchain_cerebras_inference"
ROOT = Path(__file__).parents[2] / PACKAGE
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

GROUND = {"_arguments", "_catalogue", "_urls", "_version", "_wire", "errors"}
MAY_IMPORT = {
    "__init__": {"_credentials", "_registry", "chat_models", *GROUND},
    "cli": {"chat_models", "emulator", *GROUND},
    "chat_models": {"_client", "_conversion", "_credentials", *GROUND},
    "_client": {"_judging", "_refusals", "_credentials", "_transport", *GROUND},
    "_judging": {"_refusals", "_transport", *GROUND},
    "_refusals": {"_transport", *GROUND},
    "_credentials": {"_transport", *GROUND},
    "_transport": GROUND,
    "_conversion": GROUND,
    "emulator": set(),
    "_registry": set(),
    **{name: set() for name in GROUND},
}

PURE = (
    "_conversion/",
    "_credentials/cookies",
    "_credentials/exports",
    "_transport/pacing",
    "_transport/sse",
)
EFFECTS = {"aiohttp", "asyncio", "socket", "threading"}

LINES = {
    "chat_models.py": 750,
    "emulator": 3000,
    "_client.py": 390,
    "_judging.py": 270,
    "_refusals.py": 230,
    "_registry.py": 50,
    "_credentials/keys.py": 180,
    "_credentials/exchange.py": 140,
    "_credentials/session.py": 130,
    "_credentials/jar.py": 120,
    "_credentials/browsers.py": 210,
    "_credentials/cookies.py": 170,
    "_credentials/exports.py": 150,
    "_transport/http.py": 200,
    "_transport/answer.py": 160,
    "_transport/sessions.py": 270,
    "_transport/failures.py": 100,
    "_transport/ways.py": 100,
    "_transport/encoding.py": 50,
    "_transport/portal.py": 210,
    "_transport/sse.py": 140,
    "_transport/pacing.py": 140,
    "_conversion/payload.py": 240,
    "_conversion/formats.py": 120,
    "_conversion/messages.py": 190,
    "_conversion/order.py": 120,
    "_conversion/content.py": 130,
    "_conversion/arguments.py": 70,
    "_conversion/tools.py": 180,
    "_conversion/schemas.py": 230,
    "_conversion/structured.py": 210,
    "_conversion/kinds.py": 60,
    "_conversion/validity.py": 220,
    "_conversion/values.py": 90,
    "_conversion/thinking.py": 90,
    "_conversion/usage.py": 60,
    "_conversion/checks.py": 90,
    "_conversion/responses.py": 190,
    "_conversion/deltas.py": 190,
    "_conversion/calls.py": 160,
    "_conversion/chunks.py": 110,
    "_conversion/construct.py": 100,
    "_conversion/events.py": 130,
    "_conversion/blocks.py": 100,
    "_conversion/tokens.py": 100,
    "errors.py": 160,
    "_arguments.py": 190,
    "_urls.py": 90,
    "_version.py": 30,
    "_catalogue.py": 230,
    "_wire.py": 120,
    "__init__.py": 90,
    "_conversion/__init__.py": 20,
    "_credentials/__init__.py": 20,
    "_transport/__init__.py": 20,
}


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


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) == "_transport"])
def test_the_transport_knows_nothing_of_langchain(module: str) -> None:
    assert not {name for name in strangers_of(module) if name.startswith("lang")}


def test_only_the_transport_and_the_emulator_speak_aiohttp() -> None:
    speakers = {part_of(m) for m in MODULES if "aiohttp" in strangers_of(m)}

    assert speakers <= {"_transport", "emulator"}


def test_every_module_has_its_line_in_the_table() -> None:
    assert {m for m in MODULES if part_of(m) != "emulator"} <= LINES.keys()


@pytest.mark.parametrize(("name", "figure"), LINES.items())
def test_no_file_outgrows_its_figure(name: str, figure: int) -> None:
    files = [ROOT / m for m in MODULES if m == name or m.startswith(f"{name}/")]

    lines = sum(len(file.read_text("utf-8").splitlines()) for file in files)

    assert lines <= figure
