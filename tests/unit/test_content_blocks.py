"""Content blocks of messages from Cerebras."""

from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion import content_blocks
from langchain_cerebras_inference._conversion.tool_arguments import create_truncation_marker

METADATA = {"model_provider": "cerebras"}


def create_message(content: Any = "", reasoning: str = "", **fields: Any) -> AIMessage:
    additional_kwargs = {"reasoning_content": reasoning} if reasoning else {}
    return AIMessage(
        content, additional_kwargs=additional_kwargs, response_metadata=METADATA, **fields
    )


def create_chunk(
    content: Any = "", reasoning: str = "", *fragments: Any, **fields: Any
) -> AIMessageChunk:
    return AIMessageChunk(
        content=content,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        response_metadata=METADATA,
        tool_call_chunks=list(fragments),
        **fields,
    )


def create_fragment(index: int, arguments: str, name: str | None = None) -> Any:
    id_ = f"id_{index}" if name else None
    return tool_call_chunk(name=name, args=arguments, id=id_, index=index)


TOOL_CALL = {"type": "tool_call", "name": "f", "args": {"x": 1}, "id": "a"}
INVALID_TOOL_CALL = {
    "type": "invalid_tool_call",
    "name": "g",
    "args": '{"x',
    "id": "b",
    "error": None,
}


REFUSAL = {"type": "refusal", "refusal": "", "extras": {"finish_reason": "content_filter"}}
REFUSAL_METADATA = {**METADATA, "finish_reason": "content_filter"}

# --- whole messages ------------------------------------------------------------------


def test_langchain_core_uses_the_translator() -> None:
    message = create_message("Yes.", "Is it?")

    assert message.content_blocks == content_blocks.translate_message(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (create_message(), []),
        (create_message("Yes."), [{"type": "text", "text": "Yes."}]),
        (
            create_message("Yes.", "Is it?"),
            [
                {"type": "reasoning", "reasoning": "Is it?"},
                {"type": "text", "text": "Yes."},
            ],
        ),
        (
            create_message(
                "Yes.",
                "Is it?",
                tool_calls=[TOOL_CALL],
                invalid_tool_calls=[INVALID_TOOL_CALL],
            ),
            [
                {"type": "reasoning", "reasoning": "Is it?"},
                {"type": "text", "text": "Yes."},
                TOOL_CALL,
                INVALID_TOOL_CALL,
            ],
        ),
        (
            create_message(
                [{"type": "text", "text": "Yes."}, TOOL_CALL, INVALID_TOOL_CALL, "odd"],
                tool_calls=[TOOL_CALL],
            ),
            [{"type": "text", "text": "Yes."}, TOOL_CALL],
        ),
    ],
)
def test_blocks_are_reasoning_text_and_tool_calls_in_this_order(
    message: AIMessage, expected: list[Any]
) -> None:
    assert message.content_blocks == expected


# --- chunks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (create_chunk(), []),
        (create_chunk("Yes"), [{"type": "text", "text": "Yes", "index": "lc_txt_0"}]),
        (
            create_chunk("", "Is"),
            [{"type": "reasoning", "reasoning": "Is", "index": "lc_rs_0"}],
        ),
        (
            create_chunk("", "", create_fragment(1, '{"x', "f")),
            [
                {
                    "type": "tool_call_chunk",
                    "id": "id_1",
                    "name": "f",
                    "args": '{"x',
                    "index": "lc_tc_1",
                }
            ],
        ),
    ],
)
def test_index_of_a_block_of_a_chunk_is_a_string(
    chunk: AIMessageChunk, expected: list[Any]
) -> None:
    assert chunk.content_blocks == expected


def test_translating_a_chunk_does_not_change_it() -> None:
    chunk = create_chunk([{"type": "text", "text": "Yes"}])

    blocks = chunk.content_blocks

    assert blocks == [{"type": "text", "text": "Yes", "index": "lc_txt_0"}]
    assert chunk.content == [{"type": "text", "text": "Yes"}]


STREAM = [
    create_chunk("", "Is "),
    create_chunk("", "it?"),
    create_chunk("Yes"),
    create_chunk("."),
    create_chunk("", "", create_fragment(0, '{"x":', "f")),
    create_chunk("", "", create_fragment(0, "1}"), create_fragment(1, '{"y":"ha', "g")),
    create_chunk(
        "",
        "",
        create_fragment(1, create_truncation_marker('{"y":"ha')),
        chunk_position="last",
    ),
]
"""A stream with one complete and one truncated tool call."""

REASONING_TEXT_AND_TOOL_CALL = [
    {"type": "reasoning", "reasoning": "Is it?"},
    {"type": "text", "text": "Yes."},
    {"type": "tool_call", "name": "f", "args": {"x": 1}, "id": "id_0"},
]


def test_sum_of_all_chunks_has_the_blocks_of_a_message() -> None:
    assert reduce(add, STREAM).content_blocks == [
        *REASONING_TEXT_AND_TOOL_CALL,
        {
            "type": "invalid_tool_call",
            "name": "g",
            "args": '{"y":"ha"]]',
            "id": "id_1",
            "error": None,
        },
    ]


def test_sum_without_the_last_chunk_has_tool_call_chunks() -> None:
    assert [block["type"] for block in reduce(add, STREAM[:-1]).content_blocks] == [
        "reasoning",
        "text",
        "tool_call_chunk",
        "tool_call_chunk",
    ]


def test_last_chunk_that_only_ends_a_tool_call_has_a_tool_call_chunk() -> None:
    assert STREAM[-1].content_blocks == [
        {
            "type": "tool_call_chunk",
            "id": None,
            "name": None,
            "args": '"]]',
            "index": "lc_tc_1",
        }
    ]


def test_last_chunk_without_tool_calls_has_the_blocks_of_a_message() -> None:
    assert create_chunk("Yes.", chunk_position="last").content_blocks == [
        {"type": "text", "text": "Yes."}
    ]


def test_chunks_with_version_1_content_add_up_to_the_same_blocks() -> None:
    """langchain-core puts the blocks of each chunk into its content, and merges those."""
    stream = [
        *STREAM[:5],
        create_chunk("", "", create_fragment(0, "1}")),
        create_chunk(chunk_position="last"),
    ]
    chunks = [
        AIMessageChunk(
            content=chunk.content_blocks,  # type: ignore[arg-type] # typed dicts are dicts
            response_metadata={**METADATA, "output_version": "v1"},
            tool_call_chunks=chunk.tool_call_chunks,
            chunk_position=chunk.chunk_position,
        )
        for chunk in stream
    ]

    blocks = reduce(add, chunks).content_blocks

    without_indices = [
        {name: value for name, value in block.items() if name != "index"} for block in blocks
    ]
    assert without_indices == REASONING_TEXT_AND_TOOL_CALL


# --- refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "types"),
    [
        ("", ["refusal"]),
        ("I can", ["text", "refusal"]),
        ([{"type": "text", "text": "I can"}], ["text", "refusal"]),
        ([{"type": "text", "text": "I can"}, REFUSAL], ["text", "refusal"]),
    ],
)
def test_finish_reason_content_filter_is_one_refusal_block(
    content: Any, types: list[str]
) -> None:
    message = AIMessage(content, response_metadata=REFUSAL_METADATA)
    chunk = AIMessageChunk(
        content=content, response_metadata=REFUSAL_METADATA, chunk_position="last"
    )

    for blocks in (message.content_blocks, chunk.content_blocks):
        assert [block["type"] for block in blocks] == types
        assert blocks[-1] == REFUSAL


@pytest.mark.parametrize("finish_reason", ["stop", "length", "tool_calls", None])
def test_other_finish_reasons_are_no_refusal(finish_reason: Any) -> None:
    metadata = {**METADATA, "finish_reason": finish_reason}

    assert AIMessage("", response_metadata=metadata).content_blocks == []


def test_last_chunk_with_a_truncated_tool_call_has_the_refusal() -> None:
    last = AIMessageChunk(
        content="",
        tool_call_chunks=[create_fragment(0, create_truncation_marker('{"x'))],
        response_metadata=REFUSAL_METADATA,
        chunk_position="last",
    )
    first = create_chunk("", "", create_fragment(0, '{"x', "f"))

    assert [block["type"] for block in last.content_blocks] == ["tool_call_chunk", "refusal"]
    assert [block["type"] for block in (first + last).content_blocks] == [
        "invalid_tool_call",
        "refusal",
    ]


def test_refusal_in_version_1_content_of_chunks_is_kept() -> None:
    last = AIMessageChunk(content="", response_metadata=REFUSAL_METADATA, chunk_position="last")
    chunks = [
        AIMessageChunk(
            content=chunk.content_blocks,  # type: ignore[arg-type] # typed dicts are dicts
            response_metadata={**chunk.response_metadata, "output_version": "v1"},
            chunk_position=chunk.chunk_position,
        )
        for chunk in (create_chunk("I "), create_chunk("can"), last)
    ]

    blocks = reduce(add, chunks).content_blocks

    assert [block["type"] for block in blocks] == ["text", "refusal"]
