"""Content blocks of messages whose provider is Cerebras."""

from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_cerebras_inference._conversion import content_blocks
from langchain_cerebras_inference._conversion.tool_arguments import tail_for

OURS = {"model_provider": "cerebras"}


def whole(content: Any = "", reasoning: str = "", **more: Any) -> AIMessage:
    kept = {"reasoning_content": reasoning} if reasoning else {}
    return AIMessage(content, additional_kwargs=kept, response_metadata=OURS, **more)


def chunk(
    content: Any = "", reasoning: str = "", *fragments: Any, **more: Any
) -> AIMessageChunk:
    kept = {"reasoning_content": reasoning} if reasoning else {}
    return AIMessageChunk(
        content=content,
        additional_kwargs=kept,
        response_metadata=OURS,
        tool_call_chunks=list(fragments),
        **more,
    )


def fragment(index: int, args: str, name: str | None = None) -> Any:
    id_ = f"id_{index}" if name else None
    return tool_call_chunk(name=name, args=args, id=id_, index=index)


CALL = {"type": "tool_call", "name": "f", "args": {"x": 1}, "id": "a"}
INVALID = {
    "type": "invalid_tool_call",
    "name": "g",
    "args": '{"x',
    "id": "b",
    "error": None,
}


def test_the_module_registers_what_core_asks_for() -> None:
    message = whole("Yes.", "Is it?")

    assert message.content_blocks == content_blocks.to_blocks(message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (whole(), []),
        (whole("Yes."), [{"type": "text", "text": "Yes."}]),
        (
            whole("Yes.", "Is it?"),
            [
                {"type": "reasoning", "reasoning": "Is it?"},
                {"type": "text", "text": "Yes."},
            ],
        ),
        (
            whole("Yes.", "Is it?", tool_calls=[CALL], invalid_tool_calls=[INVALID]),
            [
                {"type": "reasoning", "reasoning": "Is it?"},
                {"type": "text", "text": "Yes."},
                CALL,
                INVALID,
            ],
        ),
        (
            whole([{"type": "text", "text": "Yes."}, CALL, INVALID, "odd"], tool_calls=[CALL]),
            [{"type": "text", "text": "Yes."}, CALL],
        ),
    ],
)
def test_a_message_has_reasoning_text_and_calls_in_this_order(
    message: AIMessage, expected: list[Any]
) -> None:
    assert message.content_blocks == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (chunk(), []),
        (chunk("Yes"), [{"type": "text", "text": "Yes", "index": "lc_txt_0"}]),
        (chunk("", "Is"), [{"type": "reasoning", "reasoning": "Is", "index": "lc_rs_0"}]),
        (
            chunk("", "", fragment(1, '{"x', "f")),
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
def test_the_index_of_a_chunks_block_is_a_name(
    message: AIMessageChunk, expected: list[Any]
) -> None:
    assert message.content_blocks == expected


ANSWER = [
    chunk("", "Is "),
    chunk("", "it?"),
    chunk("Yes"),
    chunk("."),
    chunk("", "", fragment(0, '{"x":', "f")),
    chunk("", "", fragment(0, "1}"), fragment(1, '{"y":"ha', "g")),
    chunk("", "", fragment(1, tail_for('{"y":"ha')), chunk_position="last"),
]
SUM = [
    {"type": "reasoning", "reasoning": "Is it?"},
    {"type": "text", "text": "Yes."},
    {"type": "tool_call", "name": "f", "args": {"x": 1}, "id": "id_0"},
    {
        "type": "invalid_tool_call",
        "name": "g",
        "args": '{"y":"ha"]]',
        "id": "id_1",
        "error": None,
    },
]


def test_the_sum_of_the_chunks_has_the_blocks_of_the_whole() -> None:
    assert reduce(add, ANSWER).content_blocks == SUM


def test_a_sum_that_is_not_at_its_end_has_fragments() -> None:
    assert [block["type"] for block in reduce(add, ANSWER[:-1]).content_blocks] == [
        "reasoning",
        "text",
        "tool_call_chunk",
        "tool_call_chunk",
    ]


def test_a_last_chunk_that_only_ends_a_call_is_a_fragment() -> None:
    assert ANSWER[-1].content_blocks == [
        {
            "type": "tool_call_chunk",
            "id": None,
            "name": None,
            "args": '"]]',
            "index": "lc_tc_1",
        }
    ]


def test_a_last_chunk_without_calls_is_whole() -> None:
    assert chunk("Yes.", chunk_position="last").content_blocks == [
        {"type": "text", "text": "Yes."}
    ]


def test_chunks_in_version_1_add_up_to_the_same_blocks() -> None:
    """Core puts the blocks of each chunk into its content, and merges these."""
    end = [chunk("", "", fragment(0, "1}")), chunk(chunk_position="last")]
    answer = [*ANSWER[:5], *end]
    pieces = [
        AIMessageChunk(
            content=each.content_blocks,  # type: ignore[arg-type]
            response_metadata={**OURS, "output_version": "v1"},
            tool_call_chunks=each.tool_call_chunks,
            chunk_position=each.chunk_position,
        )
        for each in answer
    ]

    message = reduce(add, pieces)

    assert [
        {name: value for name, value in block.items() if name != "index"}
        for block in message.content_blocks
    ] == [
        {"type": "reasoning", "reasoning": "Is it?"},
        {"type": "text", "text": "Yes."},
        {"type": "tool_call", "name": "f", "args": {"x": 1}, "id": "id_0"},
    ]


def test_blocks_are_made_without_changing_the_message() -> None:
    message = chunk([{"type": "text", "text": "Yes"}])

    found = message.content_blocks

    assert found == [{"type": "text", "text": "Yes", "index": "lc_txt_0"}]
    assert message.content == [{"type": "text", "text": "Yes"}]
