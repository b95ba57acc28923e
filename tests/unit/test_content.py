"""Message content, in every shape LangChain has for it."""

from typing import Any

import pytest

from langchain_cerebras_inference._conversion.content import to_parts, to_speech, to_text

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
def test_text_is_joined_and_thoughts_and_calls_travel_elsewhere(
    content: Any, text: str
) -> None:
    assert to_text(content) == text
    if not any(isinstance(each, dict) and "id" in each for each in content):
        assert to_parts(content) == text


@pytest.mark.parametrize(
    ("block", "kind"),
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
def test_what_is_no_text_is_refused_by_its_type(block: Any, kind: str) -> None:
    with pytest.raises(
        ValueError, match=f"a '{kind}' block cannot be sent to Cerebras as text"
    ):
        to_text([block])


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
def test_an_image_in_any_shape_goes_as_data(block: dict[str, Any], url: str) -> None:
    cached = {"cachePoint": {"type": "default"}}

    parts = to_parts([{"type": "text", "text": "What is it?"}, block, cached, "Say."])

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
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": None},
        {"type": "image"},
    ],
)
def test_an_image_that_is_no_data_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Cerebras takes images as base64 PNG or JPEG data"):
        to_parts([block])


@pytest.mark.parametrize("data", ["no base64", "iVBORw0KGgo", "iVBORw0K\nGgo="])
def test_an_image_whose_data_is_no_base64_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="the data of an image is no base64"):
        to_parts([{"type": "image", "base64": data, "mime_type": "image/png"}])


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
def test_what_a_server_did_beside_it_is_no_word_of_the_assistants(
    content: Any, text: str
) -> None:
    assert to_speech(content) == text


@pytest.mark.parametrize(
    "block",
    [{"type": "image_url", "image_url": PNG}, {"type": "audio"}, {"type": "text"}, {}, 5],
)
def test_what_an_assistant_said_is_not_left_out(block: Any) -> None:
    with pytest.raises(ValueError, match="block cannot be sent to Cerebras as text"):
        to_speech([block])


def test_blocks_are_not_changed() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    block = {"type": "image", "source": source}

    to_parts([block])

    assert block == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }
