"""The error classes."""

import pickle

import pytest
from langchain_core import exceptions as core

from langchain_cerebras_inference import errors
from langchain_cerebras_inference.errors import CerebrasError

ERRORS = [
    (errors.CerebrasInvalidRequestError, core.ModelInvalidRequestError, False),
    (errors.CerebrasContextOverflowError, core.ContextOverflowError, False),
    (errors.CerebrasAuthenticationError, core.ModelAuthenticationError, False),
    (errors.CerebrasBillingError, core.ModelPermissionDeniedError, False),
    (errors.CerebrasPermissionDeniedError, core.ModelPermissionDeniedError, False),
    (errors.CerebrasModelNotFoundError, core.ModelNotFoundError, False),
    (errors.CerebrasRateLimitError, core.ModelRateLimitError, True),
    (errors.CerebrasServerError, core.ModelAPIError, True),
    (errors.CerebrasTimeoutError, core.ModelTimeoutError, True),
    (errors.CerebrasConnectionError, core.ModelConnectionError, True),
    (errors.CerebrasProtocolError, core.ModelAPIError, True),
    (errors.CerebrasCookieError, core.ModelAuthenticationError, False),
]
CLASSES = [CerebrasError, *(error_class for error_class, _, _ in ERRORS)]


@pytest.mark.parametrize(("error_class", "parent", "is_retryable"), ERRORS)
def test_error_is_also_the_class_of_langchain_core(
    error_class: type[CerebrasError], parent: type[Exception], is_retryable: bool
) -> None:
    error = error_class("it failed")

    assert isinstance(error, CerebrasError)
    assert isinstance(error, core.ModelError)
    assert isinstance(error, parent)
    assert error.is_retryable is is_retryable


def test_context_overflow_is_an_invalid_request() -> None:
    assert issubclass(errors.CerebrasContextOverflowError, errors.CerebrasInvalidRequestError)


def test_every_error_class_is_in_this_test() -> None:
    defined = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, CerebrasError)
    }

    assert defined == set(CLASSES)


@pytest.mark.parametrize("error_class", CLASSES)
def test_error_without_response_has_no_details(error_class: type[CerebrasError]) -> None:
    error = error_class("it failed")

    assert str(error) == "it failed"
    assert error.status is None
    assert error.code is None
    assert error.request_id is None
    assert error.retry_after is None
    assert error.body is None


@pytest.mark.parametrize("error_class", CLASSES)
def test_pickled_error_keeps_its_attributes(error_class: type[CerebrasError]) -> None:
    error = error_class(
        "it failed",
        status=429,
        code="queue_exceeded",
        request_id="req-1",
        retry_after=2.5,
        body={"message": "busy"},
        is_retryable=False,
    )

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # our own bytes

    assert type(copy) is error_class
    assert str(copy) == "it failed"
    assert vars(copy) == {
        "status": 429,
        "code": "queue_exceeded",
        "request_id": "req-1",
        "retry_after": 2.5,
        "body": {"message": "busy"},
        "is_retryable": False,
    }


def test_is_retryable_can_be_set_for_one_error() -> None:
    permanent = errors.CerebrasRateLimitError("spent", is_retryable=False)
    temporary = errors.CerebrasCookieError("busy", is_retryable=True)

    assert permanent.is_retryable is False
    assert temporary.is_retryable is True
    assert errors.CerebrasRateLimitError("busy").is_retryable is True


def test_response_is_plain_data_for_tracing() -> None:
    error = errors.CerebrasServerError(
        "it failed", status=503, request_id="req-1", body={"message": "busy"}
    )

    assert error.response.status_code == 503
    assert error.response.json() == {"message": "busy"}
    assert error.response.text == "{'message': 'busy'}"
    assert error.response.headers == {"x-request-id": "req-1"}


def test_response_without_request_id_has_no_headers() -> None:
    assert errors.CerebrasServerError("it failed").response.headers == {}
