"""The layers of the package: which part may import which. CONTRIBUTING.md draws them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "langchain_cerebras_inference"
ROOT = Path(__file__).parents[2] / PACKAGE
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# For each layer: its parts (modules or folders), and the lower layers that it may import. A
# part may also import the parts that are listed after it in the same layer.
LAYERS: dict[str, tuple[list[str], list[str]]] = {
    "programs": (
        [
            "__main__",
            "cli",
            "_chat_command",
            "_batch_command",
            "_info_commands",
            "_command_model",
            "_batch_files",
            "batch",
        ],
        ["API", "client", "quota", "base", "emulator"],
    ),
    "test kit": (["pytest_plugin"], ["API", "emulator"]),
    "API": (
        [
            "__init__",
            "_init_chat_model",
            "chat_models",
            "_model_binding",
            "_unobserved_streams",
        ],
        ["client", "auth", "quota", "conversion", "base"],
    ),
    "client": (
        ["_client", "_pacing", "_response_parser", "_error_mapping", "_tracing"],
        ["auth", "quota", "transport", "base"],
    ),
    "auth": (["_auth"], ["transport", "base"]),
    "quota": (["_quota"], ["transport", "base"]),
    "transport": (["_http"], ["base"]),
    "conversion": (["_conversion"], ["base"]),
    "base": (
        [
            "_setting_types",
            "_settings",
            "_model_catalog",
            "_urls",
            "_version",
            "_surrogates",
            "_types",
            "_private_names_switch",
            "errors",
        ],
        [],
    ),
    "emulator": (["emulator"], []),
}

# These do no input or output, and need no event loop.
PURE = [
    "_conversion/",
    "_auth/cookie_input",
    "_auth/cookie_files",
    "_http/rate_limits",
    "_http/sse",
    "_quota/ample",
    "_quota/info",
    "_quota/state",
]
IMPURE_LIBRARIES = {"aiohttp", "asyncio", "socket", "threading"}


def get_allowed_imports(part: str) -> set[str]:
    """Return the parts that a part may import."""
    for parts, lower_layers in LAYERS.values():
        if part in parts:
            allowed = set(parts[parts.index(part) + 1 :])
            return allowed.union(*(LAYERS[layer][0] for layer in lower_layers))
    raise AssertionError(f"{part} belongs to no layer; add it to LAYERS.")


def get_part(module: str) -> str:
    return Path(module).parts[0].removesuffix(".py")


def find_imports(module: str) -> Iterator[str]:
    """Yield the full name of every import of a module, also of those inside functions."""
    for node in ast.walk(ast.parse((ROOT / module).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_imported_parts(module: str) -> set[str]:
    """Return the other parts of this package that a module imports."""
    names = [name.split(".") for name in find_imports(module)]
    parts = {name[1] if name[1:] else "__init__" for name in names if name[0] == PACKAGE}
    return parts - {get_part(module)}


def find_imported_libraries(module: str) -> set[str]:
    return {name.split(".")[0] for name in find_imports(module)} - {PACKAGE}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_lower_layers(module: str) -> None:
    assert find_imported_parts(module) <= get_allowed_imports(get_part(module))


@pytest.mark.parametrize("prefix", PURE)
def test_pure_modules_import_no_library_for_input_and_output(prefix: str) -> None:
    modules = [module for module in MODULES if module.startswith(prefix)]
    libraries = {name for module in modules for name in find_imported_libraries(module)}

    assert modules
    assert not libraries & IMPURE_LIBRARIES


def test_transport_does_not_import_langchain() -> None:
    modules = [module for module in MODULES if get_part(module) == "_http"]
    libraries = {name for module in modules for name in find_imported_libraries(module)}

    assert not {name for name in libraries if name.startswith("lang")}


def test_only_transport_and_emulator_import_aiohttp() -> None:
    parts = {
        get_part(module) for module in MODULES if "aiohttp" in find_imported_libraries(module)
    }

    assert parts == {"_http", "emulator"}
