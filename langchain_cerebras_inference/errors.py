"""What can go wrong, as classes.

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
    """Everything this package raises about the service.

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
    """The cookies could not be exchanged for a key."""


class ErrorResponse(NamedTuple):
    """The part of an HTTP answer that traces show."""

    status_code: int | None
    body: Any
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The body as text."""
        return str(self.body)

    def json(self) -> Any:
        """The body as decoded."""
        return self.body
