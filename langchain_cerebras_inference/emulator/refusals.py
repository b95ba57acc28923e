"""How Cerebras says no: a status and a flat error body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class _Words(NamedTuple):
    type: str
    code: str
    param: str | None
    message: str


# 400, 401, 404 and 429 as recorded; the others in the same form.
_BY_STATUS = {
    400: _Words(
        "invalid_request_error", "wrong_api_format", "validation_error", "Bad request"
    ),
    401: _Words("invalid_request_error", "wrong_api_key", "api_key", "Wrong API Key"),
    402: _Words(
        "payment_required_error", "payment_required", None, "Payment required."
    ),
    403: _Words("permission_error", "forbidden", None, "Permission denied."),
    404: _Words("not_found_error", "model_not_found", "model", "Model not found."),
    408: _Words("timeout_error", "request_timeout", None, "Request timed out."),
    413: _Words(
        "invalid_request_error",
        "request_too_large",
        None,
        "Total request size exceeds maximum",
    ),
    415: _Words(
        "invalid_request_error",
        "unsupported_media_type",
        None,
        "Unsupported content encoding.",
    ),
    422: _Words(
        "invalid_request_error", "wrong_api_format", "validation_error", "Unprocessable"
    ),
    429: _Words(
        "too_many_requests_error",
        "request_quota_exceeded",
        "quota",
        "Requests per minute limit exceeded - too many requests sent.",
    ),
}
_CLIENT_ERROR = _Words("invalid_request_error", "bad_request", None, "Request refused.")
_SERVER_ERROR = _Words("server_error", "internal_error", None, "Something went wrong.")

_BY_CODE = {
    "token_quota_exceeded": _Words(
        "too_many_tokens_error",
        "token_quota_exceeded",
        "quota",
        "Tokens per minute limit exceeded - too many tokens processed.",
    ),
    "queue_exceeded": _Words(
        "too_many_requests_error",
        "queue_exceeded",
        "queue",
        "We're experiencing high traffic right now! Please try again soon.",
    ),
    "context_length_exceeded": _Words(
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
        "Please reduce the length of the messages or completion. "
        "Current length is 140000 while limit is 131072",
    ),
}


@dataclass(frozen=True)
class Refuse:
    """Answer with an error status.

    What is left out is filled in as Cerebras words that status (or that code).
    `headers` are added, `Retry-After` for one; `body` replaces the whole error body.
    """

    status: int
    code: str | None = None
    message: str | None = None
    type: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    delay: float = 0

    def error(self) -> dict[str, Any]:
        """The flat error object."""
        words = self._words()
        return {
            "message": self.message or words.message,
            "type": self.type or words.type,
            "param": self.param or words.param,
            "code": self.code or words.code,
        }

    def _words(self) -> _Words:
        fallback = _SERVER_ERROR if self.status >= 500 else _CLIENT_ERROR
        by_status = _BY_STATUS.get(self.status, fallback)
        return _BY_CODE.get(self.code, by_status) if self.code else by_status


class RequestError(Exception):
    """A request that Cerebras would not take; `refusal` is the answer it gets."""

    def __init__(self, refusal: Refuse) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def bad_request(message: str, param: str = "validation_error") -> RequestError:
    """The 400 for a request of the wrong form."""
    return RequestError(Refuse(400, message=message, param=param))
