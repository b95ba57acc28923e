"""The chat requests that the emulator accepts, and those that it rejects as Cerebras does."""

import gzip
import json
import math
from typing import Any

import pytest

from langchain_cerebras_inference.emulator import Emulator
from tests.integration.emulator_client import (
    GPT_OSS,
    JSON,
    QWEN,
    assistant_message,
    chat,
    post,
    request_body,
    tool,
    tool_call,
    tool_message,
    user_message,
)

PNG = "data:image/png;base64,iVBORw0KGgo="
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
JSON_OBJECT = {"type": "json_object"}
PREDICTION = {"type": "content", "content": "x"}
CALL_A = tool_call("a")
RESULT_A = tool_message("a")
DEVELOPER = {"role": "developer", "content": "x"}


def messages(*items: JSON) -> JSON:
    return {"messages": list(items)}


def image(url: str) -> JSON:
    return {"type": "image_url", "image_url": {"url": url}}


def forced_tool_choice(name: str) -> JSON:
    return {"type": "function", "function": {"name": name}}


def shorten(fields: JSON) -> str:
    return json.dumps(fields)[:60]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": None, "stop": None, "tools": None},
        {"temperature": 0, "seed": 1, "user": "me", "top_p": 1, "clear_thinking": False},
        {"stream_options": {"include_usage": True}},
        {"stop": "x", "logit_bias": {"1": -100}, "prompt_cache_key": "k" * 1024},
        {"prediction": PREDICTION},
        messages(user_message([{"type": "text", "text": "x"}]), user_message(), user_message()),
        messages(user_message(), assistant_message(reasoning="Hm."), user_message()),
        messages(
            user_message(), assistant_message(content=None, tool_calls=[CALL_A]), RESULT_A
        ),
        messages(
            assistant_message(reasoning="Hm.", tool_calls=[CALL_A, tool_call("b")]),
            tool_message("b") | {"name": "f"},
            RESULT_A,
        ),
        messages(DEVELOPER, user_message()),
        {"tools": [tool("f", {"$schema": "x", "type": ["object"]}), tool("g", {})]},
        {"tools": [tool(name, CLOSED, strict=True) for name in ("f", "g")]},
        {"model": QWEN, "tools": [tool("f", {})], "response_format": JSON_OBJECT},
        {"model": QWEN, **messages(user_message([image(PNG)]))},
    ],
    ids=shorten,
)
def test_request_is_accepted(server: Emulator, fields: JSON) -> None:
    assert chat(server, **fields).status == 200


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"thinking": True}, "body.thinking"),
        ({"top_k": 1}, "body.top_k"),
        ({"disable_reasoning": True}, "body.disable_reasoning"),
        ({"store": False}, "body.store"),
        ({"stream_options": {"other": 1}}, "stream_options.other"),
        (messages(user_message() | {"extra": 1}), "messages.0.user.extra"),
        (
            messages(assistant_message(content="x", reasoning_content="y"), user_message()),
            "messages.0.assistant.reasoning_content",
        ),
        (
            messages(assistant_message(content="x", refusal=None), user_message()),
            "messages.0.assistant.refusal",
        ),
        (
            messages(user_message([{"type": "text", "text": "x", "cache_control": {}}])),
            "messages.0.user.content.0.text.cache_control",
        ),
        ({"tools": [tool("f", {}, other=1)]}, "tools.0.function.other"),
    ],
)
def test_unknown_field_is_rejected_as_recorded(
    server: Emulator, fields: JSON, path: str
) -> None:
    response = chat(server, **fields)

    assert response.status == 400
    assert response.json == {
        "message": f"{path}: property '{path}' is unsupported",
        "type": "invalid_request_error",
        "param": "validation_error",
        "code": "wrong_api_format",
    }


def test_each_invalid_field_is_named_on_a_line_of_its_own(server: Emulator) -> None:
    response = chat(server, thinking=True, temperature="hot")

    assert response.json["message"].splitlines() == [
        "body.temperature: Input should be a valid number",
        "body.thinking: property 'body.thinking' is unsupported",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        messages(),
        messages({"role": "function", "content": "x"}),
        messages({"role": "user"}),
        messages(user_message([{"type": "audio"}])),
        messages(user_message(None)),
        messages(RESULT_A),
        messages(user_message(), assistant_message(tool_calls=[])),
        messages(user_message(), assistant_message(tool_calls=[CALL_A])),
        messages(
            user_message(), assistant_message(tool_calls=[CALL_A]), user_message(), RESULT_A
        ),
        messages(user_message(), assistant_message(tool_calls=[CALL_A]), tool_message("b")),
        messages(assistant_message(tool_calls=[CALL_A]), RESULT_A, RESULT_A),
        messages(assistant_message(tool_calls=[CALL_A, CALL_A]), RESULT_A),
        {"tools": []},
        {"tools": [tool("not a name", {})]},
        {"tools": [tool("f", CLOSED, strict=True), tool("g", CLOSED)]},
        {"tools": [tool("f", {"type": "object"}, strict=True)]},
        {"tool_choice": "auto"},
        {"tools": [tool("f", {})], "tool_choice": "any"},
        {"tools": [tool("f", {})], "tool_choice": forced_tool_choice("g")},
        {"tools": [tool("f", {})], "response_format": JSON_OBJECT},
        {"response_format": {"type": "yaml"}},
        {"response_format": JSON_OBJECT, "reasoning_format": "raw"},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "minimal"},
        {"model": QWEN, "reasoning_format": "hidden"},
        {"model": QWEN, **messages(DEVELOPER)},
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"temperature": True},
        {"top_p": 1.1},
        {"presence_penalty": -2.1},
        {"frequency_penalty": 2.1},
        {"logit_bias": {"1": 101}},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"top_logprobs": 2},
        {"top_logprobs": 21, "logprobs": True},
        {"max_completion_tokens": 1.5},
        {"n": 0},
        {"prompt_cache_key": "k" * 1025},
        {"service_tier": "fast"},
        {"model": QWEN, "prediction": PREDICTION},
        {"prediction": PREDICTION, "n": 2},
        {"prediction": PREDICTION, "logprobs": True},
    ],
    ids=shorten,
)
def test_invalid_request_is_rejected(server: Emulator, fields: JSON) -> None:
    response = chat(server, **fields)

    assert response.status == 400
    assert response.json["code"] == "wrong_api_format"


@pytest.mark.parametrize(
    ("model_name", "url", "status", "code"),
    [
        (GPT_OSS, PNG, 403, "multimodal_not_enabled"),
        (QWEN, "https://example.com/cat.png", 400, "wrong_api_format"),
        (QWEN, "data:image/gif;base64,R0lG", 400, "wrong_api_format"),
        (QWEN, "data:image/png;base64,!", 400, "wrong_api_format"),
        (QWEN, "data:image/png;base64,é", 400, "wrong_api_format"),
        (QWEN, "data:image/png;base64," + "A" * 14_000_000, 413, "image_too_large"),
    ],
    ids=["gpt-oss", "https", "gif", "not base64", "not ASCII", "too large"],
)
def test_unsupported_image_is_rejected(
    server: Emulator, model_name: str, url: str, status: int, code: str
) -> None:
    response = chat(server, model=model_name, **messages(user_message([image(url)])))

    assert (response.status, response.json["code"]) == (status, code)


def test_more_than_ten_images_are_rejected(server: Emulator) -> None:
    response = chat(server, model=QWEN, **messages(user_message([image(PNG)] * 11)))

    assert (response.status, response.json["code"]) == (413, "image_too_large")


@pytest.mark.parametrize(
    ("model_name", "code"),
    [
        ("bad model", "model_not_found"),
        ("gemma-4-31b", "model_archived"),
        ("llama3.1-8b", "model_archived"),
        ("llama3.3-70b", "model_archived"),
    ],
)
def test_unavailable_model_is_not_found(server: Emulator, model_name: str, code: str) -> None:
    response = chat(server, model=model_name)

    assert (response.status, response.json["code"]) == (404, code)
    assert response.json["message"].startswith(f"Model {model_name} ")


@pytest.mark.parametrize(
    "fields",
    [messages(user_message("x" * 600_000)), {"max_completion_tokens": 131_072}],
    ids=["long prompt", "large token limit"],
)
def test_request_that_exceeds_the_context_is_rejected(server: Emulator, fields: JSON) -> None:
    response = chat(server, **fields)

    assert response.status == 400
    assert response.json["code"] == "context_length_exceeded"
    assert response.json["message"].endswith("while limit is 131072")


@pytest.mark.parametrize("key", ["wrong", ""])
def test_wrong_key_gets_the_recorded_error(server: Emulator, key: str) -> None:
    response = post(server, b"{}", Authorization=f"Bearer {key}")

    assert response.status == 401
    assert response.content == (
        b'{"message":"Wrong API Key","type":"invalid_request_error",'
        b'"param":"api_key","code":"wrong_api_key"}'
    )


def test_only_gzip_is_accepted_as_content_encoding(server: Emulator) -> None:
    compressed = gzip.compress(json.dumps(request_body()).encode())

    def post_encoded(content: bytes, encoding: str) -> int:
        return post(server, content, **{"Content-Encoding": encoding}).status

    assert post_encoded(compressed, "gzip") == 200
    assert post_encoded(b"x", "gzip") == 400
    assert post_encoded(compressed, "br") == 415
    assert server.requests[0].content == compressed
    assert server.requests[0].body == request_body()


def test_large_response_is_compressed_if_the_client_accepts_gzip(server: Emulator) -> None:
    content = json.dumps(request_body(**messages(user_message("Write 300 words.")))).encode()

    plain = post(server, content)
    compressed = post(server, content, **{"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    message: Any = json.loads(gzip.decompress(compressed.content))["choices"][0]["message"]
    assert message == plain.message


BODY_WITH_NAN = json.dumps(request_body(tools=[tool("f", {"minimum": math.nan})])).encode()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b"", BODY_WITH_NAN])
def test_body_that_is_not_a_json_object_is_rejected(server: Emulator, content: bytes) -> None:
    assert post(server, content).status == 400
