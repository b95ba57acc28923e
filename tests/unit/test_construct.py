"""Chunks built without pydantic's constructor are the chunks it builds."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_cerebras_inference._conversion.construct import bare, chunk, validated
from langchain_core.load import dumps
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_cerebras_inference._conversion import completion
from langchain_cerebras_inference._conversion.chunks import fragments_chunk

SEEN_AS: list[Callable[[ChatGenerationChunk], Any]] = [
    lambda made: made,
    lambda made: made.message,
    repr,
    str,
    dumps,
    lambda made: made.model_dump(),
    lambda made: made.model_dump_json(exclude_unset=True),
    lambda made: made.message.model_dump(exclude_defaults=True),
    lambda made: made.message.content_blocks,
    lambda made: made.message.text,
    lambda made: made.message.pretty_repr(),
    lambda made: list(made.message.__dict__),
    lambda made: made.message.model_fields_set,
    lambda made: made.model_fields_set,
    copy.copy,
    copy.deepcopy,
    lambda made: pickle.loads(pickle.dumps(made)),  # noqa: S301 # our own bytes
    lambda made: made.model_copy(deep=True),
    lambda made: made + validated("more", {"reasoning_content": "x"}),
    lambda made: validated("before", {}) + made,
    lambda made: made.message + AIMessageChunk(content="", chunk_position="last"),
    lambda made: AIMessageChunk.model_validate(made.message.model_dump()),
]
KEPT = st.sampled_from([{}, {"reasoning_content": "Hm."}])


@pytest.mark.parametrize("seen", SEEN_AS)
@given(text=st.text(max_size=20), kept=KEPT)
def test_a_bare_chunk_cannot_be_told_from_a_validated_one(
    seen: Callable[[ChatGenerationChunk], Any], text: str, kept: dict[str, Any]
) -> None:
    one, other = seen(bare(text, dict(kept))), seen(validated(text, dict(kept)))

    assert one == other
    assert type(one) is type(other)


def test_chunks_share_nothing() -> None:
    one, other = bare("a", {}), bare("a", {})

    one.message.response_metadata["logprobs"] = {}
    one.message.additional_kwargs["x"] = 1
    message = one.message
    assert isinstance(message, AIMessageChunk)
    message.tool_calls.append({"name": "f", "args": {}, "id": None})
    one.message.id = "run-1"

    assert other == validated("a", {})


def test_with_this_core_chunks_are_built_the_cheap_way() -> None:
    assert chunk is bare


ARGS = st.text(alphabet='{}[]":, \\n\\ab1', max_size=12) | st.text(max_size=6)


@pytest.mark.parametrize("seen", SEEN_AS)
@given(args=st.lists(ARGS, min_size=1, max_size=2), name=st.sampled_from([None, "f"]))
def test_fragments_of_calls_are_chunks_as_core_makes_them(
    seen: Callable[[ChatGenerationChunk], Any], args: list[str], name: str | None
) -> None:
    fragments = [
        tool_call_chunk(name=name, args=text, id=name, index=at) for at, text in enumerate(args)
    ]
    message = AIMessageChunk(
        content="",
        tool_call_chunks=fragments,
        response_metadata={"model_provider": completion.PROVIDER},
    )

    one, other = fragments_chunk(fragments), ChatGenerationChunk(message=message)

    assert seen(one) == seen(other)
