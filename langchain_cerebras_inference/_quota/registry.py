"""The quotas of this process, shared by all its models, event loops and threads."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from langchain_cerebras_inference._quota.queue import Quota
from langchain_cerebras_inference._quota.stores import SharedStore, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_ENTRIES = 2_000

_lock = threading.Lock()
_quotas: dict[int, Quota] = {}
"""The quotas by a hash of URL, API key and model, so that no API key is kept here.

Each quota has an entry for each URL, so that it is found fast, and one by a hash of its name,
so that all URLs of a server find the same quota.
"""

_stores: dict[str, SharedStore] = {}
_stores_of_parent_process: list[SharedStore] = []


def get_quota(
    base_url: str, headers: Mapping[str, str], model: str, store_url: str | None
) -> Quota:
    """Return the quota of a request.

    Args:
        base_url: The URL of the API; the quota belongs to its scheme, host and port.
        headers: The headers of the request; the quota belongs to `Authorization`, which is not
            kept.
        model: The requested model.
        store_url: The URL of a store that several processes share, or `None`.

    Raises:
        ImportError: If the store needs a package that is not installed.
    """
    try:
        quota_id = hash((base_url, headers["Authorization"], model, store_url))
    except TypeError:  # `extra_body` can set any value as the model
        quota_id = hash((base_url, headers["Authorization"], str(model), store_url))
    return _quotas.get(quota_id) or _find_or_create_quota(
        quota_id, base_url, headers, model, store_url
    )


def _find_or_create_quota(
    quota_id: int, base_url: str, headers: Mapping[str, str], model: str, store_url: str | None
) -> Quota:
    origin = "/".join(base_url.split("/", 3)[:3])
    text = f"{origin}\n{headers['Authorization']}\n{model}"
    name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    name_id = hash((name, store_url))
    with _lock:
        _remove_idle_quotas()
        if name_id not in _quotas:
            _quotas[name_id] = Quota(name, _get_store(store_url))
        return _quotas.setdefault(quota_id, _quotas[name_id])


def forget_all() -> None:
    """Forget all limits, as if this process had not made a call yet."""
    global _lock  # noqa: PLW0603 # another thread may have held it during a fork
    _lock = threading.Lock()
    _quotas.clear()


def _get_store(url: str | None) -> SharedStore | None:
    if url is None:
        return None
    if url not in _stores:
        _stores[url] = open_store(url)
    return _stores[url]


def _remove_idle_quotas() -> None:
    """Remove quotas that are not in use if there are too many, as after many expired keys."""
    if len(_quotas) + 2 > _MAX_ENTRIES:  # a call adds up to two entries
        idle = {quota for quota in _quotas.values() if quota.is_idle}
        for quota_id in [id_ for id_, quota in _quotas.items() if quota in idle]:
            del _quotas[quota_id]


def _close_stores() -> None:
    for store in _stores.values():
        store.close()


def _forget_parent_process() -> None:
    """Start without quotas after a fork: their threads and connections belong to the parent."""
    forget_all()
    # A reference is kept, because SQLite does not allow the child process to close a
    # connection that its parent has opened.
    _stores_of_parent_process.extend(_stores.values())
    _stores.clear()


atexit.register(_close_stores)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent_process)
