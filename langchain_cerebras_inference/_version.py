"""The version of the installed package, from the metadata of its distribution."""

from functools import cache
from importlib import metadata


@cache
def get_version() -> str:
    return metadata.version("langchain-cerebras-inference")


def get_user_agent() -> str:
    return f"langchain-cerebras-inference/{get_version()}"
