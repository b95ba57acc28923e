"""The errors of this package.

    CerebrasError                           + ModelError
    ├── CerebrasInvalidRequestError         + ModelInvalidRequestError   4xx
    │   └── CerebrasContextOverflowError    + ContextOverflowError
    ├── CerebrasAuthenticationError         + ModelAuthenticationError   401
    ├── CerebrasBillingError                + ModelPermissionDeniedError 402
    ├── CerebrasPermissionDeniedError       + ModelPermissionDeniedError 403
    ├── CerebrasModelNotFoundError          + ModelNotFoundError         404
    ├── CerebrasRateLimitError              + ModelRateLimitError        429       retryable
    ├── CerebrasServerError                 + ModelAPIError              409, 5xx  retryable
    ├── CerebrasTimeoutError                + ModelTimeoutError          408       retryable
    ├── CerebrasConnectionError             + ModelConnectionError                 retryable
    ├── CerebrasProtocolError               + ModelAPIError                        retryable
    └── CerebrasCookieError                 + ModelAuthenticationError

The numbers are HTTP status codes. The base classes on the right are langchain-core's, so code
that handles errors of any provider handles these, too. `is_retryable` decides about retries,
both in this package and in LangChain's middleware. The table shows the default of each class.
A single error can differ: a 429 for a daily limit is not retryable. A redirect (3xx) is also a
`CerebrasProtocolError`, but is not retryable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from collections.abc import Mapping


class CerebrasError(ModelError):
    """Base class of all errors of this package.

    Invalid settings, call options and messages raise `ValueError` instead.

    Attributes:
        status: The HTTP status. For an error event in a stream: its status, or the one that
            its code implies, or 500. `None` if there is no response.
        code: The error code in the response, such as `"wrong_api_key"`.
        request_id: The id of the request, for Cerebras' support.
        retry_after: Seconds to wait before a retry, if the server sends a time or its rate
            limits imply one.
        body: The body of the response, decoded if it is JSON.
        is_retryable: Whether the same request may succeed a little later.
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
        """The response in the form that langchain-core's tracing reads."""
        headers = {"x-request-id": self.request_id} if self.request_id else {}
        return ErrorResponse(self.status, self.body, headers)


class CerebrasInvalidRequestError(CerebrasError, ModelInvalidRequestError):
    """The request is invalid (400, 405, 415, 422 and other 4xx)."""


class CerebrasContextOverflowError(CerebrasInvalidRequestError, ContextOverflowError):
    """Messages and completion together are longer than the model's context window."""


class CerebrasAuthenticationError(CerebrasError, ModelAuthenticationError):
    """The key is wrong (401), or there is no key (`status` is `None`)."""


class CerebrasBillingError(CerebrasError, ModelPermissionDeniedError):
    """The account has no credit left (402)."""


class CerebrasPermissionDeniedError(CerebrasError, ModelPermissionDeniedError):
    """The key is valid but is not allowed to do this (403)."""


class CerebrasModelNotFoundError(CerebrasError, ModelNotFoundError):
    """The model or the path does not exist (404)."""


class CerebrasRateLimitError(CerebrasError, ModelRateLimitError):
    """A quota is exhausted or the service is too busy (429), or the wait would be too long."""


class CerebrasServerError(CerebrasError, ModelAPIError):
    """The server failed (409, 5xx)."""


class CerebrasTimeoutError(CerebrasError, ModelTimeoutError):
    """The server (408) or the client waited too long."""


class CerebrasConnectionError(CerebrasError, ModelConnectionError):
    """The server cannot be reached, or the connection broke before the response ended."""


class CerebrasProtocolError(CerebrasError, ModelAPIError):
    """The response is not one that this API sends, often because another server responded."""


class CerebrasCookieError(CerebrasError, ModelAuthenticationError):
    """The cookies cannot be read, or cannot be exchanged for a key."""


class ErrorResponse(NamedTuple):
    """The part of an HTTP response that traces show, for `CerebrasError.response`."""

    status_code: int | None
    body: Any
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The body as a string."""
        return str(self.body)

    def json(self) -> Any:
        """The decoded body."""
        return self.body
