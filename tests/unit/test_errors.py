"""What can go wrong, as classes."""

import pickle

import pytest
from langchain_core import exceptions as core

from langchain_cerebras_inference import errors
from langchain_cerebras_inference.errors import CerebrasError

FAMILY = [
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
CLASSES = [CerebrasError, *(kind for kind, _, _ in FAMILY)]


@pytest.mark.parametrize(("kind", "parent", "retryable"), FAMILY)
def test_each_class_is_ours_and_langchains(
    kind: type[CerebrasError], parent: type[Exception], retryable: bool
) -> None:
    error = kind("it failed")

    assert isinstance(error, CerebrasError)
    assert isinstance(error, core.ModelError)
    assert isinstance(error, parent)
    assert error.is_retryable is retryable


def test_an_overflow_is_an_invalid_request_too() -> None:
    assert issubclass(errors.CerebrasContextOverflowError, errors.CerebrasInvalidRequestError)


def test_every_class_of_the_module_is_tested_here() -> None:
    found = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, CerebrasError)
    }

    assert found == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_without_an_answer_there_is_nothing_to_say_of_it(kind: type[CerebrasError]) -> None:
    error = kind("it failed")

    assert str(error) == "it failed"
    assert error.status is None
    assert error.code is None
    assert error.request_id is None
    assert error.retry_after is None
    assert error.body is None


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_pickles_with_all_it_says(kind: type[CerebrasError]) -> None:
    error = kind(
        "it failed",
        status=429,
        code="queue_exceeded",
        request_id="req-1",
        retry_after=2.5,
        body={"message": "busy"},
        is_retryable=False,
    )

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # our own bytes

    assert type(copy) is kind
    assert str(copy) == "it failed"
    assert vars(copy) == {
        "status": 429,
        "code": "queue_exceeded",
        "request_id": "req-1",
        "retry_after": 2.5,
        "body": {"message": "busy"},
        "is_retryable": False,
    }


def test_one_error_may_know_better_than_its_class_whether_it_helps_to_retry() -> None:
    hopeless = errors.CerebrasRateLimitError("spent", is_retryable=False)
    hopeful = errors.CerebrasCookieError("busy", is_retryable=True)

    assert hopeless.is_retryable is False
    assert hopeful.is_retryable is True
    assert errors.CerebrasRateLimitError("busy").is_retryable is True


def test_langchains_tracing_reads_the_answer_as_plain_data() -> None:
    error = errors.CerebrasServerError(
        "it failed", status=503, request_id="req-1", body={"message": "busy"}
    )

    assert error.response.status_code == 503
    assert error.response.json() == {"message": "busy"}
    assert error.response.text == "{'message': 'busy'}"
    assert error.response.headers == {"x-request-id": "req-1"}


def test_without_a_request_id_there_is_no_header() -> None:
    assert errors.CerebrasServerError("it failed").response.headers == {}
