"""Requests made smaller."""

import gzip

import pytest

from langchain_cerebras_inference._transport.encoding import (
    gzipped,
    is_refused_by,
    remember_refusal,
)


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
