"""Status, headers and body of an answer that is none → the error to raise.

Bodies are flat (`message`, `type`, `param`, `code`), in an envelope under `error`, or not
of Cerebras at all. An error inside a stream names its status in the body, or nowhere.
Source: https://inference-docs.cerebras.ai/support/error
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from langchain_cerebras_inference import _catalogue, errors
from langchain_cerebras_inference._transport import pacing
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


def to_error(
    status: int | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    model: str = "",
) -> CerebrasError:
    """Make the error an answer stands for.

    Args:
        status: The HTTP status; `None` for an error inside a stream that names none.
        body: The decoded JSON body, or text.
        headers: The answer's headers.
        model: The model asked for, for the advice of a 404.
    """
    fields, headers = _fields_of(body), headers or {}
    code, kind_of = _text(fields, "code"), _text(fields, "type")
    status = status or _STATUS_OF.get(code) or _STATUS_OF.get(kind_of) or 500
    said = _text(fields, "message") or quoted(body)
    error = _class_for(status, code)(
        status=status,
        code=code or None,
        request_id=request_id(headers),
        retry_after=pacing.asked_wait(headers, time.time()),
        body=body,
        is_retryable=_is_retryable(status, said, headers),
    )
    name = f"{status} {code}".strip()
    error.args = (f"Cerebras answered {name}: {_ended(said)} {_advice(error, model)}".strip(),)
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


def _class_for(status: int, code: str) -> type[CerebrasError]:
    if code == "context_length_exceeded" and status in (400, 413):
        return errors.CerebrasContextOverflowError
    if status < 400:
        return errors.CerebrasProtocolError
    other = errors.CerebrasServerError if status >= 500 else errors.CerebrasInvalidRequestError
    return _BY_STATUS.get(status, other)


def _is_retryable(status: int, said: str, headers: Mapping[str, str]) -> bool | None:
    """What is known better than by the class: `None` where that is nothing."""
    ordered = pacing.should_retry(headers)
    if ordered is not None:
        return ordered
    is_long = any(word in said.lower() for word in _LONG_QUOTAS)
    if status < 400 or (status == 429 and (is_long or pacing.spent_quota(headers))):
        return False
    return None


def _advice(error: CerebrasError, model: str) -> str:
    if isinstance(error, errors.CerebrasModelNotFoundError):
        return _model_advice(error.code, model)
    if isinstance(error, errors.CerebrasRateLimitError):
        return _quota_advice(error)
    return _ADVICE.get(type(error), "")


def _model_advice(code: str | None, model: str) -> str:
    if code not in _MODEL_CODES:
        return "Is base_url right?"
    retired = _catalogue.RETIRED.get(model)
    listing = "list_models() shows what this key can use."
    if retired is None:
        return listing
    return f"It was retired on {retired.on}; use {retired.successor!r}. {listing}"


def _quota_advice(error: CerebrasError) -> str:
    advice = []
    if error.retry_after:
        advice.append(f"There is room again in {error.retry_after:.0f} s.")
    elif not error.is_retryable:
        advice.append("Come back when the hour or the day is over.")
    if error.code == "token_quota_exceeded":
        advice.append("The server reserves max_tokens before it answers: lower it.")
    return " ".join(advice)
