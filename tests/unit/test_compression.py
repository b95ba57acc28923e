"""Compression of request bodies."""

import gzip
from typing import Any

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._client import Call
from langchain_cerebras_inference._http.compression import compress, rejecting_servers

CEREBRAS_URL = "https://api.cerebras.ai/v1"
SIMILAR_URL = "https://api.cerebras.ai.example/v1"


def should_compress(compression: Any, base_url: str, size: int) -> bool:
    model = ChatCerebrasInference(api_key="k", base_url=base_url, compression=compression)
    call = Call({"model": "m"}, timeout=60.0, max_retries=0)
    return model._create_client()._should_compress(call, b"x" * size)


@pytest.mark.parametrize(
    ("compression", "base_url", "size", "expected"),
    [
        ("auto", CEREBRAS_URL, 4095, False),
        ("auto", CEREBRAS_URL, 4096, True),
        ("auto", SIMILAR_URL, 4096, False),
        (True, SIMILAR_URL, 1, True),
        (False, CEREBRAS_URL, 4096, False),
    ],
)
def test_auto_compresses_long_requests_to_cerebras_only(
    compression: Any, base_url: str, size: int, expected: bool
) -> None:
    assert should_compress(compression, base_url, size) is expected


def test_server_that_rejected_a_compressed_body_gets_no_more_of_them() -> None:
    rejecting_servers.add("https://rejecting.example/v1")

    assert not should_compress(True, "https://rejecting.example/v1", 4096)
    assert should_compress(True, "https://other.example/v1", 4096)


@pytest.mark.parametrize("size", [0, 10, 300_000])
async def test_compressed_body_can_be_decompressed(size: int) -> None:
    body = b"tide " * (size // 5)

    assert gzip.decompress(await compress(body)) == body


async def test_equal_bodies_give_equal_bytes() -> None:
    assert await compress(b"tide " * 1000) == await compress(b"tide " * 1000)


async def test_repetitive_body_becomes_small() -> None:
    assert len(await compress(b"How high is the tide? " * 1000)) < 500
