"""What came together is handed on in its order, a little at a time."""

import json
import sys
from typing import Any, cast

import pytest

from langchain_cerebras_inference import CerebrasError, CerebrasRateLimitError
from langchain_cerebras_inference._error_mapping import Request
from langchain_cerebras_inference._http.response import Answer
from langchain_cerebras_inference._response_parser import Events, Judge, says_something

REFUSAL = {"error": {"message": "slow down"}, "status_code": 429}


class Body:
    """An answer whose body has all come."""

    status = 200

    def __init__(self, *events: Any) -> None:
        self.headers: dict[str, str] = {}
        framed = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
        self._parts = iter([framed, b""])

    async def read_some(self) -> bytes:
        return next(self._parts)

    def progressed(self) -> None: ...
    def allow(self, seconds: float) -> None: ...


def said(number: int, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": str(number)}, **more}]}


async def read(body: Body, most: int) -> tuple[list[int], str, CerebrasError | None]:
    """How many events came at a time, what they say, and the error."""
    events = Events(cast("Answer", body), Judge(Request("m"), []), most)
    sizes, words = [], ""
    try:
        while batch := await events.read():
            sizes.append(len(batch))
            words += "".join(str(each["choices"][0]["delta"]["content"]) for each in batch)
    except CerebrasError as error:
        return sizes, words, error
    return sizes, words, None


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (sys.maxsize, [7])]
)
async def test_what_came_together_is_read_a_little_at_a_time(
    most: int, sizes: list[int]
) -> None:
    body = Body(*map(said, range(6)), said(6, finish_reason="stop"))

    assert await read(body, most) == (sizes, "0123456", None)


@pytest.mark.parametrize("most", [1, 3, 4, sys.maxsize])
async def test_an_error_comes_after_what_came_before_it_and_ends_all(most: int) -> None:
    body = Body(*map(said, range(4)), REFUSAL, said(5, finish_reason="stop"))

    _, words, error = await read(body, most)

    assert words == "0123"
    assert type(error) is CerebrasRateLimitError


@pytest.mark.parametrize("most", [1, 3, sys.maxsize])
async def test_what_follows_the_finish_is_read_too(most: int) -> None:
    body = Body(*map(said, range(3)), said(3, finish_reason="stop"), said(4), said(5))

    _, words, error = await read(body, most)

    assert (words, error) == ("012345", None)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"choices": [{"delta": {"role": "assistant"}}]}, False),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, False),
        ({"choices": [{"delta": {"content": "Hello"}}]}, True),
        ({"choices": [{"delta": {"content": ""}, "logprobs": {"content": [{}]}}]}, True),
        ({"choices": [{"delta": {}, "reasoning_logprobs": {"content": [{}]}}]}, True),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, True),
        ({"choices": []}, False),
        ({"choices": [], "usage": {}}, True),
    ],
)
def test_an_event_says_something_if_a_word_of_it_would_be_missed(
    event: Any, says: bool
) -> None:
    assert says_something(event) is says
