"""Status, headers and body of a refusal → the error to raise.

Bodies are flat (`message`, `type`, `param`, `code`), in an envelope under `error`, or not
of Cerebras at all. An error inside a stream names its status in the body, or nowhere.
Source: https://inference-docs.cerebras.ai/support/error
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_cerebras_inference import _model_catalog, errors
from langchain_cerebras_inference._http import rate_limits
from langchain_cerebras_inference.errors import CerebrasError

_BY_STATUS: Mapping[int, type[CerebrasError]] = {
    401: errors.CerebrasAuthenticationError,
    402: errors.CerebrasBillingError,
    403: errors.CerebrasPermissionDeniedError,
    404: errors.CerebrasModelNotFoundError,
    408: errors.CerebrasTimeoutError,
    409: errors.CerebrasServerError,
    429: errors.CerebrasRateLimitError,
}

_STATUS_OF: Mapping[str, int] = {
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
"""What a code, or else a type, stands for where no status is named."""

_ADVICE: Mapping[type[CerebrasError], str] = {
    errors.CerebrasAuthenticationError: "Check it at https://cloud.cerebras.ai.",
    errors.CerebrasBillingError: "Add credit at https://cloud.cerebras.ai.",
    errors.CerebrasContextOverflowError: "Shorten the messages or lower max_tokens.",
    errors.CerebrasProtocolError: "Is base_url right, or does a proxy answer for it?",
}

_MODEL_CODES = frozenset({"model_not_found", "model_archived"})
_LONG_QUOTAS = ("per hour", "per day", "hourly", "daily")
_LONGEST_QUOTE = 200


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, as far as it decides what an error says.

    Attributes:
        model: The model asked for.
        with_demo_key: Whether the key had come from cookies.
        reserves: Counts the tokens the server sets aside for the request.
    """

    model: str = ""
    with_demo_key: bool = False
    reserves: Callable[[], int] = lambda: 0


def to_error(
    status: int | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    request: Request = Request(),  # frozen
) -> CerebrasError:
    """Make the error an answer stands for.

    Args:
        status: The HTTP status; `None` for an error inside a stream that names none.
        body: The decoded JSON body, or text.
        headers: The answer's headers.
        request: What was asked.
    """
    fields, headers = _fields_of(body), headers or {}
    code, kind_of = _text(fields, "code"), _text(fields, "type")
    named = _STATUS_OF.get(code) or _STATUS_OF.get(kind_of)
    status = status or named or _status_in(fields) or 500
    said = _text(fields, "message") or quoted(body)
    error = _class_for(status, code)(
        status=status,
        code=code or None,
        request_id=request_id(headers),
        retry_after=_retry_after(status, code, headers, request),
        body=body,
        is_retryable=_is_retryable(status, said, headers),
    )
    what = f"Cerebras answered {f'{status} {code}'.strip()}: {_ended(said)}"
    error.args = (f"{what} {_advice(error, said, headers, request)}".strip(),)
    return error


def is_error(body: Any) -> bool:
    """Whether decoded JSON is an error, in an envelope or flat, and not an answer."""
    if not isinstance(body, dict):
        return False
    is_flat = "message" in body and ("code" in body or "type" in body)
    return bool(body.get("error")) or (is_flat and "choices" not in body)


def request_id(headers: Mapping[str, str]) -> str | None:
    """What to quote to Cerebras' support."""
    for name in ("x-request-id", "inference-id", "cf-ray"):
        if headers.get(name):
            return headers[name]
    return None


def quoted(body: Any) -> str:
    """The beginning of a body, in one line."""
    text = " ".join(str(body).split()) if body else "nothing"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _fields_of(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        return {}
    inner = body.get("error")
    if isinstance(inner, dict):
        return inner
    said = inner or body.get("message") or body.get("detail")
    return {**body, "message": said}


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _status_in(fields: Mapping[str, Any]) -> int | None:
    """A status that stands where a code is due, as in `"code": 429`."""
    code = fields.get("code")
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _class_for(status: int, code: str) -> type[CerebrasError]:
    if code == "context_length_exceeded" and status in (400, 413):
        return errors.CerebrasContextOverflowError
    if status < 400:
        return errors.CerebrasProtocolError
    other = errors.CerebrasServerError if status >= 500 else errors.CerebrasInvalidRequestError
    return _BY_STATUS.get(status, other)


def _retry_after(
    status: int, code: str, headers: Mapping[str, str], request: Request
) -> float | None:
    """What the server asks for; for a quota, else until it has room again."""
    asked = rate_limits.asked_wait(headers, time.time())
    if asked is None and status == 429:
        return rate_limits.quota_wait(headers, code, request.reserves)
    return asked


def _is_retryable(status: int, said: str, headers: Mapping[str, str]) -> bool | None:
    """What is known better than by the class: `None` where that is nothing."""
    ordered = rate_limits.should_retry(headers)
    if ordered is not None:
        return ordered
    return False if status < 400 or (status == 429 and _is_long(said, headers)) else None


def _is_long(said: str, headers: Mapping[str, str]) -> bool:
    """Whether it is a quota of an hour or a day that is used up."""
    named = any(word in said.lower() for word in _LONG_QUOTAS)
    return named or rate_limits.is_long_quota_spent(headers)


def _advice(
    error: CerebrasError, said: str, headers: Mapping[str, str], request: Request
) -> str:
    if isinstance(error, errors.CerebrasModelNotFoundError):
        return _model_advice(error.code, request.model)
    if isinstance(error, errors.CerebrasRateLimitError):
        return _quota_advice(error, is_long=_is_long(said, headers))
    if isinstance(error, errors.CerebrasAuthenticationError) and request.with_demo_key:
        return "It came from the cookies: sign in again and renew them, or use an API key."
    if "location" in headers and isinstance(error, errors.CerebrasProtocolError):
        origin = "/".join(headers["location"].split("/", 3)[:3])
        return f"It sends to {quoted(origin)!r}; is base_url right?"
    return _ADVICE.get(type(error), "")


def _model_advice(code: str | None, model: str) -> str:
    if code not in _MODEL_CODES:
        return "Is base_url right?"
    retired = _model_catalog.RETIRED_MODELS.get(model)
    listing = "list_models() shows what this key can use."
    if retired is None:
        return listing
    return f"It was retired on {retired.date}; use {retired.successor!r}. {listing}"


def _quota_advice(error: CerebrasError, *, is_long: bool) -> str:
    advice = []
    if error.retry_after:
        advice.append(f"There is room again in {math.ceil(error.retry_after)} s.")
    elif is_long:
        advice.append("Come back when the hour or the day is over.")
    if error.code == "token_quota_exceeded":
        advice.append("The server reserves max_tokens before it answers: lower it.")
    return " ".join(advice)
