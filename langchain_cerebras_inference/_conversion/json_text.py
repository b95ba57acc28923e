"""JSON text for values that have no form of their own in a request.

Binary data in it is replaced by its type and size: a file of 400 kB would fill the context of
the model. The name of the file stays, because it is in another field of the same object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from langchain_cerebras_inference._conversion import media

_MAX_DEPTH = 64
_MIN_BASE64_LENGTH = 200
_MAX_INTEGER_BITS = 14_000
"""Python raises an error if a longer integer is written as a decimal number."""

# `re` compiles these patterns at their first use and caches them.
_DATA_URI_PATTERN = r"(?i:data:([\w.+/;=-]*);base64,)([A-Za-z0-9+/=_-]*)"
_BASE64_CHARACTERS = r"[A-Za-z0-9+/=_\r\n-]*"
_BASE64_PATTERN = r"(?:[A-Za-z0-9+/_-]{60,}\r?\n)*[A-Za-z0-9+/_-]+={0,2}\s*"

_BASE64_KEYS = frozenset({"base64", "b64_json", "file_data"})
_DATA_KEYS = frozenset({"data", "blob", "bytes"})
_BINARY_TYPES = ("base64", "Buffer")
_MIME_TYPE_KEYS = ("mime_type", "media_type", "mimeType")
_TEXT_MIME_TYPES = ("text/", "application/json", "application/xml")
_BINARY_FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "png", "jpeg", "webp", "gif", "pdf")


def build_json_text(value: Any) -> str:
    """Encode a value as compact JSON, without its binary data."""
    return json.dumps(_simplify(value, 0), ensure_ascii=False, separators=(",", ":"))


def _simplify(value: Any, depth: int) -> Any:
    """Copy a value, with only the types of JSON and without binary data."""
    if isinstance(value, str):
        return _simplify_string(value)
    if value is None or isinstance(value, (bool, int, float)):
        return _simplify_scalar(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _describe_bytes("binary data", len(value))
    if depth == _MAX_DEPTH:
        return "..."
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        mime_type = _find_mime_type(value)
        return {
            str(key): _simplify_field(key, item, mime_type, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_simplify(item, depth + 1) for item in value]
    return str(value)


def _simplify_scalar(value: Any) -> Any:
    is_too_long = isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS
    return hex(value) if is_too_long else value


def _find_mime_type(fields: Mapping[Any, Any]) -> str:
    """Return the type of the binary data of an object, or an empty string if it has none."""
    for key in _MIME_TYPE_KEYS:
        mime_type = fields.get(key)
        if isinstance(mime_type, str) and mime_type:
            return "" if mime_type.startswith(_TEXT_MIME_TYPES) else mime_type
    if fields.get("type") in _BINARY_TYPES or fields.get("source_type") in _BINARY_TYPES:
        return "binary data"
    return str(fields["format"]) if fields.get("format") in _BINARY_FORMATS else ""


def _simplify_field(key: Any, value: Any, mime_type: str, depth: int) -> Any:
    """Simplify a field of an object whose binary data has the type `mime_type`."""
    if key not in _BASE64_KEYS and not (key in _DATA_KEYS and mime_type):
        return _simplify(value, depth)
    if isinstance(value, str) and re.fullmatch(_BASE64_CHARACTERS, value):
        return _describe_bytes(mime_type or "binary data", media.count_bytes(value))
    is_list_of_bytes = isinstance(value, list) and all(type(item) is int for item in value)
    if is_list_of_bytes or isinstance(value, (bytes, bytearray, memoryview)):
        return _describe_bytes(mime_type or "binary data", len(value))
    return _simplify(value, depth)


def _simplify_string(text: str) -> str:
    if "base64," in text.lower():
        text = re.sub(
            _DATA_URI_PATTERN,
            lambda match: _describe_bytes(
                match[1] or "text/plain", media.count_bytes(match[2])
            ),
            text,
        )
    if len(text) >= _MIN_BASE64_LENGTH and _is_base64(text):
        return _describe_bytes("binary data", media.count_bytes(text))
    return text


def _is_base64(text: str) -> bool:
    """Return whether a long text is base64 data: lines of letters and digits of all kinds."""
    return bool(
        re.fullmatch(_BASE64_PATTERN, text)
        and re.search("[a-z]", text)
        and re.search("[A-Z]", text)
        and re.search("[0-9]", text)
    )


def _describe_bytes(mime_type: str, size: int) -> str:
    return f"<{mime_type}, {media.format_size(size)}>"
