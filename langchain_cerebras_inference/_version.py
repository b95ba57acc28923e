"""The package's version, from the distribution's metadata: it is written there alone."""

from functools import cache
from importlib.metadata import version as _version_of


@cache
def version() -> str:
    return _version_of("langchain-cerebras-inference")


def user_agent() -> str:
    return f"langchain-cerebras-inference/{version()}"
