"""Images and other files in content blocks, in the forms of LangChain and other providers.

Cerebras accepts images only as base64 PNG or JPEG data, and no other files.
Source: https://inference-docs.cerebras.ai/capabilities/image-understanding
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10 * 1024 * 1024
"""The maximum size of all images of a request together."""

_MAX_IMAGE_SIDE = 15_000
_MAX_DECODED_BYTES = 350_000_000

_IMAGE_TYPES = frozenset({"image", "image_url", "input_image", "computer_screenshot"})
_FILE_TYPES = frozenset(
    {"audio", "input_audio", "audio_url", "video", "video_url", "file", "input_file", "media"}
    | {"inline_data", "text-plain"}
)
MEDIA_TYPES = _IMAGE_TYPES | _FILE_TYPES
"""Types of blocks that are files."""

_NESTED_KEYS = (
    "image_url",
    "audio_url",
    "video_url",
    "file",
    "input_audio",
    "inline_data",
    "resource",
    "image",
    "audio",
    "video",
    "document",
    "extras",
    "source",
)
"""Keys of objects inside a block that may have the data of its file or describe it."""

_DATA_KEYS = ("base64", "data", "blob", "bytes", "file_data")
_LOCATION_KEYS = (
    "url",
    "image_url",
    "audio_url",
    "video_url",
    "uri",
    "file_uri",
    "file_url",
    "file_id",
)
_NAME_KEYS = ("filename", "file_name", "name", "title")
_MIME_TYPE_KEYS = ("mime_type", "media_type", "mimeType")

_SIGNATURES = {"iVBORw0KGgo": "image/png", "UklGR": "image/webp", "R0lGOD": "image/gif"}
"""Maps the beginning of base64 data to its type. Anything else is taken for JPEG."""

_PNG_SIZE = slice(16, 24)
_JPEG_WITHOUT_SIZE = frozenset({0xC4, 0xC8, 0xCC})
"""Markers of JPEG between 0xC0 and 0xCF that do not begin a frame."""


class Media(NamedTuple):
    """A file in a content block.

    Attributes:
        block: The block.
        block_type: The type of the block.
        mime_type: The type of the file in lower case, or an empty string.
        name: The name of the file, or an empty string.
        data: The base64 data, or `None`.
        location: The URL or the id of the file, or an empty string.
    """

    block: Mapping[str, Any]
    block_type: str
    mime_type: str
    name: str
    data: str | None
    location: str

    @property
    def is_image(self) -> bool:
        """Whether the file is an image."""
        return self.block_type in _IMAGE_TYPES or self.mime_type.startswith("image/")

    @property
    def is_empty(self) -> bool:
        """Whether the block has neither data nor a URL or file id."""
        return self.data is None and not self.location


def read_media(block: Mapping[str, Any], block_type: str) -> Media:
    """Find the file of a block, in any of LangChain's and other providers' forms."""
    fields = _merge_nested_objects(block)
    location = _find_string(fields, _LOCATION_KEYS).strip()
    mime_type = _find_string(fields, _MIME_TYPE_KEYS)
    if not mime_type and block_type == "image" and isinstance(fields.get("format"), str):
        mime_type = f"image/{fields['format']}"  # Bedrock
    data = next((fields[key] for key in _DATA_KEYS if fields.get(key)), None)
    if isinstance(data, (bytes, bytearray)):
        data = base64.b64encode(data).decode()
    if not isinstance(data, str):
        data = location if is_data_uri(location) else None
    if data is not None and is_data_uri(data):
        uri_type, data = split_data_uri(data)
        mime_type = uri_type or mime_type
    if is_data_uri(location):
        location = ""
    name = _find_string(fields, _NAME_KEYS)
    mime_type = mime_type.partition(";")[0].strip().lower()
    return Media(block, block_type, mime_type, name, data, location)


def is_data_uri(text: str) -> bool:
    """Return whether a string is a data URI."""
    return text[:5].lower() == "data:"


def split_data_uri(uri: str) -> tuple[str, str]:
    """Split a data URI into its MIME type, in lower case and without parameters, and data."""
    header, _, data = uri.partition(",")
    return header[5:].partition(";")[0].strip().lower(), data


def build_image_url(media: Media) -> str:
    """Build the data URI of an image.

    Raises:
        ValueError: If Cerebras does not accept the image.
    """
    mime_type = _get_image_type(media)
    if mime_type not in ("image/png", "image/jpeg") or media.data is None:
        raise ValueError(
            "Cerebras accepts images only as base64 PNG or JPEG data, not by URL or file id."
            " Download the image and pass its data."
        )
    data = _normalize_base64(media.data)
    if not data:
        raise ValueError("The image has no data. Pass base64 PNG or JPEG data, or remove it.")
    try:
        base64.b64decode(data, validate=True)
    except ValueError as error:
        raise ValueError(
            f"The data of the image is not valid base64 ({error}). Encode it again."
        ) from None
    return f"data:{mime_type};base64,{data}"


def describe_media(media: Media) -> str:
    """Describe a file by its type, name, location and size, as far as these are known."""
    parts = [media.mime_type or media.block_type, media.name, media.location[:200]]
    if media.data is not None:
        parts.append(format_size(count_bytes(media.data)))
    return ", ".join(filter(None, parts))


def build_note(media: Media, reason: str) -> str:
    """Build the text that is sent instead of a file."""
    kind = "image" if media.is_image else media.block_type
    return f"[{kind} left out: {describe_media(media)}. {reason}]"


def build_limit_note(url: str) -> str:
    """Build the text that is sent instead of an image if a request has too many."""
    limit = f"{MAX_IMAGES} images of {format_size(MAX_IMAGE_BYTES)} in all"
    return build_note(read_media({"url": url}, "image"), f"A request can have up to {limit}.")


def count_bytes(data: str) -> int:
    """Count the bytes that base64 data has when it is decoded."""
    return len(data.rstrip("=\r\n")) * 3 // 4


def format_size(size: int) -> str:
    """Format a size in bytes for a text, such as `400,000 bytes`."""
    return f"{size:,} bytes"


def is_too_large(url: str) -> bool:
    """Return whether an image has more pixels than Cerebras accepts.

    Args:
        url: The data URI that `build_image_url` returned.
    """
    data = base64.b64decode(split_data_uri(url)[1])
    width, height = _read_png_size(data) or _read_jpeg_size(data) or (0, 0)
    return max(width, height) > _MAX_IMAGE_SIDE or width * height * 3 > _MAX_DECODED_BYTES


def _merge_nested_objects(block: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(block)
    for key in _NESTED_KEYS:
        nested = fields.get(key)
        if isinstance(nested, Mapping):
            del fields[key]
            fields |= nested
    return fields


def _find_string(fields: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    values = (fields.get(key) for key in keys)
    return next((value for value in values if value and isinstance(value, str)), "")


def _get_image_type(media: Media) -> str:
    if media.mime_type == "image/jpg":
        return "image/jpeg"
    if media.mime_type.startswith("image/") or media.data is None:
        return media.mime_type
    types = (type_ for start, type_ in _SIGNATURES.items() if media.data.startswith(start))
    return next(types, "image/jpeg")


def _normalize_base64(data: str) -> str:
    """Return base64 data in the standard alphabet, without line breaks and percent-encoding."""
    if "%" in data:
        data = urllib.parse.unquote(data)
    data = data.strip()
    if "\n" in data or "\r" in data:
        data = "".join(line.strip() for line in data.splitlines())
    if "-" in data or "_" in data:  # the URL-safe alphabet, which is often not padded
        data = data.replace("-", "+").replace("_", "/")
        data += "=" * (-len(data) % 4)
    return data


def _read_png_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < _PNG_SIZE.stop:
        return None
    size = data[_PNG_SIZE]
    return int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read the size from the header of the first frame."""
    position = 2
    while data[position : position + 1] == b"\xff" and len(data) >= position + 9:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_WITHOUT_SIZE:
            size = data[position + 5 : position + 9]
            return int.from_bytes(size[2:], "big"), int.from_bytes(size[:2], "big")
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None
