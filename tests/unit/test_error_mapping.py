"""The error for an error response: class, attributes, message and advice."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from langchain_cerebras_inference import errors
from langchain_cerebras_inference._error_mapping import (
    RequestInfo,
    create_error,
    find_request_id,
    is_error_body,
    quote,
)
from langchain_cerebras_inference._http.sse import ErrorPayload, SSEDecoder
from langchain_cerebras_inference.errors import CerebrasError

# --- the class -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "error_class"),
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
def test_status_decides_the_error_class(
    status: int, code: str | None, error_class: type[CerebrasError]
) -> None:
    body = {"message": "No.", "type": "some_error", "param": "", "code": code}

    error = create_error(status, body)

    assert type(error) is error_class
    assert (error.status, error.code, error.body) == (status, code, body)


@pytest.mark.parametrize(
    ("body", "error_class", "status"),
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
def test_code_or_type_decides_the_error_class_without_a_status(
    body: Any, error_class: type[CerebrasError], status: int
) -> None:
    error = create_error(None, body)

    assert type(error) is error_class
    assert error.status == status


@pytest.mark.parametrize(
    ("name", "error_class", "code"),
    [
        ("error_envelope", errors.CerebrasInvalidRequestError, "tool_use_failed"),
        ("error_flat", errors.CerebrasRateLimitError, "request_quota_exceeded"),
        ("error_named", errors.CerebrasServerError, None),
    ],
)
def test_recorded_error_inside_a_stream_has_the_class_of_its_code(
    recorded: Callable[[str], bytes],
    name: str,
    error_class: type[CerebrasError],
    code: str | None,
) -> None:
    *payloads, last = SSEDecoder().feed(recorded(f"{name}.sse"))
    body = json.loads(last)

    error = create_error(body.get("status_code"), body)

    assert is_error_body(body) or isinstance(last, ErrorPayload)
    assert not any(is_error_body(json.loads(payload)) for payload in payloads)
    assert (type(error), error.code) == (error_class, code)


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
def test_error_body_is_recognized(body: Any, expected: bool) -> None:
    assert is_error_body(body) is expected


# --- other attributes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "is_retryable"),
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
def test_status_and_headers_decide_whether_an_error_is_retryable(
    status: int, headers: dict[str, str], is_retryable: bool
) -> None:
    assert create_error(status, {"message": "No."}, headers).is_retryable is is_retryable


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"x-request-id": "a", "inference-id": "b", "cf-ray": "c"}, "a"),
        ({"inference-id": "b", "cf-ray": "c"}, "b"),
        ({"x-request-id": "", "cf-ray": "c"}, "c"),
    ],
)
def test_error_has_the_request_id_of_the_headers(
    headers: dict[str, str], request_id: str | None
) -> None:
    assert find_request_id(headers) == request_id
    assert create_error(500, {}, headers).request_id == request_id


@pytest.mark.parametrize(
    ("status", "code", "headers", "retry_after"),
    [
        (429, None, {"retry-after": "12"}, 12.0),
        (503, None, {"retry-after": "12"}, 12.0),
        (429, "token_quota_exceeded", {"x-ratelimit-limit-tokens-minute": "6000"}, 10.0),
        (503, "token_quota_exceeded", {"x-ratelimit-limit-tokens-minute": "6000"}, None),
        (429, None, {}, None),
    ],
)
def test_error_has_the_wait_that_the_headers_imply(
    status: int, code: str | None, headers: dict[str, str], retry_after: float | None
) -> None:
    request = RequestInfo(count_reserved_tokens=lambda: 1000)

    error = create_error(status, {"message": "No.", "code": code}, headers, request)

    assert error.retry_after == retry_after


# --- the message ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": "Too long."}, "400: Too long."),
        ({"message": "Too\n  long"}, "400: Too long."),
        ({"message": "Why?"}, "400: Why?"),
        ({"message": "No.", "code": "wrong_api_format"}, "400 wrong_api_format: No."),
        ({"error": {"message": "No.", "code": "bad"}, "status_code": 400}, "400 bad: No."),
        ({"error": "No."}, "400: No."),
        ({"error": "No.", "code": "bad"}, "400 bad: No."),
        ({"detail": "Not Found"}, "400: Not Found."),
        ({"detail": [{"loc": ["body"]}]}, "400: {'detail': [{'loc': ['body']}]}."),
        ({"code": 5, "message": ""}, "400: {'code': 5, 'message': ''}."),
        ("<html>\n<p>Bad</p>", "400: <html> <p>Bad</p>."),
        (["a"], "400: ['a']."),
        ("", "400: an empty body."),
        (None, "400: an empty body."),
    ],
)
def test_message_contains_status_and_code_and_message_of_the_server(
    body: Any, expected: str
) -> None:
    assert str(create_error(400, body)) == f"The server responded with status {expected}"


def test_message_about_an_error_in_a_stream_names_the_stream() -> None:
    error = create_error(None, {"message": "No.", "code": "bad"}, is_in_stream=True)

    assert str(error) == "The stream contains an error (status 500 bad): No."


def test_long_body_is_quoted_in_part_and_kept_whole() -> None:
    error = create_error(500, "x" * 5000)

    assert str(error) == f"The server responded with status 500: {'x' * 200}…"
    assert error.body == "x" * 5000


def test_quote_is_one_short_line() -> None:
    assert quote("a\n b\t c") == "a b c"
    assert quote("x" * 201) == "x" * 200 + "…"
    assert quote("x" * 200) == "x" * 200


# --- the advice in the message -------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "wrong_api_key", "Check the key at https://cloud.cerebras.ai."),
        (402, None, "Add credit at https://cloud.cerebras.ai."),
        (400, "context_length_exceeded", "Shorten the messages or reduce max_tokens."),
        (302, None, "Check base_url, and whether a proxy responded instead of the server."),
        (404, None, "Check base_url."),
        (404, "model_not_found", "list_models() returns the models that this key can use."),
        (429, "queue_exceeded", ""),
        (
            429,
            "token_quota_exceeded",
            (
                "The server reserves max_tokens before it generates a completion."
                " Reduce max_tokens."
            ),
        ),
        (500, None, ""),
        (400, None, ""),
    ],
)
def test_message_ends_with_advice(status: int, code: str | None, advice: str) -> None:
    error = create_error(status, {"message": "No.", "code": code})

    _, separator, found = str(error).partition(": No.")
    assert separator
    assert found.strip() == advice


def test_rejected_demo_key_gives_advice_about_cookies() -> None:
    error = create_error(401, {"message": "No."}, request=RequestInfo(has_demo_key=True))

    assert "Sign in again and renew" in str(error)
    assert "cloud.cerebras.ai" not in str(error)


@pytest.mark.parametrize("code", ["model_not_found", "model_archived"])
def test_retired_model_gives_advice_about_its_successor(code: str) -> None:
    request = RequestInfo("qwen-3-coder-480b")

    error = create_error(404, {"message": "No.", "code": code}, request=request)

    assert "The model was retired on 2025-11-05. Use 'qwen-3.8-27b'." in str(error)
    assert "list_models()" in str(error)


def test_message_about_a_redirect_quotes_only_the_origin() -> None:
    headers = {"location": "https://login.example/path?token=secret"}

    error = create_error(302, "", headers)

    assert "The server redirects to 'https://login.example'. Check base_url." in str(error)
    assert "secret" not in str(error)


def test_rate_limit_error_says_when_to_try_again() -> None:
    error = create_error(429, {"message": "Busy."}, {"retry-after": "11.2"})

    assert str(error).endswith("Busy. Try again in 12 s.")


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        ("Requests per day limit exceeded", {}),
        ("Tokens per hour limit exceeded", {}),
        ("Your daily quota is exhausted", {}),
        ("Busy", {"x-ratelimit-remaining-requests-day": "0"}),
    ],
)
def test_hourly_or_daily_quota_is_not_retryable(message: str, headers: dict[str, str]) -> None:
    error = create_error(429, {"message": message}, headers)

    assert error.is_retryable is False
    assert str(error).endswith("Try again when the hour or the day is over.")
