"""What can go wrong, as classes; and a status and body made into one of them.

    CerebrasError                             + ModelError
    ├── CerebrasInvalidRequestError           + ModelInvalidRequestError     4xx
    │   └── CerebrasContextOverflowError      + ContextOverflowError
    ├── CerebrasAuthenticationError           + ModelAuthenticationError     401
    ├── CerebrasBillingError                  + ModelPermissionDeniedError   402
    ├── CerebrasPermissionDeniedError         + ModelPermissionDeniedError   403
    ├── CerebrasModelNotFoundError            + ModelNotFoundError           404
    ├── CerebrasRateLimitError                + ModelRateLimitError          429
    ├── CerebrasServerError                   + ModelAPIError                409, 5xx
    ├── CerebrasTimeoutError                  + ModelTimeoutError            408
    ├── CerebrasConnectionError               + ModelConnectionError
    ├── CerebrasProtocolError                 + ModelAPIError                3xx
    └── CerebrasCookieError                   + ModelAuthenticationError

The right-hand parents are langchain-core's, so code written for any provider catches
these. `is_retryable` is the one truth about what may be sent again, for the retries of
this package and for LangChain's middleware alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from langchain_cerebras_inference import _catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping


class CerebrasError(ModelError):
    """Everything this package raises about the remote side.

    Attributes:
        status: The HTTP status, or the one an error inside a stream names.
        code: The server's word for the error, such as `"wrong_api_key"`.
        request_id: What to quote to Cerebras' support.
        retry_after: Seconds until the server will have room again.
        body: What the server said, decoded if it was JSON.
        is_retryable: Whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: Any = None,
        is_retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = body
        if is_retryable is not None:
            self.is_retryable = is_retryable

    @property
    def response(self) -> ErrorResponse:
        """The answer as langchain-core's tracing reads it: plain data, no socket."""
        headers = {"x-request-id": self.request_id} if self.request_id else {}
        return ErrorResponse(self.status, self.body, headers)


class CerebrasInvalidRequestError(CerebrasError, ModelInvalidRequestError):
    """The server refuses the request as it stands (400, 405, 415, 422, other 4xx)."""


class CerebrasContextOverflowError(CerebrasInvalidRequestError, ContextOverflowError):
    """The messages and the completion do not fit into the model's context."""


class CerebrasAuthenticationError(CerebrasError, ModelAuthenticationError):
    """The credential is wrong (401), or there is none (`status` is `None`)."""


class CerebrasBillingError(CerebrasError, ModelPermissionDeniedError):
    """The account's credit is used up (402)."""


class CerebrasPermissionDeniedError(CerebrasError, ModelPermissionDeniedError):
    """The credential is right but may not do this (403)."""


class CerebrasModelNotFoundError(CerebrasError, ModelNotFoundError):
    """There is no such model, or no such path (404)."""


class CerebrasRateLimitError(CerebrasError, ModelRateLimitError):
    """A quota is used up for now (429)."""


class CerebrasServerError(CerebrasError, ModelAPIError):
    """The server failed (409, 5xx)."""


class CerebrasTimeoutError(CerebrasError, ModelTimeoutError):
    """The server (408) or this client waited too long."""


class CerebrasConnectionError(CerebrasError, ModelConnectionError):
    """The server cannot be reached, or the connection broke before the answer's end."""


class CerebrasProtocolError(CerebrasError, ModelAPIError):
    """What came is not what this API sends; often something else answered."""


class CerebrasCookieError(CerebrasError, ModelAuthenticationError):
    """The cookies did not become a key."""


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The part of an HTTP answer that traces show."""

    status_code: int | None
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as text."""
        return str(self.body)

    def json(self) -> Any:
        """The body as decoded."""
        return self.body


_BY_STATUS: Mapping[int, type[CerebrasError]] = {
    401: CerebrasAuthenticationError,
    402: CerebrasBillingError,
    403: CerebrasPermissionDeniedError,
    404: CerebrasModelNotFoundError,
    408: CerebrasTimeoutError,
    409: CerebrasServerError,
    429: CerebrasRateLimitError,
}

# What a code or type stands for where an error inside a stream names no status.
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

_MODEL_CODES = frozenset({"model_not_found", "model_archived"})
_LONG_QUOTAS = ("per hour", "per day", "hourly", "daily")
_SNIPPET = 200


def error_for(
    status: int | None,
    body: Any,
    *,
    model: str | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> CerebrasError:
    """Make the error for an answer.

    Args:
        status: The HTTP status; `None` for an error inside a stream that names none.
        body: The decoded JSON body, flat or in an envelope, or text.
        model: The model asked for, named in the message of a 404.
        request_id: The answer's id.
        retry_after: Seconds the server asks to wait.
    """
    fields = _error_fields(body)
    code = _text(fields, "code")
    status = status or _STATUS_OF.get(code or "") or _status_of_type(fields)
    kind = _class_for(status, code)
    said = _text(fields, "message") or _snippet(body)
    return kind(
        _message(kind, status, code, said, model, retry_after),
        status=status,
        code=code,
        request_id=request_id,
        retry_after=retry_after,
        body=body,
        is_retryable=False
        if kind is CerebrasRateLimitError and _is_long(said)
        else None,
    )


def is_error_body(body: Any) -> bool:
    """Whether decoded JSON is an error, in an envelope or flat, and not an answer."""
    if not isinstance(body, dict):
        return False
    if body.get("error"):
        return True
    return (
        "choices" not in body
        and "message" in body
        and bool({"code", "type"} & body.keys())
    )


def _error_fields(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        return {}
    inner = body.get("error")
    if isinstance(inner, dict):
        return inner
    if isinstance(inner, str):
        return {"message": inner, **body}
    return {"message": body["detail"], **body} if "detail" in body else body


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None


def _status_of_type(fields: Mapping[str, Any]) -> int:
    return _STATUS_OF.get(_text(fields, "type") or "", 500)


def _snippet(body: Any) -> str:
    text = " ".join(str(body).split()) if body else ""
    return text if len(text) <= _SNIPPET else text[:_SNIPPET] + "…"


def _is_long(said: str) -> bool:
    lowered = said.lower()
    return any(word in lowered for word in _LONG_QUOTAS)


def _class_for(status: int, code: str | None) -> type[CerebrasError]:
    if code == "context_length_exceeded" and status in (400, 413):
        return CerebrasContextOverflowError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:  # noqa: PLR2004 # the line HTTP draws
        return CerebrasProtocolError
    return CerebrasServerError if status >= 500 else CerebrasInvalidRequestError  # noqa: PLR2004


def _message(
    kind: type[CerebrasError],
    status: int,
    code: str | None,
    said: str,
    model: str | None,
    retry_after: float | None,
) -> str:
    name = f"{status} {code}" if code else str(status)
    what = f"Cerebras answered {name}: {said}" if said else f"Cerebras answered {name}."
    return f"{what} {_advice(kind, code, said, model, retry_after)}".rstrip()


def _advice(
    kind: type[CerebrasError],
    code: str | None,
    said: str,
    model: str | None,
    retry_after: float | None,
) -> str:
    if kind is CerebrasModelNotFoundError:
        return _model_advice(model) if code in _MODEL_CODES else "Is base_url right?"
    if kind is CerebrasRateLimitError:
        return _quota_advice(said, retry_after)
    return _ADVICE.get(kind, "")


def _model_advice(model: str | None) -> str:
    retired = _catalogue.RETIRED.get(model or "")
    past = (
        f"It was retired on {retired.on}; use {retired.successor!r}. "
        if retired
        else ""
    )
    return f"{past}list_models() shows what this key can use."


def _quota_advice(said: str, retry_after: float | None) -> str:
    when = f"There is room again in {retry_after:.0f} s." if retry_after else ""
    if "token" in said.lower():
        when += (
            " The server reserves the prompt and max_completion_tokens together:"
            " a smaller max_tokens fits more calls."
        )
    return when.strip()


_ADVICE: Mapping[type[CerebrasError], str] = {
    CerebrasAuthenticationError: "Check the key: https://cloud.cerebras.ai shows yours.",
    CerebrasBillingError: "Add credit at https://cloud.cerebras.ai.",
    CerebrasContextOverflowError: "Shorten the messages or lower max_tokens.",
    CerebrasProtocolError: "Is base_url right, or does a proxy answer in its place?",
}
