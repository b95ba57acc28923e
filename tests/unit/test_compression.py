"""Requests made smaller."""

import gzip
from typing import Any

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._client import Call
from langchain_cerebras_inference._http.compression import (
    gzipped,
    is_refused_by,
    remember_refusal,
)

HOME = "https://api.cerebras.ai/v1"
ELSEWHERE = "https://api.cerebras.ai.example/v1"


@pytest.mark.parametrize(
    ("compression", "base_url", "size", "is_compressed"),
    [
        ("auto", HOME, 4095, False),
        ("auto", HOME, 4096, True),
        ("auto", ELSEWHERE, 4096, False),
        (True, ELSEWHERE, 1, True),
        (False, HOME, 4096, False),
    ],
)
def test_long_requests_to_cerebras_own_host_are_compressed_unless_told_otherwise(
    compression: Any, base_url: str, size: int, is_compressed: bool
) -> None:
    model = ChatCerebrasInference(api_key="k", base_url=base_url, compression=compression)

    decided = model._client()._compresses(Call({"model": "m"}, 60.0, 0), b"x" * size)

    assert decided is is_compressed


@pytest.mark.parametrize("size", [0, 10, 300_000])
async def test_a_body_comes_out_of_gzip_as_it_went_in(size: int) -> None:
    body = b"tide " * (size // 5)

    made = await gzipped(body)

    assert gzip.decompress(made) == body


async def test_equal_bodies_are_equal_bytes() -> None:
    assert await gzipped(b"tide " * 1000) == await gzipped(b"tide " * 1000)


async def test_a_repetitive_body_becomes_small() -> None:
    assert len(await gzipped(b"How high is the tide? " * 1000)) < 500


def test_a_server_that_refuses_is_remembered_alone() -> None:
    remember_refusal("https://refusing.example")

    assert is_refused_by("https://refusing.example")
    assert not is_refused_by("https://other.example")
