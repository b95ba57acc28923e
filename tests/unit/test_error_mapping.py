"""Status, headers and body of an answer that is none → the error to raise."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from langchain_cerebras_inference import errors
from langchain_cerebras_inference._error_mapping import (
    Request,
    is_error,
    quoted,
    request_id,
    to_error,
)
from langchain_cerebras_inference._http.sse import ErrorData, SSEDecoder
from langchain_cerebras_inference.errors import CerebrasError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "wrong_api_format", errors.CerebrasInvalidRequestError),
        (400, "context_length_exceeded", errors.CerebrasContextOverflowError),
        (413, "context_length_exceeded", errors.CerebrasContextOverflowError),
        (413, "image_too_large", errors.CerebrasInvalidRequestError),
        (422, "context_length_exceeded", errors.CerebrasInvalidRequestError),
        (401, "wrong_api_key", errors.CerebrasAuthenticationError),
        (402, "payment_required", errors.CerebrasBillingError),
        (403, "multimodal_not_enabled", errors.CerebrasPermissionDeniedError),
        (404, "model_not_found", errors.CerebrasModelNotFoundError),
        (404, None, errors.CerebrasModelNotFoundError),
        (405, None, errors.CerebrasInvalidRequestError),
        (408, None, errors.CerebrasTimeoutError),
        (409, None, errors.CerebrasServerError),
        (415, None, errors.CerebrasInvalidRequestError),
        (418, None, errors.CerebrasInvalidRequestError),
        (429, "queue_exceeded", errors.CerebrasRateLimitError),
        (500, None, errors.CerebrasServerError),
        (503, None, errors.CerebrasServerError),
        (599, None, errors.CerebrasServerError),
        (302, None, errors.CerebrasProtocolError),
        (204, None, errors.CerebrasProtocolError),
    ],
)
def test_the_status_decides_the_class(
    status: int, code: str | None, kind: type[CerebrasError]
) -> None:
    body = {"message": "No.", "type": "some_error", "param": "", "code": code}

    error = to_error(status, body)

    assert type(error) is kind
    assert (error.status, error.code, error.body) == (status, code, body)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"code": "tool_use_failed"}, errors.CerebrasInvalidRequestError, 400),
        ({"code": "context_length_exceeded"}, errors.CerebrasContextOverflowError, 400),
        ({"code": "wrong_api_key"}, errors.CerebrasAuthenticationError, 401),
        ({"code": "model_archived"}, errors.CerebrasModelNotFoundError, 404),
        ({"code": "token_quota_exceeded"}, errors.CerebrasRateLimitError, 429),
        ({"type": "too_many_requests_error"}, errors.CerebrasRateLimitError, 429),
        (
            {"code": "new", "type": "invalid_request_error"},
            errors.CerebrasInvalidRequestError,
            400,
        ),
        ({"code": "new", "type": "new"}, errors.CerebrasServerError, 500),
        ({"code": 429}, errors.CerebrasRateLimitError, 429),
        ({"error": {"code": 401, "message": "No."}}, errors.CerebrasAuthenticationError, 401),
        ({"code": 42}, errors.CerebrasServerError, 500),
        ({}, errors.CerebrasServerError, 500),
        ("text", errors.CerebrasServerError, 500),
    ],
)
def test_without_a_status_the_code_decides_and_then_the_type(
    body: Any, kind: type[CerebrasError], status: int
) -> None:
    error = to_error(None, body)

    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "Too long."}, "Cerebras answered 400: Too long."),
        ({"message": "Too\n  long"}, "Cerebras answered 400: Too long."),
        ({"message": "Why?"}, "Cerebras answered 400: Why?"),
        (
            {"message": "No.", "code": "wrong_api_format"},
            "Cerebras answered 400 wrong_api_format: No.",
        ),
        (
            {"error": {"message": "No.", "code": "bad"}, "status_code": 400},
            "Cerebras answered 400 bad: No.",
        ),
        ({"error": "No."}, "Cerebras answered 400: No."),
        ({"error": "No.", "code": "bad"}, "Cerebras answered 400 bad: No."),
        ({"detail": "Not Found"}, "Cerebras answered 400: Not Found."),
        (
            {"detail": [{"loc": ["body"]}]},
            "Cerebras answered 400: {'detail': [{'loc': ['body']}]}.",
        ),
        ({"code": 5, "message": ""}, "Cerebras answered 400: {'code': 5, 'message': ''}."),
        ("<html>\n<p>Bad</p>", "Cerebras answered 400: <html> <p>Bad</p>."),
        (["a"], "Cerebras answered 400: ['a']."),
        ("", "Cerebras answered 400: nothing."),
        (None, "Cerebras answered 400: nothing."),
    ],
)
def test_the_message_says_what_the_server_said(body: Any, said: str) -> None:
    assert str(to_error(400, body)) == said


def test_a_long_body_is_quoted_in_part_and_kept_whole() -> None:
    error = to_error(500, "x" * 5000)

    assert str(error) == f"Cerebras answered 500: {'x' * 200}…"
    assert error.body == "x" * 5000


def test_what_is_quoted_is_one_short_line() -> None:
    assert quoted("a\n b\t c") == "a b c"
    assert quoted("x" * 201) == "x" * 200 + "…"
    assert quoted("x" * 200) == "x" * 200


# --- advice ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "wrong_api_key", "Check it at https://cloud.cerebras.ai."),
        (402, None, "Add credit at https://cloud.cerebras.ai."),
        (400, "context_length_exceeded", "Shorten the messages or lower max_tokens."),
        (302, None, "Is base_url right, or does a proxy answer for it?"),
        (404, None, "Is base_url right?"),
        (404, "model_not_found", "list_models() shows what this key can use."),
        (429, "queue_exceeded", ""),
        (
            429,
            "token_quota_exceeded",
            "The server reserves max_tokens before it answers: lower it.",
        ),
        (500, None, ""),
        (400, None, ""),
    ],
)
def test_the_message_says_what_to_do(status: int, code: str | None, advice: str) -> None:
    name = f"{status} {code}" if code else str(status)

    error = to_error(status, {"message": "No.", "code": code})

    assert str(error) == f"Cerebras answered {name}: No. {advice}".strip()


@pytest.mark.parametrize("code", ["model_not_found", "model_archived"])
def test_a_retired_model_is_named_with_its_successor(code: str) -> None:
    error = to_error(
        404, {"message": "No.", "code": code}, request=Request("qwen-3-coder-480b")
    )

    assert str(error) == (
        f"Cerebras answered 404 {code}: No. It was retired on 2025-11-05;"
        " use 'qwen-3.8-27b'. list_models() shows what this key can use."
    )


def test_a_quota_says_when_to_come_back() -> None:
    error = to_error(429, {"message": "Busy."}, {"retry-after": "12"})

    assert error.retry_after == 12.0
    assert str(error) == "Cerebras answered 429: Busy. There is room again in 12 s."


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        ("Requests per day limit exceeded", {}),
        ("Tokens per hour limit exceeded", {}),
        ("Your daily quota is used up", {}),
        ("Busy", {"x-ratelimit-remaining-requests-day": "0"}),
    ],
)
def test_an_hourly_or_daily_quota_is_not_tried_again(
    message: str, headers: dict[str, str]
) -> None:
    error = to_error(429, {"message": message}, headers)

    assert error.is_retryable is False
    assert str(error).endswith("Come back when the hour or the day is over.")


@pytest.mark.parametrize(
    ("status", "headers", "retryable"),
    [
        (429, {}, True),
        (500, {}, True),
        (408, {}, True),
        (409, {}, True),
        (400, {}, False),
        (401, {}, False),
        (302, {}, False),
        (500, {"x-should-retry": "false"}, False),
        (400, {"x-should-retry": "true"}, True),
        (500, {"x-ratelimit-remaining-requests-day": "0"}, True),
    ],
)
def test_whether_to_try_again_is_known(
    status: int, headers: dict[str, str], retryable: bool
) -> None:
    assert to_error(status, {"message": "No."}, headers).is_retryable is retryable


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"x-request-id": "a", "inference-id": "b", "cf-ray": "c"}, "a"),
        ({"inference-id": "b", "cf-ray": "c"}, "b"),
        ({"x-request-id": "", "cf-ray": "c"}, "c"),
    ],
)
def test_there_is_an_id_for_the_support_where_one_was_sent(
    headers: dict[str, str], found: str | None
) -> None:
    assert request_id(headers) == found
    assert to_error(500, {}, headers).request_id == found


# --- what is an error --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "No."}}, True),
        ({"error": "No."}, True),
        ({"error": {"message": "No."}, "choices": []}, True),
        ({"message": "No.", "code": "bad"}, True),
        ({"message": "No.", "type": "bad"}, True),
        ({"message": "No.", "type": "bad", "choices": []}, False),
        ({"message": "No."}, False),
        ({"choices": []}, False),
        ({"error": None, "choices": []}, False),
        ({}, False),
        ([{"error": "No."}], False),
        ("error", False),
        (None, False),
    ],
)
def test_an_error_is_told_from_an_answer(body: Any, expected: bool) -> None:
    assert is_error(body) is expected


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("error_envelope.sse", errors.CerebrasInvalidRequestError, "tool_use_failed"),
        ("error_flat.sse", errors.CerebrasRateLimitError, "request_quota_exceeded"),
        ("error_named.sse", errors.CerebrasServerError, None),
    ],
)
def test_an_error_inside_a_stream_has_the_class_of_its_words(
    recorded: Callable[[str], bytes], name: str, kind: type[CerebrasError], code: str | None
) -> None:
    *answers, last = SSEDecoder().feed(recorded(name))
    body = json.loads(last)

    error = to_error(body.get("status_code"), body)

    assert is_error(body) or isinstance(last, ErrorData)
    assert not any(is_error(json.loads(each)) for each in answers)
    assert (type(error), error.code) == (kind, code)
