"""Error responses: a status, and the error body of Cerebras.

The body is flat: its fields are not inside an `error` object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class _ErrorFields(NamedTuple):
    message: str
    type: str
    param: str | None
    code: str


_INVALID_REQUEST = "invalid_request_error"
_TOO_MANY_REQUESTS = "too_many_requests_error"

# Default fields by status or by code. The messages of 400, 401, 404 and 429 are recorded; the
# others are in the same style.
_DEFAULTS: dict[int | str, _ErrorFields] = {
    400: _ErrorFields("Bad request.", _INVALID_REQUEST, "validation_error", "wrong_api_format"),
    401: _ErrorFields("Wrong API Key", _INVALID_REQUEST, "api_key", "wrong_api_key"),
    402: _ErrorFields("Payment required.", "payment_required_error", None, "payment_required"),
    403: _ErrorFields("Permission denied.", "permission_error", None, "forbidden"),
    404: _ErrorFields("Model not found.", "not_found_error", "model", "model_not_found"),
    408: _ErrorFields("Request timed out.", "timeout_error", None, "request_timeout"),
    413: _ErrorFields(
        "Total request size exceeds maximum", _INVALID_REQUEST, None, "request_too_large"
    ),
    415: _ErrorFields(
        "Unsupported content encoding.", _INVALID_REQUEST, None, "unsupported_media_type"
    ),
    422: _ErrorFields(
        "Unprocessable request.", _INVALID_REQUEST, "validation_error", "wrong_api_format"
    ),
    429: _ErrorFields(
        "Requests per minute limit exceeded - too many requests sent.",
        _TOO_MANY_REQUESTS,
        "quota",
        "request_quota_exceeded",
    ),
    "token_quota_exceeded": _ErrorFields(
        "Tokens per minute limit exceeded - too many tokens processed.",
        "too_many_tokens_error",
        "quota",
        "token_quota_exceeded",
    ),
    "queue_exceeded": _ErrorFields(
        "We're experiencing high traffic right now! Please try again soon.",
        _TOO_MANY_REQUESTS,
        "queue",
        "queue_exceeded",
    ),
    "context_length_exceeded": _ErrorFields(
        "Please reduce the length of the messages or completion. "
        "Current length is 140000 while limit is 131072",
        _INVALID_REQUEST,
        "messages",
        "context_length_exceeded",
    ),
}
_CLIENT_ERROR = _ErrorFields("Request rejected.", _INVALID_REQUEST, None, "bad_request")
_SERVER_ERROR = _ErrorFields("Something went wrong.", "server_error", None, "internal_error")


@dataclass(frozen=True)
class Refuse:
    """Respond with an error response.

    Error fields that are `None` get the values of Cerebras for this code or status. Status
    429 has three codes:

    - `request_quota_exceeded`, the default: too many requests per minute.
    - `token_quota_exceeded`: too many tokens per minute.
    - `queue_exceeded`: the service is overloaded. The limits of the key do not matter.

    Raises:
        ValueError: If `status` is not an error status.
    """

    status: int
    """400 to 599."""
    code: str | None = None
    """The error code."""
    message: str | None = None
    """The error message."""
    type: str | None = None
    """The error type."""
    param: str | None = None
    """The request parameter that the error is about."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional response headers, for example `Retry-After`."""
    body: bytes | str | None = None
    """Replaces the JSON error body."""
    delay: float = 0
    """Seconds before the response."""

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError(f"status must be 400 to 599, not {self.status!r}.")

    def build_error(self) -> dict[str, Any]:
        """Build the error body of Cerebras, whose fields are not inside an `error` object."""
        fallback = _SERVER_ERROR if self.status >= 500 else _CLIENT_ERROR
        defaults = _DEFAULTS.get(self.code or "", _DEFAULTS.get(self.status, fallback))
        fields = defaults._asdict()
        for name in fields:
            value = getattr(self, name)
            if value is not None:
                fields[name] = value
        return fields


class RequestError(Exception):
    """A request that Cerebras would reject."""

    def __init__(self, response: Refuse) -> None:
        """Create the error; `response` is the error response to send."""
        super().__init__(response.message)
        self.response = response


def bad_request(message: str, param: str = "validation_error") -> RequestError:
    """Create the error for a request that is invalid: status 400, `wrong_api_format`."""
    return RequestError(Refuse(400, message=message, param=param))
