"""The public names, and what importing them imports."""

import ast
import subprocess
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

import langchain_cerebras_inference as package
from langchain_cerebras_inference import errors
from tests.python_command import PYTHON

ERRORS = {
    "CerebrasAuthenticationError",
    "CerebrasBillingError",
    "CerebrasConnectionError",
    "CerebrasContextOverflowError",
    "CerebrasCookieError",
    "CerebrasError",
    "CerebrasInvalidRequestError",
    "CerebrasModelNotFoundError",
    "CerebrasPermissionDeniedError",
    "CerebrasProtocolError",
    "CerebrasRateLimitError",
    "CerebrasServerError",
    "CerebrasTimeoutError",
}
NAMES = {
    "ChatCerebrasInference",
    "Credential",
    "ModelInfo",
    "QuotaInfo",
    "__version__",
    "enable_init_chat_model",
    *ERRORS,
}


def list_modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.check_output([*PYTHON, "-c", code], text=True).split())


def test_public_names_are_complete() -> None:
    assert set(package.__all__) == NAMES
    assert len(package.__all__) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(package, name) is not None
    assert name in dir(package)


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_error_class_is_the_one_of_the_errors_module(name: str) -> None:
    assert getattr(package, name) is getattr(errors, name)


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ChatCerebrasInferrence"):
        _ = package.ChatCerebrasInferrence


def test_version_is_that_of_the_distribution() -> None:
    assert package.__version__ == metadata.version("langchain-cerebras-inference")


def test_importing_the_package_imports_no_dependency() -> None:
    modules = list_modules_after("import langchain_cerebras_inference")

    assert not {"langchain_core", "pydantic", "aiohttp", "tenacity"} & modules


def test_transport_is_imported_by_the_first_call() -> None:
    modules = list_modules_after(
        "from langchain_cerebras_inference import ChatCerebrasInference\n"
        "ChatCerebrasInference(api_key='k').get_num_tokens('Ahoy')"
    )

    assert not {"aiohttp", "tenacity", f"{package.__name__}.emulator"} & modules
    assert not {"openai", "tiktoken", "transformers", "httpx"} & modules


@pytest.mark.parametrize(
    "statement",
    [
        "import langchain_cerebras_inference",
        "from langchain_cerebras_inference import ChatCerebrasInference, QuotaInfo",
        "from langchain_cerebras_inference.cli import main",
    ],
)
def test_batches_are_imported_only_when_they_are_used(statement: str) -> None:
    modules = list_modules_after(statement)

    names = ("batch", "_batch_command", "_batch_files", "emulator")
    assert not {"rich", *(f"{package.__name__}.{name}" for name in names)} & modules


def test_console_script_is_the_command_line() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")

    declared = tomllib.loads(text)["project"]["scripts"]
    assert declared == {"langchain-cerebras-inference": f"{package.__name__}.cli:main"}
    assert callable(import_module(f"{package.__name__}.cli").main)


@pytest.mark.parametrize("path", sorted(Path(package.__file__).parent.rglob("*.py")))
def test_no_private_name_of_langchain_is_imported(path: Path) -> None:
    imports = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    of_langchain = [
        name for name in imports if name.startswith(("langchain_core", "langchain."))
    ]
    assert [name for name in of_langchain if "._" in name] == []
