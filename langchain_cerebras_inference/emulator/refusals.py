"""How Cerebras says no: a status and a flat error body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_INVALID = "invalid_request_error"
_TOO_MANY = "too_many_requests_error"

# By status or by code: type, code, param, message. 400, 401, 404 and 429 are worded as
# recorded, the others in the same manner.
_WORDS: dict[int | str, tuple[str, str, str | None, str]] = {
    400: (_INVALID, "wrong_api_format", "validation_error", "Bad request."),
    401: (_INVALID, "wrong_api_key", "api_key", "Wrong API Key"),
    402: ("payment_required_error", "payment_required", None, "Payment required."),
    403: ("permission_error", "forbidden", None, "Permission denied."),
    404: ("not_found_error", "model_not_found", "model", "Model not found."),
    408: ("timeout_error", "request_timeout", None, "Request timed out."),
    413: (_INVALID, "request_too_large", None, "Total request size exceeds maximum"),
    415: (_INVALID, "unsupported_media_type", None, "Unsupported content encoding."),
    422: (_INVALID, "wrong_api_format", "validation_error", "Unprocessable request."),
    429: (
        _TOO_MANY,
        "request_quota_exceeded",
        "quota",
        "Requests per minute limit exceeded - too many requests sent.",
    ),
    "token_quota_exceeded": (
        "too_many_tokens_error",
        "token_quota_exceeded",
        "quota",
        "Tokens per minute limit exceeded - too many tokens processed.",
    ),
    "queue_exceeded": (
        _TOO_MANY,
        "queue_exceeded",
        "queue",
        "We're experiencing high traffic right now! Please try again soon.",
    ),
    "context_length_exceeded": (
        _INVALID,
        "context_length_exceeded",
        "messages",
        (
            "Please reduce the length of the messages or completion. "
            "Current length is 140000 while limit is 131072"
        ),
    ),
}
_CLIENT_ERROR = (_INVALID, "bad_request", None, "Request refused.")
_SERVER_ERROR = ("server_error", "internal_error", None, "Something went wrong.")


@dataclass(frozen=True)
class Refuse:
    """Answer with an error status.

    What is left out is filled in as Cerebras words that status (or that code).
    `headers` are added, `Retry-After` for one; `body` replaces the whole error body;
    `delay` is in seconds. A `status` that is no error, 400 to 599, is a `ValueError`.
    """

    status: int
    code: str | None = None
    message: str | None = None
    type: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    delay: float = 0

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError(f"status must be 400 to 599, not {self.status!r}.")

    def error(self) -> dict[str, Any]:
        """The flat error object."""
        fallback = _SERVER_ERROR if self.status >= 500 else _CLIENT_ERROR
        words = _WORDS.get(self.code or "", _WORDS.get(self.status, fallback))
        return {
            "message": self.message or words[3],
            "type": self.type or words[0],
            "param": self.param or words[2],
            "code": self.code or words[1],
        }


class RequestError(Exception):
    """A request that Cerebras would not take; `refusal` is the answer it gets."""

    def __init__(self, refusal: Refuse) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def bad_request(message: str, param: str = "validation_error") -> RequestError:
    """The 400 for a request of the wrong form."""
    return RequestError(Refuse(400, message=message, param=param))
