"""Message content, in every form that LangChain has for it."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from langchain_cerebras_inference._conversion.content import (
    convert_user_content,
    join_assistant_text,
    join_text,
)
from langchain_cerebras_inference.emulator.request_schema import UserMessage

PNG = "data:image/png;base64,iVBORw0KGgo="
JPEG = "data:image/jpeg;base64,/9j/4AAQ"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", ""),
        ("Ahoy", "Ahoy"),
        ([], ""),
        (["A", "hoy"], "Ahoy"),
        ([{"type": "text", "text": "A"}, {"type": "text", "text": "hoy"}], "Ahoy"),
        ([{"text": "Ahoy"}], "Ahoy"),
        ([{"type": "text", "text": "Ahoy", "cache_control": {"type": "ephemeral"}}], "Ahoy"),
        ([{"type": "text-plain", "text": "Ahoy", "mime_type": "text/plain"}], "Ahoy"),
        ([{"type": "refusal", "refusal": "I won't."}], "I won't."),
        ([{"text": "Ahoy"}, {"cachePoint": {"type": "default"}}], "Ahoy"),
        (
            [
                {"type": "reasoning", "reasoning": "Hm."},
                {"type": "thinking", "thinking": "Hm."},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "reasoning_content", "reasoning_content": "Hm."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_call", "id": "a", "name": "f", "args": {}},
                {"type": "invalid_tool_call", "id": "a", "name": "f", "args": "{"},
                {"type": "tool_call_chunk", "id": "a", "name": "f", "args": "{"},
                {"type": "function_call", "name": "f"},
                {"type": "text", "text": "Ahoy"},
            ],
            "Ahoy",
        ),
    ],
)
def test_text_is_joined_without_reasoning_and_tool_calls(content: Any, text: str) -> None:
    assert join_text(content) == text
    assert convert_user_content(content) == text


@pytest.mark.parametrize(
    ("block", "block_type"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, "image_url"),
        ({"type": "audio", "base64": "x"}, "audio"),
        ({"type": "file", "file_id": "x"}, "file"),
        ({"type": "text", "text": None}, "text"),
        ({"type": "text"}, "text"),
        ({"json": {"a": 1}}, "json"),
        ({}, "text"),
        (5, "text"),
    ],
)
def test_block_that_is_not_text_is_rejected_with_its_index_and_type(
    block: Any, block_type: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"^content\[1\] is a '{block_type}' block, which Cerebras does not a"
    ):
        join_text(["Look:", block])


@pytest.mark.parametrize(
    ("block", "url"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, PNG),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}, PNG),
        ({"type": "image_url", "image_url": JPEG}, JPEG),
        ({"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}, PNG),
        ({"type": "image", "base64": "/9j/4AAQ"}, JPEG),
        ({"type": "image", "url": PNG}, PNG),
        ({"type": "image", "base64": "/9j/4AAQ", "mime_type": "image/jpg"}, JPEG),
        ({"type": "image_url", "image_url": JPEG.replace("jpeg", "jpg")}, JPEG),
        (
            {
                "type": "image",
                "source_type": "base64",
                "data": "iVBORw0KGgo=",
                "mime_type": "image/png",
            },
            PNG,
        ),
        (
            {
                "type": "image",
                "source": {
                    "type": "base64",
                    "media_type": "image/png",
                    "data": "iVBORw0KGgo=",
                },
            },
            PNG,
        ),
    ],
)
def test_image_in_any_form_is_sent_as_data(block: dict[str, Any], url: str) -> None:
    cache_point = {"cachePoint": {"type": "default"}}
    question = {"type": "text", "text": "What is it?"}

    parts = convert_user_content([question, block, cache_point, "Say."])

    assert parts == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "Say."},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "image", "file_id": "file-1"},
        {"type": "image", "base64": "R0lGOD", "mime_type": "image/gif"},
        {"type": "image", "url": "data:image/png,iVBORw0KGgo="},
        {"type": "image", "url": "data:image/png;charset=x,iVBORw0KGgo="},
        {"type": "image", "url": "data:image/png;base64"},
        {"type": "image", "url": "data:;base64,iVBORw0KGgo="},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": None},
        {"type": "image"},
    ],
)
def test_image_without_data_is_rejected(block: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^content\[0\]: Cerebras accepts images only as base64 PNG or JPEG"
    ):
        convert_user_content([block])


DATA = bytes(range(0xF0, 0x100)) * 3 + b"\xfb"
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()

# A data URI, and the one that is sent.
DATA_URIS = {
    "parameter": ("data:image/png;charset=utf-8;base64,iVBORw0KGgo=", PNG),
    "several parameters": ("data:image/png;name=a.png;charset=x;base64,iVBORw0KGgo=", PNG),
    "quoted parameter": ('data:image/png;name="a b.png";base64,iVBORw0KGgo=', PNG),
    "upper-case type": ("data:IMAGE/PNG;base64,iVBORw0KGgo=", PNG),
    "mixed case": ("Data:Image/Jpeg;Base64,/9j/4AAQ", JPEG),
    "upper-case jpg": ("data:image/JPG;base64,/9j/4AAQ", JPEG),
    "spaces in the header": ("data:image/png; charset=x; base64,iVBORw0KGgo=", PNG),
    "spaces around": (" data:image/png;base64,iVBORw0KGgo=\n", PNG),
    "line feed": ("data:image/png;base64,iVBORw0K\nGgo=", PNG),
    "lines": ("data:image/png;base64,\r\niVBO\r\nRw0KGgo=\r\n", PNG),
    "indented lines": ("data:image/png;base64,iVBO\n    Rw0K\n\tGgo=", PNG),
    "percent-encoded": ("data:image/png;base64,iVBORw0KGgo%3D", PNG),
    "percent-encoded slash": ("data:image/jpeg;base64,%2F9j%2F4AAQ", JPEG),
    "URL-safe": (f"data:image/png;base64,{URL_SAFE}", f"data:image/png;base64,{STANDARD}"),
    "URL-safe without padding": (
        f"data:image/png;base64,{URL_SAFE.rstrip('=')}",
        f"data:image/png;base64,{STANDARD}",
    ),
    "all together": (
        f"DATA:image/JPG;a=b;BASE64,{URL_SAFE[:9]}\r\n{URL_SAFE[9:].rstrip('=')}",
        f"data:image/jpeg;base64,{STANDARD}",
    ),
}

IMAGE_BLOCKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "image_url": lambda uri: {"type": "image_url", "image_url": {"url": uri}},
    "text": lambda uri: {"type": "image_url", "image_url": uri},
    "url": lambda uri: {"type": "image", "url": uri},
}


@pytest.mark.parametrize("block", IMAGE_BLOCKS)
@pytest.mark.parametrize("case", DATA_URIS)
def test_data_uri_is_normalized(case: str, block: str) -> None:
    uri, expected = DATA_URIS[case]

    parts = convert_user_content([IMAGE_BLOCKS[block](uri)])

    assert parts == [{"type": "image_url", "image_url": {"url": expected}}]
    validated = UserMessage.model_validate({"role": "user", "content": parts})
    assert len(validated.content) == 1


@pytest.mark.parametrize(
    ("data", "mime_type", "expected"),
    [
        ("iVBORw0K\nGgo=", "image/png", PNG),
        ("iVBORw0KGgo=", "IMAGE/PNG", PNG),
        ("/9j/4AAQ", "image/jpeg; charset=binary", JPEG),
        ("_9j_4AAQ", "image/jpg", JPEG),
    ],
)
def test_data_of_an_image_block_is_normalized(data: str, mime_type: str, expected: str) -> None:
    source = {"type": "base64", "media_type": mime_type, "data": data}
    blocks: list[dict[str, Any]] = [
        {"type": "image", "base64": data, "mime_type": mime_type},
        {"type": "image", "source_type": "base64", "data": data, "mime_type": mime_type},
        {"type": "image", "source": source},
    ]

    for block in blocks:
        assert convert_user_content([block]) == [
            {"type": "image_url", "image_url": {"url": expected}}
        ]


@pytest.mark.parametrize("data", ["no base64", "iVBORw0KGgo", "iVBORw0K\nGgo", "iVBO_", "é"])
def test_image_with_invalid_base64_is_rejected(data: str) -> None:
    with pytest.raises(ValueError, match="The data of the image is not valid base64"):
        convert_user_content([{"type": "image", "base64": data, "mime_type": "image/png"}])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Ahoy", "Ahoy"),
        (["A", {"type": "text", "text": "hoy"}], "Ahoy"),
        ([{"type": "refusal", "refusal": "I won't."}], "I won't."),
        ([{"type": "web_search_call", "id": "x"}, {"type": "text", "text": "Ahoy"}], "Ahoy"),
        ([{"type": "server_tool_call", "name": "f"}], ""),
        ([{"type": "non_standard", "value": {"text": "x"}}], ""),
        ([{"type": "thinking", "thinking": "Hm."}], ""),
        ([{"type": "text", "text": None, "citations": []}, "Ahoy"], "Ahoy"),
        ([{"toolUse": {"name": "f"}}, {"text": "Ahoy"}], "Ahoy"),
    ],
)
def test_blocks_about_server_tools_are_left_out_of_assistant_text(
    content: Any, text: str
) -> None:
    assert join_assistant_text(content) == text


@pytest.mark.parametrize(
    "block",
    [{"type": "image_url", "image_url": PNG}, {"type": "audio"}, {"type": "text"}, {}, 5],
)
def test_assistant_block_with_content_is_not_left_out(block: Any) -> None:
    with pytest.raises(ValueError, match="block, which Cerebras does not accept"):
        join_assistant_text([block])


def test_blocks_are_not_changed() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    block = {"type": "image", "source": source}

    convert_user_content([block])

    assert block == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }
