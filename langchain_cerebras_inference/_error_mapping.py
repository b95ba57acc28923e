"""Create the error, with its class and message, for an error response of the server.

The error fields (`message`, `type`, `param`, `code`) are at the top level of the body or inside
`error`; the body may also come from another server. An error inside a stream has its status in
the body, or has no status.
Source: https://inference-docs.cerebras.ai/support/error
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_cerebras_inference import _model_catalog, _urls, errors
from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference.errors import CerebrasError

_CLASS_BY_STATUS: Mapping[int, type[CerebrasError]] = {
    401: errors.CerebrasAuthenticationError,
    402: errors.CerebrasBillingError,
    403: errors.CerebrasPermissionDeniedError,
    404: errors.CerebrasModelNotFoundError,
    408: errors.CerebrasTimeoutError,
    409: errors.CerebrasServerError,
    429: errors.CerebrasRateLimitError,
}

_STATUS_BY_CODE_OR_TYPE: Mapping[str, int] = {
    "wrong_api_format": 400,
    "context_length_exceeded": 400,
    "tool_use_failed": 400,
    "wrong_api_key": 401,
    "multimodal_not_enabled": 403,
    "model_not_found": 404,
    "model_archived": 404,
    "request_quota_exceeded": 429,
    "token_quota_exceeded": 429,
    "queue_exceeded": 429,
    "rate_limit_exceeded": 429,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_archived_error": 404,
    "too_many_requests_error": 429,
    "too_many_tokens_error": 429,
}
"""The status for an error that has a code or a type, but no status."""

_ADVICE: Mapping[type[CerebrasError], str] = {
    errors.CerebrasAuthenticationError: "Check the key at https://cloud.cerebras.ai.",
    errors.CerebrasBillingError: "Add credit at https://cloud.cerebras.ai.",
    errors.CerebrasContextOverflowError: "Shorten the messages or reduce max_tokens.",
    errors.CerebrasProtocolError: _urls.get_wrong_server_advice(),
}

_MODEL_CODES = frozenset({"model_not_found", "model_archived"})
_LONG_PERIODS = ("per hour", "per day", "hourly", "daily")
_MAX_QUOTE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Data of the request for error messages and waits.

    Attributes:
        model: The requested model.
        has_demo_key: Whether the key came from cookies.
        count_reserved_tokens: Returns how many tokens the server reserves for the request.
    """

    model: str = ""
    has_demo_key: bool = False
    count_reserved_tokens: Callable[[], int] = lambda: 0


def create_error(
    status: int | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    request: RequestInfo = RequestInfo(),  # immutable
    *,
    is_in_stream: bool = False,
) -> CerebrasError:
    """Create the error for an error response.

    Args:
        status: The HTTP status; `None` for an error inside a stream without a status.
        body: The body, as decoded JSON or as text, with secrets redacted.
        headers: The response headers.
        request: Data of the request for the message and the wait.
        is_in_stream: Whether the body is an event of a stream.
    """
    fields, headers = _get_error_fields(body), headers or {}
    code, error_type = _get_text(fields, "code"), _get_text(fields, "type")
    status = (
        status
        or _STATUS_BY_CODE_OR_TYPE.get(code)
        or _STATUS_BY_CODE_OR_TYPE.get(error_type)
        or _get_status_in_code(fields)
        or 500
    )
    message = _get_text(fields, "message") or quote(body)
    error_class = _choose_class(status, code)
    retry_after = _get_retry_after(status, code, headers, request)
    sentence = message if message.endswith((".", "!", "?", "…")) else f"{message}."
    status_text = f"status {status} {code}".strip()
    problem = (
        f"The stream contains an error ({status_text})"
        if is_in_stream
        else f"The server responded with {status_text}"
    )
    advice = _get_advice(error_class, code, retry_after, message, headers, request)
    return error_class(
        f"{problem}: {sentence} {advice}".strip(),
        status=status,
        code=code or None,
        request_id=find_request_id(headers),
        retry_after=retry_after,
        body=body,
        is_retryable=_is_retryable(status, message, headers),
    )


def is_error_body(body: Any) -> bool:
    """Return whether decoded JSON describes an error."""
    if not isinstance(body, dict):
        return False
    is_flat_error = "message" in body and ("code" in body or "type" in body)
    return bool(body.get("error")) or (is_flat_error and "choices" not in body)


def find_request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id that Cerebras' support needs to find the request."""
    for name in ("x-request-id", "inference-id", "cf-ray"):
        if headers.get(name):
            return headers[name]
    return None


def quote(body: Any) -> str:
    """Return the beginning of a body in one line; describe an empty one."""
    text = "an empty body" if body in (None, "") else " ".join(str(body).split())
    return text if len(text) <= _MAX_QUOTE_LENGTH else f"{text[:_MAX_QUOTE_LENGTH]}…"


def _get_error_fields(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    if isinstance(error, dict):
        return error
    return {**body, "message": error or body.get("message") or body.get("detail")}


def _get_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _get_status_in_code(fields: Mapping[str, Any]) -> int | None:
    """Return the status if the code is one, as in `"code": 429`."""
    code = fields.get("code")
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _choose_class(status: int, code: str) -> type[CerebrasError]:
    if code == "context_length_exceeded" and status in (400, 413):
        return errors.CerebrasContextOverflowError
    if status < 400:
        return errors.CerebrasProtocolError
    if status >= 500:
        return errors.CerebrasServerError
    return _CLASS_BY_STATUS.get(status, errors.CerebrasInvalidRequestError)


def _get_retry_after(
    status: int, code: str, headers: Mapping[str, str], request: RequestInfo
) -> float | None:
    """Return the server's Retry-After in seconds.

    If a limit is reached and there is no Retry-After, estimate the wait from the limits.
    """
    retry_after = rate_limits.get_retry_after(headers, time.time())
    if retry_after is None and status == 429:
        return rate_limits.estimate_quota_wait(headers, code, request.count_reserved_tokens)
    return retry_after


def _is_retryable(status: int, message: str, headers: Mapping[str, str]) -> bool | None:
    """Return whether a retry may help, or `None` for the default of the error class."""
    should_retry = rate_limits.get_should_retry(headers)
    if should_retry is not None:
        return should_retry
    if status < 400 or (status == 429 and _is_long_limit(message, headers)):
        return False
    return None


def _is_long_limit(message: str, headers: Mapping[str, str]) -> bool:
    """Return whether the limit that is reached is per hour or per day."""
    is_in_message = any(period in message.lower() for period in _LONG_PERIODS)
    return is_in_message or rate_limits.is_long_limit_reached(headers)


def _get_advice(
    error_class: type[CerebrasError],
    code: str,
    retry_after: float | None,
    message: str,
    headers: Mapping[str, str],
    request: RequestInfo,
) -> str:
    if error_class is errors.CerebrasModelNotFoundError:
        return _get_model_advice(code, request.model)
    if error_class is errors.CerebrasRateLimitError:
        is_long = _is_long_limit(message, headers)
        return _get_limit_advice(code, retry_after, is_long=is_long)
    if error_class is errors.CerebrasAuthenticationError and request.has_demo_key:
        return "The key came from the cookies. Sign in again and renew them, or use an API key."
    if error_class is errors.CerebrasProtocolError and headers.get("location"):
        origin = "/".join(headers["location"].split("/", 3)[:3])
        return f"The server redirects to {quote(origin)!r}. Check base_url."
    return _ADVICE.get(error_class, "")


def _get_model_advice(code: str, model: str) -> str:
    if code not in _MODEL_CODES:
        return "Check base_url."
    advice = "list_models() returns the models that this key can use."
    retired = _model_catalog.RETIRED_MODELS.get(model)
    if retired is None:
        return advice
    return f"The model was retired on {retired.date}. Use {retired.successor!r}. {advice}"


def _get_limit_advice(code: str, retry_after: float | None, *, is_long: bool) -> str:
    advice = []
    if retry_after:
        advice.append(f"Try again in {math.ceil(retry_after)} s.")
    elif is_long:
        advice.append("Try again when the hour or the day is over.")
    if code == "token_quota_exceeded":
        advice.append(
            "The server reserves max_tokens before it generates a completion."
            " Reduce max_tokens."
        )
    return " ".join(advice)
