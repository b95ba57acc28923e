"""The command of a new interpreter in which every warning is an error."""

import sys

# langsmith, a dependency of langchain-core, calls it when it is imported.
_LANGSMITH_WARNING = (
    "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"
    ":langsmith._internal._beta_decorator"
)
_WARNINGS_ARE_ERRORS = ("-W", "error", "-W", _LANGSMITH_WARNING)
PYTHON = (sys.executable, *_WARNINGS_ARE_ERRORS)
PYTEST = (sys.executable, "-m", "pytest", *_WARNINGS_ARE_ERRORS)
