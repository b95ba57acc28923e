"""Message content, in every form that LangChain and other providers have for it."""

import base64
import copy
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from langchain_cerebras_inference._conversion.content import (
    convert_assistant_content,
    convert_system_content,
    convert_tool_content,
    convert_user_content,
)
from langchain_cerebras_inference.emulator.request_schema import UserMessage

PNG_DATA = "iVBORw0KGgo="
PNG = f"data:image/png;base64,{PNG_DATA}"
JPEG = "data:image/jpeg;base64,/9j/4AAQ"
PDF_DATA = base64.b64encode(b"%PDF-1.7 " * 40).decode()
DATA = base64.b64encode(bytes(range(256)) * 4).decode()


# --- text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", ""),
        ("Ahoy", "Ahoy"),
        ([], ""),
        (None, ""),
        (["A", "hoy"], "A\nhoy"),
        ([{"type": "text", "text": "42"}, {"type": "text", "text": "17"}], "42\n17"),
        ([{"text": "42"}, None, "", [{"type": "text", "text": "17"}]], "42\n17"),
        ([{"type": "text", "text": "Ahoy", "cache_control": {"type": "ephemeral"}}], "Ahoy"),
        ([{"type": "text", "text": "Ahoy", "id": "lc_1", "annotations": []}], "Ahoy"),
        ([{"type": "text-plain", "text": "Ahoy", "mime_type": "text/plain"}], "Ahoy"),
        ([{"type": "file", "source_type": "text", "text": "Ahoy"}], "Ahoy"),
        (
            [{"type": "input_text", "text": "A"}, {"type": "output_text", "text": "hoy"}],
            "A\nhoy",
        ),
        ([{"type": "refusal", "refusal": "I won't."}], "I won't."),
        ([{"type": "non_standard", "value": {"type": "text", "text": "Ahoy"}}], "Ahoy"),
        ([{"type": "tool_result", "tool_use_id": "a", "content": "Ahoy"}], "Ahoy"),
        ([{"toolResult": {"toolUseId": "a", "content": [{"text": "Ahoy"}]}}], "Ahoy"),
        ([{"text": "Ahoy"}, {"cachePoint": {"type": "default"}}], "Ahoy"),
        ([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Ahoy"}], "Ahoy"),
        ([{"type": "text", "text": None}, {"type": "text"}, {}, "Ahoy"], "Ahoy"),
    ],
)
def test_text_blocks_are_joined_by_newlines(content: Any, text: str) -> None:
    assert convert_system_content(content) == text
    assert convert_user_content(content) == text
    assert convert_tool_content(content) == (text, [])


CALL_BLOCKS = [
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
]


def test_text_is_joined_without_reasoning_and_tool_calls() -> None:
    assert convert_system_content(CALL_BLOCKS) == "Ahoy"
    assert convert_user_content(CALL_BLOCKS) == "Ahoy"
    assert convert_assistant_content(CALL_BLOCKS) == ("Ahoy", [])


# --- JSON text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        ({"json": {"a": 1}}, {"json": {"a": 1}}),
        ({"type": "json", "json": [1, None]}, {"type": "json", "json": [1, None]}),
        ({"text": "Ahoy", "score": 0.5}, {"text": "Ahoy", "score": 0.5}),
        ({"image": "nginx", "ports": [80]}, {"image": "nginx", "ports": [80]}),
        ({"image": "nginx"}, {"image": "nginx"}),
        ({"reasoning": "Hm.", "answer": 5}, {"reasoning": "Hm.", "answer": 5}),
        ({"reasoning": "Hm."}, {"reasoning": "Hm."}),
        ({"type": "person", "text": "Ada"}, {"type": "person", "text": "Ada"}),
        ({"type": 5, "x": "é🌊"}, {"type": 5, "x": "é🌊"}),
        ({"type": "text", "text": {"value": "x"}}, {"type": "text", "text": {"value": "x"}}),
        ({"type": "x", "a": 1, "index": 0, "id": "lc_1"}, {"type": "x", "a": 1}),
        ({"id": "a", "a": 1, "cache_control": {}}, {"id": "a", "a": 1}),
        ({"type": "non_standard", "value": {"type": "x", "a": 1}}, {"type": "x", "a": 1}),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        ({"type": "x", "value": complex(1, 2)}, {"type": "x", "value": "(1+2j)"}),
        (5, 5),
        (1.5, 1.5),
        (True, True),
    ],
)
def test_block_without_a_form_becomes_compact_json(block: Any, sent: Any) -> None:
    text = json.dumps(sent, ensure_ascii=False, separators=(",", ":"))

    assert convert_tool_content(["Look:", block]) == (f"Look:\n{text}", [])
    assert convert_system_content([block]) == text
    assert convert_user_content([block]) == text
    assert convert_assistant_content(["Look:", block]) == (f"Look:\n{text}", [])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "file", "name": "a.txt", "size": 3},
        {"type": "file", "file_id": "file-1"},
        {"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"},
        {
            "type": "resource_link",
            "uri": "file:///a.txt",
            "name": "a",
            "mimeType": "text/plain",
        },
        {"type": "image", "name": "nginx"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "custom_tool_call_output", "output": "Ahoy"},
        {"type": "tool_reference", "tool_name": "f"},
        {"type": "executable_code", "executable_code": "print(1)", "language": "python"},
        {"type": "document", "document": {"id": "1", "data": {"title": "T", "text": "Ahoy"}}},
    ],
)
def test_block_of_a_tool_result_becomes_compact_json(block: dict[str, Any]) -> None:
    assert convert_tool_content([block]) == (json.dumps(block, separators=(",", ":")), [])


PDF = {"type": "file", "base64": PDF_DATA, "mime_type": "application/pdf", "filename": "a.pdf"}


@pytest.mark.parametrize(
    ("block", "kept"),
    [
        (PDF, ["application/pdf, 360 bytes", "a.pdf"]),
        (
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PDF_DATA}",
                },
            },
            ["application/pdf, 360 bytes", "a.pdf"],
        ),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {
                    "type": "base64",
                    "media_type": "application/pdf",
                    "data": PDF_DATA,
                },
            },
            ["application/pdf, 360 bytes", "a.pdf"],
        ),
        (
            {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF-1.7"}}},
            ["binary data, 8 bytes", '"name":"a"'],
        ),
        (
            {"type": "media", "mime_type": "application/pdf", "data": b"%PDF-1.7"},
            ["application/pdf, 8 bytes"],
        ),
        (
            {
                "type": "resource",
                "resource": {"uri": "a://b", "mimeType": "application/zip", "blob": "UEsDBA=="},
            },
            ["application/zip, 4 bytes", "a://b"],
        ),
        (
            {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"},
            ["audio/wav, 4 bytes"],
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            ["wav, 4 bytes"],
        ),
        (
            {"type": "video", "base64": DATA, "mime_type": "video/mp4"},
            ["video/mp4, 1,024 bytes"],
        ),
        (
            {"type": "x", "pages": [{"images": [{"deep": [{"png": DATA}]}]}]},
            ["binary data, 1,024 bytes", "pages"],
        ),
        (
            {"type": "x", "files": [b"\x00\x01", bytearray(3)]},
            ['["<binary data, 2 bytes>","<binary data, 3 bytes>"]'],
        ),
        (
            {"type": "x", "body": {"type": "Buffer", "data": [137, 80]}},
            ["binary data, 2 bytes"],
        ),
        (
            {"type": "x", "html": f'<img src="{PNG}">'},
            [r"<img src=\"<image/png, 8 bytes>\">"],
        ),
        ({"type": "x", "mail": "\n".join([DATA[:76], DATA[76:152], DATA[152:]])}, ["1,0"]),
    ],
)
def test_binary_data_is_replaced_by_its_type_and_size_at_any_depth(
    block: dict[str, Any], kept: list[str]
) -> None:
    text, images = convert_tool_content([block])

    assert images == []
    assert all(part in text for part in kept)
    assert len(text) < 200
    assert not any(data[:20] in text for data in (PDF_DATA, DATA, "UklGRg==", "UEsDBA==", PNG))


@pytest.mark.parametrize(
    "value",
    [
        "word " * 200,
        "lighthouse\n" * 100,
        "a" * 300,
        "灯台" * 200,
        "-" * 300,
        "/usr/share/doc/" * 30,
        "5d41402abc4b2a76b9719d911017c592" * 4,
        {"data": "It is 5 metres.", "mime_type": "application/x-tide"},
        {"data": "a,b\n1,2", "format": "csv"},
        {"data": "Ahoy", "media_type": "text/plain"},
        {"bytes": "12 kB", "data": [1, 2], "blob": "main"},
        {"base64": "no base64!"},
        list(range(100)),
    ],
)
def test_text_and_numbers_are_not_taken_for_binary_data(value: Any) -> None:
    assert json.loads(convert_tool_content([{"type": "x", "value": value}]).text) == {
        "type": "x",
        "value": value,
    }


def test_deeply_nested_block_is_shortened() -> None:
    block: Any = "core"
    for _ in range(5_000):
        block = {"x": block}

    assert convert_tool_content([block]).text.startswith('{"x":{"x":')


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (
            {"type": "text-plain", "text": "Ahoy", "title": "T", "context": "C", "id": "d1"},
            '{"title":"T","context":"C","id":"d1"}\nAhoy',
        ),
        (
            {
                "type": "search_result",
                "source": "https://example.com",
                "title": "T",
                "content": [{"type": "text", "text": "A\n"}, {"type": "text", "text": "hoy"}],
                "citations": {"enabled": True},
            },
            '{"source":"https://example.com","title":"T"}\nA\n\nhoy',
        ),
        (
            {
                "type": "document",
                "title": "T",
                "source": {"type": "text", "media_type": "text/plain", "data": "Ahoy"},
            },
            '{"title":"T"}\nAhoy',
        ),
        (
            {
                "type": "document",
                "id": "d1",
                "source": {"type": "content", "content": [{"type": "text", "text": "Ahoy"}]},
            },
            '{"id":"d1"}\nAhoy',
        ),
        (
            {"type": "document", "text": "Ahoy", "metadata": {"source": "a.txt"}},
            '{"metadata":{"source":"a.txt"}}\nAhoy',
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "text": "Ahoy\n"}},
            '{"uri":"file:///a"}\nAhoy\n',
        ),
    ],
)
def test_document_keeps_its_id_title_and_source(block: dict[str, Any], text: str) -> None:
    assert convert_tool_content([block]) == (text, [])
    assert convert_user_content([block]) == text
    assert convert_assistant_content([block]) == (text, [])


# --- files in prompts --------------------------------------------------------------------

FILES = [
    (PDF, "file, application/pdf, a.pdf, 360 bytes"),
    ({"type": "file", "file_id": "file-1"}, "file, file, file-1"),
    ({"type": "file", "url": "https://example.com/a"}, "file, file, https://example.com/a"),
    (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_DATA}},
        "file, file, a.pdf, 360 bytes",
    ),
    (
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF_DATA}"},
        "input_file, application/pdf, 360 bytes",
    ),
    (
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
        },
        "document, application/pdf, T, 360 bytes",
    ),
    (
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a"}},
        "document, document, https://example.com/a",
    ),
    (
        {"type": "media", "mime_type": "application/pdf", "data": b"%PDF-1.7"},
        "media, application/pdf, 8 bytes",
    ),
    (
        {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
        "audio, audio/wav, 4 bytes",
    ),
    (
        {"type": "audio", "source_type": "base64", "data": "UklGRg=="},
        "audio, audio, 4 bytes",
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        "input_audio, input_audio, 4 bytes",
    ),
    ({"type": "video", "url": "https://example.com/a"}, "video, video, https://example.com/a"),
    (
        {"type": "video_url", "video_url": {"url": "https://a"}},
        "video_url, video_url, https://a",
    ),
    (
        {"type": "audio_url", "audio_url": "data:audio/wav;base64,UklGRg=="},
        "audio_url, audio/wav, 4 bytes",
    ),
    (
        {"type": "text-plain", "mime_type": "text/plain", "url": "https://a"},
        "text-plain, text/plain, https://a",
    ),
]


@pytest.mark.parametrize("block", [block for block, _ in FILES])
def test_file_in_the_newest_prompt_is_rejected_with_its_index_and_type(
    block: dict[str, Any],
) -> None:
    error = rf"^content\[1\] is a '{block['type']}' block, which Cerebras does not accept"

    with pytest.raises(ValueError, match=error):
        convert_user_content(["Look:", block])
    with pytest.raises(ValueError, match=error):
        convert_system_content(["Look:", block])


@pytest.mark.parametrize(("block", "description"), FILES)
def test_file_in_an_older_prompt_becomes_a_note(
    block: dict[str, Any], description: str
) -> None:
    kind, _, rest = description.partition(", ")
    text = f"Look:\n[{kind} left out: {rest}. Cerebras does not accept such files.]"

    assert convert_user_content(["Look:", block], is_new=False) == text
    assert convert_system_content(["Look:", block], is_new=False) == text


def test_image_in_a_system_message_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"^content\[0\] is a 'image_url' block"):
        convert_system_content([{"type": "image_url", "image_url": {"url": PNG}}])


# --- images ------------------------------------------------------------------------------

IMAGES = [
    ({"type": "image_url", "image_url": {"url": PNG}}, PNG),
    ({"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}, PNG),
    ({"type": "image_url", "image_url": JPEG}, JPEG),
    ({"type": "image", "base64": PNG_DATA, "mime_type": "image/png"}, PNG),
    ({"type": "image", "base64": PNG_DATA}, PNG),
    ({"type": "image", "base64": "/9j/4AAQ"}, JPEG),
    ({"type": "image", "url": PNG}, PNG),
    ({"type": "image", "base64": "/9j/4AAQ", "mime_type": "image/jpg"}, JPEG),
    ({"type": "image_url", "image_url": JPEG.replace("jpeg", "jpg")}, JPEG),
    (
        {"type": "image", "source_type": "base64", "data": PNG_DATA, "mime_type": "image/png"},
        PNG,
    ),
    (
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA},
        },
        PNG,
    ),
    ({"type": "image", "data": PNG_DATA, "mimeType": "image/png"}, PNG),
    ({"type": "input_image", "image_url": PNG}, PNG),
    ({"type": "media", "mime_type": "image/png", "data": base64.b64decode(PNG_DATA)}, PNG),
    ({"type": "file", "base64": PNG_DATA, "mime_type": "image/png"}, PNG),
    ({"type": "resource", "resource": {"blob": PNG_DATA, "mimeType": "image/png"}}, PNG),
    ({"inline_data": {"data": PNG_DATA, "mime_type": "image/png"}}, PNG),
    ({"type": "image_generation_call", "id": "x", "result": PNG_DATA}, PNG),
    ({"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG_DATA)}}}, PNG),
    ({"image": {"format": "jpeg", "source": {"bytes": base64.b64decode("/9j/4AAQ")}}}, JPEG),
    ({"type": "image", "base64": "iVBORw0K\nGgo=", "mime_type": "IMAGE/PNG"}, PNG),
    ({"type": "image", "base64": "_9j_4AAQ", "mime_type": "image/jpeg"}, JPEG),
    ({"type": "image", "url": f"DATA:image/PNG;name=a.png;BASE64,{PNG_DATA}"}, PNG),
]


@pytest.mark.parametrize(("block", "url"), IMAGES)
def test_image_in_any_form_is_sent_as_data(block: dict[str, Any], url: str) -> None:
    cache_point = {"cachePoint": {"type": "default"}}
    question = {"type": "text", "text": "What is it?"}

    parts = convert_user_content([question, block, cache_point, "Say.", ""])

    assert parts == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "Say."},
    ]


@pytest.mark.parametrize(("block", "url"), IMAGES)
def test_images_of_a_tool_or_an_assistant_are_separated_from_the_text(
    block: dict[str, Any], url: str
) -> None:
    text = "Look:\n[image 1: see the next user message]\n[image 2: see the next user message]"

    content = ["Look:", block, block]

    assert convert_tool_content(content, accepts_images=True) == (text, [url, url])
    assert convert_assistant_content(content, accepts_images=True) == (text, [url, url])


def test_image_inside_a_tool_result_is_found() -> None:
    image = {"type": "image", "base64": PNG_DATA, "mime_type": "image/png"}
    result = {"type": "tool_result", "tool_use_id": "a", "content": ["Look:", image]}

    assert convert_tool_content([result], accepts_images=True).image_urls == [PNG]
    with pytest.raises(ValueError, match=r"^content\[1\]\.content\[0\]: Cerebras accepts imag"):
        convert_user_content(["x", {"type": "tool_result", "content": [{"type": "image"}]}])


UNACCEPTED_IMAGES = [
    ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "https://exam"),
    ({"type": "image", "url": "https://example.com/a.png"}, "https://example.com/a.png"),
    ({"type": "image", "file_id": "file-1"}, "file-1"),
    ({"type": "image", "base64": "R0lGOD", "mime_type": "image/gif"}, "image/gif, 4 bytes"),
    ({"type": "image", "base64": "UklGRg==", "name": "a.webp"}, "a.webp, 4 bytes"),
    ({"type": "image", "base64": "UklGRg==", "mime_type": "image/webp"}, "image/webp, 4 byt"),
    ({"type": "image", "url": "data:image/svg+xml;base64,PHN2Zz4="}, "image/svg+xml, 5 bytes"),
    ({"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}, "https://e"),
    ({"type": "image", "source_type": "url", "url": "https://example.com/a.png"}, "https://e"),
]


@pytest.mark.parametrize(
    "block",
    [
        *[block for block, _ in UNACCEPTED_IMAGES],
        {"type": "image_url", "image_url": None},
        {"type": "image"},
    ],
)
def test_image_without_data_is_rejected(block: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^content\[0\]: Cerebras accepts images only as base64 PNG or JPEG"
    ):
        convert_user_content([block])


IMAGE_DATA = bytes(range(0xF0, 0x100)) * 3 + b"\xfb"
STANDARD = base64.b64encode(IMAGE_DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(IMAGE_DATA).decode()

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


@pytest.mark.parametrize(
    "data", ["no base64", "iVBORw0KGgo", "iVBORw0K\nGgo", "iVBO_", "iVBOR!0KGgo=", "é"]
)
def test_image_with_invalid_base64_is_rejected(data: str) -> None:
    with pytest.raises(ValueError, match="The data of the image is not valid base64"):
        convert_user_content([{"type": "image", "base64": data, "mime_type": "image/png"}])


@pytest.mark.parametrize("url", ["data:image/png;base64,", "data:image/png;base64", "data:,"])
def test_image_with_empty_data_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match=r"^content\[0\]: The image has no data"):
        convert_user_content([{"type": "image_url", "image_url": {"url": url}}])


def create_png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)


def create_jpeg(width: int, height: int) -> bytes:
    comment, frame = b"\xff\xfe\x00\x05abc", b"\xff\xc0\x00\x11\x08"
    return b"\xff\xd8" + comment + frame + struct.pack(">HH", height, width)


def create_image(data: bytes) -> dict[str, Any]:
    return {"type": "image", "base64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("block", "description"),
    [
        *UNACCEPTED_IMAGES,
        ({"type": "image", "base64": "é", "mime_type": "image/png"}, "image/png"),
        ({"type": "image", "base64": " \n", "mime_type": "image/png"}, "image/png"),
        *(
            ({"type": "image_url", "image_url": {"url": url}}, "0 bytes")
            for url in ("data:image/png;base64,", "data:image/png;base64", "data:", "data:,")
        ),
        (create_image(create_png(15_001, 1)), "too many pixels"),
        (create_image(create_png(15_000, 15_000)), "too many pixels"),
        (create_image(create_jpeg(1, 15_001)), "too many pixels"),
    ],
)
def test_image_that_is_not_accepted_becomes_a_note(
    block: dict[str, Any], description: str
) -> None:
    for text in (
        convert_user_content([block], is_new=False),
        convert_tool_content([block], accepts_images=True).text,
        convert_assistant_content([block], accepts_images=True).text,
    ):
        assert isinstance(text, str)
        assert text.startswith("[image left out: ")
        assert description in text


@pytest.mark.parametrize("create", [create_png, create_jpeg])
def test_large_image_within_the_limits_is_sent(create: Any) -> None:
    content = [create_image(create(15_000, 7_000)), create_image(create(1, 1)[:20])]

    assert len(convert_tool_content(content, accepts_images=True).image_urls) == 2


@pytest.mark.parametrize("accepts_images", [False, None])
def test_image_becomes_a_note_if_the_model_is_not_known_to_accept_it(
    accepts_images: bool | None,
) -> None:
    block = {"type": "image", "base64": PNG_DATA, "mime_type": "image/png", "name": "a.png"}
    note = (
        "[image left out: image/png, a.png, 8 bytes."
        " The model does not accept images, or it is not known whether it does.]"
    )

    assert convert_tool_content([block], accepts_images=accepts_images) == (note, [])
    assert convert_assistant_content([block], accepts_images=accepts_images) == (note, [])


def test_user_image_is_left_out_only_if_it_is_older_and_the_model_rejects_it() -> None:
    block = {"type": "image_url", "image_url": {"url": PNG}}

    for is_new in (True, False):
        for accepts_images in (True, False, None):
            sent = convert_user_content([block], is_new=is_new, accepts_images=accepts_images)
            assert isinstance(sent, list) == (is_new or accepts_images is not False)


# --- assistant messages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Ahoy", "Ahoy"),
        (None, ""),
        (["A", {"type": "text", "text": "hoy"}], "Ahoy"),
        ([{"type": "text", "text": "A\n"}, {"type": "text", "text": ""}, "hoy"], "A\nhoy"),
        ([{"type": "refusal", "refusal": "I won't."}], "I won't."),
        ([{"type": "output_text", "text": "A"}, {"type": "text", "text": "hoy"}], "Ahoy"),
        ([{"type": "thinking", "thinking": "Hm."}], ""),
        ([{"type": "text", "text": None, "citations": []}, "Ahoy"], "Ahoy"),
        ([{"toolUse": {"name": "f"}}, {"text": "Ahoy"}], "Ahoy"),
        (["A", {"type": "x", "a": 1}, "hoy", " there"], 'A\n{"type":"x","a":1}\nhoy there'),
    ],
)
def test_assistant_text_stays_as_it_was_streamed(content: Any, text: str) -> None:
    assert convert_assistant_content(content) == (text, [])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "web_search_call", "id": "x", "status": "completed"},
        {"type": "server_tool_call", "name": "f"},
        {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {"query": "x"}},
        {"type": "mcp_tool_use", "id": "x", "name": "f", "input": {}},
        {"type": "mcp_list_tools", "server_label": "x", "tools": [{"name": "f"}]},
        {"type": "web_search_tool_result", "tool_use_id": "x", "content": []},
        {"type": "server_tool_result", "tool_call_id": "x", "status": "success"},
        {"type": "non_standard", "value": {"type": "compaction"}},
        {"type": "text"},
        {},
    ],
)
def test_blocks_about_server_tools_are_left_out_of_assistant_text(block: Any) -> None:
    assert convert_assistant_content(["A", block, "hoy"]).text.replace("\n", "") == "Ahoy"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "executable_code", "executable_code": "print(1)", "language": "python"},
        {"type": "code_execution_result", "code_execution_result": "1", "outcome": 1},
        {"type": "server_tool_result", "tool_call_id": "x", "output": {"stdout": "1"}},
        {"type": "code_interpreter_call", "code": "print(1)", "outputs": [{"logs": "1"}]},
        {"type": "web_search_tool_result", "content": [{"url": "u", "title": "T"}]},
        {"type": "file", "file_id": "file-1"},
        {"type": "audio", "id": "audio_1", "transcript": "Ahoy"},
    ],
)
def test_results_of_server_tools_become_json_in_assistant_text(block: dict[str, Any]) -> None:
    text = json.dumps(block, separators=(",", ":"))

    assert convert_assistant_content(["Look:", block]) == (f"Look:\n{text}", [])


def test_blocks_are_not_changed() -> None:
    content: list[Any] = [
        {"type": "image", "source": {"media_type": "image/png", "data": PNG_DATA}},
        {"type": "document", "title": "T", "source": {"type": "text", "data": "x"}},
        {"type": "x", "files": [{"base64": DATA}], "cache_control": {}},
    ]
    before = copy.deepcopy(content)

    convert_user_content(content)
    convert_tool_content(content, accepts_images=True)
    convert_assistant_content(content, accepts_images=True)

    assert content == before
