"""Recognize streams that no callback handler observes; their chunks are not kept.

The methods `stream` and `astream` of langchain-core keep each chunk until the stream ends, and
then pass the sum of all chunks to the callback handlers. Without a handler, nobody can see that
sum, but 2,000 chunks take 2.7 MB, and the garbage collector visits all of them again and again:
with 50 streams at once, that is three quarters of the CPU time of an event.

So `ChatCerebrasInference` has methods of its own for such streams. They do the same as those of
langchain-core apart from the callbacks. If an installed version of langchain-core has other
methods than those that they were written for, its methods are used for all streams.
"""

from __future__ import annotations

import zlib
from types import FunctionType
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManager
from langchain_core.language_models import BaseChatModel, chat_models
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7

from langchain_cerebras_inference._private_names_switch import PRIVATE_NAMES_ALLOWED

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

KNOWN_CODE = {"stream": 646266852, "astream": 4247354395}
"""For each method of langchain-core, a checksum of the names in its code. It was the same in
langchain-core 1.6.0 to 1.8.4, with Python 3.11 to 3.13."""

normalize_messages: Any = getattr(chat_models, "_normalize_messages", None)
"""Converts older forms of content blocks; the methods of langchain-core call it, too."""


def create_message_id(model: BaseChatModel, config: RunnableConfig | None) -> str | None:
    """Create the id for the messages of a stream that no callback handler observes.

    Returns:
        An id as langchain-core creates it; `None` if there is a handler, or if the stream has
        to use langchain-core's method for another reason.
    """
    if not _has_known_methods() or model.output_version == "v1":
        return None
    config = ensure_config(config)
    manager = CallbackManager.configure(config.get("callbacks"), model.callbacks, model.verbose)
    if manager.handlers:
        return None
    run_id = config.get("run_id")
    return f"{LC_ID_PREFIX}-{uuid7() if run_id is None else run_id}"


def compute_checksum(method: Any) -> int | None:
    """Return a checksum of the names in the code of a method; `None` if it is no function."""
    if not isinstance(method, FunctionType):
        return None
    return zlib.crc32(" ".join(sorted(method.__code__.co_names)).encode())


def _has_known_methods() -> bool:
    # Other libraries, such as tracers, may replace the methods at any time.
    return BaseChatModel.stream is _KNOWN_METHODS.get(
        "stream"
    ) and BaseChatModel.astream is _KNOWN_METHODS.get("astream")


_KNOWN_METHODS = {
    name: getattr(BaseChatModel, name)
    for name, checksum in KNOWN_CODE.items()
    if PRIVATE_NAMES_ALLOWED and compute_checksum(getattr(BaseChatModel, name)) == checksum
}
