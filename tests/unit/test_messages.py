"""Conversion of LangChain messages to those of a request."""

import base64
import copy
import json
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_cerebras_inference._conversion.messages import (
    convert_messages,
    extract_reasoning,
)
from langchain_cerebras_inference._conversion.tool_arguments import create_truncation_marker

GPT, QWEN, GLM = "gpt-oss-120b", "qwen-3.8-27b", "zai-glm-4.7"
PNG = "data:image/png;base64,iVBORw0KGgo="


def convert(message: BaseMessage, model: str = GPT, **options: Any) -> Any:
    """Convert one message, whether or not its tool calls are answered."""
    [converted] = convert_messages([message], model=model, for_counting=True, **options)
    return converted


def create_call(name: str, id_: str | None = "a", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": id_, "type": "tool_call"}


# --- roles -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (HumanMessage("Ahoy"), {"role": "user", "content": "Ahoy"}),
        (HumanMessage(""), {"role": "user", "content": ""}),
        (
            HumanMessage("Ahoy", name="ada"),
            {"role": "user", "content": "Ahoy", "name": "ada"},
        ),
        (
            HumanMessage([{"type": "text", "text": "A"}, "hoy"]),
            {"role": "user", "content": "A\nhoy"},
        ),
        (
            HumanMessage([{"type": "image_url", "image_url": {"url": PNG}}]),
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": PNG}}],
            },
        ),
        (SystemMessage("Be brief."), {"role": "system", "content": "Be brief."}),
        (
            SystemMessage("Be brief.", name="house"),
            {"role": "system", "content": "Be brief.", "name": "house"},
        ),
        (AIMessage("Ahoy"), {"role": "assistant", "content": "Ahoy"}),
        (AIMessage(""), {"role": "assistant", "content": ""}),
        (
            AIMessage("Ahoy", name="ada"),
            {"role": "assistant", "content": "Ahoy", "name": "ada"},
        ),
        (
            ToolMessage("12", tool_call_id="a", name="f", status="error", artifact=5),
            {"role": "tool", "content": "12", "tool_call_id": "a"},
        ),
        (
            ToolMessage([{"type": "text", "text": "12"}], tool_call_id="a"),
            {"role": "tool", "content": "12", "tool_call_id": "a"},
        ),
        (
            ToolMessage([{"type": "text", "text": "42"}, "17"], tool_call_id="a"),
            {"role": "tool", "content": "42\n17", "tool_call_id": "a"},
        ),
        (
            SystemMessage(["Be brief.", "Be kind."]),
            {"role": "system", "content": "Be brief.\nBe kind."},
        ),
        (AIMessage(["A", "hoy"]), {"role": "assistant", "content": "Ahoy"}),
        (
            ChatMessage(content=["A", "hoy"], role="assistant"),
            {"role": "assistant", "content": "Ahoy"},
        ),
        (ChatMessage(content="Ahoy", role="user"), {"role": "user", "content": "Ahoy"}),
        (ChatMessage(content="Ahoy", role="human"), {"role": "user", "content": "Ahoy"}),
        (
            ChatMessage(content="Ahoy", role="assistant"),
            {"role": "assistant", "content": "Ahoy"},
        ),
        (ChatMessage(content="Ahoy", role="ai"), {"role": "assistant", "content": "Ahoy"}),
        (ChatMessage(content="Ahoy", role="system"), {"role": "system", "content": "Ahoy"}),
    ],
)
def test_message_is_converted_to_role_and_content(
    message: BaseMessage, expected: dict[str, Any]
) -> None:
    assert convert(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage(content="Be brief.", role="developer"),
        SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    ],
)
@pytest.mark.parametrize(
    ("model", "role"), [(GPT, "developer"), (QWEN, "system"), ("my-own", "system")]
)
def test_developer_role_falls_back_to_system(
    message: BaseMessage, model: str, role: str
) -> None:
    assert convert(message, model) == {"role": role, "content": "Be brief."}


@pytest.mark.parametrize(
    ("message", "message_type", "role"),
    [
        (ChatMessage(content="Ahoy", role="pirate"), "chat", "pirate"),
        (ChatMessage(content="Ahoy", role="tool"), "chat", "tool"),
        (FunctionMessage(content="12", name="f"), "function", "function"),
        (RemoveMessage("1"), "remove", "remove"),
    ],
)
def test_unknown_role_is_rejected_with_the_index_of_the_message(
    message: BaseMessage, message_type: str, role: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^messages\[1\] \({message_type}\): .* not have the role '{role}'\. Use system",
    ):
        convert_messages([HumanMessage("Ahoy"), message], model=GPT)


def test_image_in_a_system_message_is_rejected_with_its_index() -> None:
    message = SystemMessage([{"type": "image_url", "image_url": {"url": PNG}}])

    with pytest.raises(
        ValueError, match=r"^messages\[1\] \(system\): content\[0\] is a 'image_url' block"
    ):
        convert_messages([HumanMessage("x"), message], model=GPT)


@pytest.mark.parametrize(
    ("following", "is_rejected"),
    [
        ([], True),
        ([HumanMessage("x")], True),
        ([SystemMessage("y"), HumanMessage("x")], True),
        ([HumanMessage("x"), HumanMessage("y")], False),  # after an error, in a checkpoint
        ([HumanMessage("x"), AIMessage("y")], False),
        ([AIMessage("y")], False),
    ],
)
def test_file_in_a_system_message_is_rejected_only_while_the_prompt_is_new(
    following: list[BaseMessage], is_rejected: bool
) -> None:
    messages = [SystemMessage(["See:", PDF]), *following]

    if is_rejected:
        with pytest.raises(ValueError, match=r"^messages\[0\] \(system\): content\[1\]"):
            convert_messages(messages, model=GPT)
    else:
        assert "[file left out: " in convert_messages(messages, model=GPT)[0]["content"]


@pytest.mark.parametrize("message_class", [SystemMessage, HumanMessage])
def test_thousands_of_messages_with_blocks_are_converted_in_seconds(
    message_class: type[BaseMessage],
) -> None:
    messages = [message_class(["x"])] * 10_000
    start = time.process_time()

    assert len(convert_messages(messages, model=GPT)) == 10_000
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "nest",
    [
        lambda block: [block],
        lambda block: {"type": "non_standard", "value": block},
        lambda block: {"type": "tool_result", "tool_use_id": "b", "content": [block]},
        lambda block: {"type": "document", "source": {"type": "content", "content": [block]}},
        lambda block: {"type": "search_result", "content": [block]},
        lambda block: {"type": "thinking", "thinking": [block]},
        lambda block: {"type": "x", "y": block},
    ],
)
@pytest.mark.parametrize(
    ("message", "role"),
    [
        (HumanMessage("x"), "user"),
        (SystemMessage("x"), "system"),
        (AIMessage("x"), "assistant"),
        (ToolMessage("x", tool_call_id="a"), "tool"),
    ],
)
def test_deeply_nested_content_is_shortened(message: BaseMessage, role: str, nest: Any) -> None:
    block: Any = {"type": "text", "text": "Ahoy"}
    for _ in range(2000):
        block = nest(block)
    nested = message.model_copy(update={"content": [block]})
    call = [create_calls("a")] if role == "tool" else []

    for for_counting in (True, False):
        converted = convert_messages([*call, nested], model=GPT, for_counting=for_counting)
        assert converted[-1]["role"] == role
        assert len(converted[-1].get("content", "")) < 10_000


def test_messages_keep_their_order_and_are_not_joined() -> None:
    messages = [
        SystemMessage("a"),
        SystemMessage("b"),
        HumanMessage("c"),
        HumanMessage("d"),
        AIMessage("e"),
        AIMessage("f"),
    ]

    converted = convert_messages(messages, model=GPT)

    assert [(message["role"], message["content"]) for message in converted] == [
        ("system", "a"),
        ("system", "b"),
        ("user", "c"),
        ("user", "d"),
        ("assistant", "e"),
        ("assistant", "f"),
    ]


# --- reasoning ---------------------------------------------------------------------------

WITH_REASONING = AIMessage("Yes.", additional_kwargs={"reasoning_content": "Is it?"})


@pytest.mark.parametrize("model", [GPT, QWEN, "my-own-endpoint"])
def test_reasoning_is_replayed_in_its_own_field(model: str) -> None:
    assert convert(WITH_REASONING, model) == {
        "role": "assistant",
        "reasoning": "Is it?",
        "content": "Yes.",
    }


def test_reasoning_is_replayed_in_the_content_for_glm() -> None:
    assert convert(WITH_REASONING, GLM) == {
        "role": "assistant",
        "content": "<think>Is it?</think>Yes.",
    }


@pytest.mark.parametrize("model", [GPT, QWEN, GLM])
def test_reasoning_is_not_replayed_if_turned_off(model: str) -> None:
    assert convert(WITH_REASONING, model, replay_reasoning=False) == {
        "role": "assistant",
        "content": "Yes.",
    }


def test_assistant_message_may_have_only_reasoning() -> None:
    message = AIMessage("", additional_kwargs={"reasoning_content": "Is it?"})

    assert convert(message) == {"role": "assistant", "reasoning": "Is it?"}
    assert convert(message, replay_reasoning=False) == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("", additional_kwargs={"reasoning_content": "Is it?"}),
        AIMessage("", additional_kwargs={"reasoning": "Is it?"}),
        AIMessage("", additional_kwargs={"reasoning": {"summary": [{"text": "Is it?"}]}}),
        AIMessage(
            "", additional_kwargs={"reasoning": [{"type": "reasoning", "text": "Is it?"}]}
        ),
        AIMessage([{"type": "reasoning", "reasoning": "Is it?"}]),
        AIMessage(
            [{"type": "reasoning", "reasoning": "Is "}, {"type": "reasoning", "text": "it?"}]
        ),
        AIMessage([{"type": "thinking", "thinking": "Is it?", "signature": "x"}]),
        AIMessage([{"type": "reasoning_content", "reasoning_content": "Is it?"}]),
        AIMessage([{"type": "thinking", "thinking": [{"type": "text", "text": "Is it?"}]}]),
        AIMessage([{"type": "reasoning", "summary": ["Is it?", 5]}]),
        AIMessage([{"type": "reasoning", "summary": [], "content": [{"text": "Is it?"}]}]),
        AIMessage([{"type": "reasoning_content", "reasoning_content": {"text": "Is it?"}}]),
        AIMessage(
            [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "reasoning", "reasoning": "Is it?"},
            ]
        ),
    ],
)
def test_reasoning_is_found_in_the_form_of_every_provider(message: AIMessage) -> None:
    assert extract_reasoning(message) == "Is it?"


@pytest.mark.parametrize(
    "message",
    [
        AIMessage(
            "",
            additional_kwargs={"reasoning": {"summary": [{"text": "Is it?"}, {"text": "No."}]}},
        ),
        AIMessage(
            [{"type": "reasoning", "id": "rs_1", "summary": [{"text": "Is it?"}, "No."]}]
        ),
        AIMessage(
            [
                {"type": "reasoning", "id": "rs_1", "reasoning": "Is it?"},
                {"type": "reasoning", "id": "rs_1", "reasoning": "No."},
            ]
        ),
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "Is it?", "index": "lc_rs_305f30"},
                {"type": "reasoning", "reasoning": "No.", "index": "lc_rs_305f31"},
            ]
        ),
        AIMessage(
            [
                {"type": "thinking", "thinking": "Is it?", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "thinking", "thinking": "No.", "signature": "y"},
            ]
        ),
        AIMessage(
            [
                {"type": "reasoning", "summary": [{"text": "Is it?"}]},
                {"type": "reasoning", "summary": []},
                {"type": "reasoning", "summary": [{"text": "No."}]},
            ]
        ),
    ],
)
def test_paragraphs_of_reasoning_are_kept(message: AIMessage) -> None:
    assert extract_reasoning(message) == "Is it?\n\nNo."


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("Yes."),
        AIMessage("Yes.", additional_kwargs={"reasoning_content": ""}),
        AIMessage("Yes.", additional_kwargs={"reasoning": 5}),
        AIMessage("Yes.", additional_kwargs={"reasoning": {"summary": None}}),
        AIMessage([{"type": "text", "text": "Yes."}, "No."]),
    ],
)
def test_message_without_reasoning_replays_none(message: AIMessage) -> None:
    assert extract_reasoning(message) == ""
    assert "reasoning" not in convert(message)


# --- tool calls --------------------------------------------------------------------------


def test_each_tool_call_is_sent_once() -> None:
    message = AIMessage(
        [
            {"type": "text", "text": "Both."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        ],
        tool_calls=[create_call("f", "a", x=1), create_call("g", "b")],
        additional_kwargs={"tool_calls": [{"id": "a", "function": {"name": "f"}}]},
    )

    assert convert(message) == {
        "role": "assistant",
        "content": "Both.",
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "f", "arguments": '{"x":1}'},
            },
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_message_with_only_tool_calls_has_no_content() -> None:
    converted = convert(AIMessage("", tool_calls=[create_call("f")]))

    assert converted.keys() == {"role", "tool_calls"}


def test_tool_calls_keep_their_reasoning() -> None:
    converted = convert(
        AIMessage(
            "",
            tool_calls=[create_call("f")],
            additional_kwargs={"reasoning_content": "It needs f."},
        )
    )

    assert converted.keys() == {"role", "reasoning", "tool_calls"}
    assert converted["reasoning"] == "It needs f."


def test_tool_calls_in_additional_kwargs_are_sent() -> None:
    message = AIMessage(
        "",
        additional_kwargs={
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x":1}'},
                }
            ]
        },
    )

    [sent] = convert(message)["tool_calls"]

    assert sent["function"] == {"name": "f", "arguments": '{"x":1}'}


def test_tool_arguments_are_compact_readable_json() -> None:
    args: dict[str, Any] = {"x": [1, {"y": None}], "z": "é🌊", "nan": float("nan")}

    [sent] = convert(AIMessage("", tool_calls=[create_call("f", **args)]))["tool_calls"]

    assert sent["function"]["arguments"] == '{"x":[1,{"y":null}],"z":"é🌊","nan":null}'


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (b"\xff", '"<binary data, 1 bytes>"'),
        (int, "\"<class 'int'>\""),
        ({"y": b"\xff\xfe"}, '{"y":"<binary data, 2 bytes>"}'),
    ],
)
def test_tool_arguments_that_json_does_not_have_are_sent_as_text(value: Any, sent: str) -> None:
    [call] = convert(AIMessage("", tool_calls=[create_call("f", x=value)]))["tool_calls"]

    assert call["function"]["arguments"] == f'{{"x":{sent}}}'


def test_deeply_nested_tool_arguments_are_shortened() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]

    [call] = convert(AIMessage("", tool_calls=[create_call("f", x=value)]))["tool_calls"]

    assert json.loads(call["function"]["arguments"])["x"][0]
    assert len(call["function"]["arguments"]) < 200


def test_unaccepted_tool_name_is_mapped_like_the_name_of_the_tool() -> None:
    [sent] = convert(AIMessage("", tool_calls=[create_call("math.add")]))["tool_calls"]

    assert sent["function"]["name"] == "math_add_ecef409b"


def create_invalid_call(**keys: Any) -> Any:
    call = {"name": "f", "args": '{"x":', "id": "a", "error": None}
    return {"type": "invalid_tool_call", **call, **keys}


@pytest.mark.parametrize("text", ['{"x":"ha', '{"x":[1', '{"x":"\\', '{"x":"a"', '{"x":', ""])
def test_truncated_tool_arguments_are_sent_back_unchanged(text: str) -> None:
    call = create_invalid_call(args=text + create_truncation_marker(text))

    assert convert(AIMessage("", invalid_tool_calls=[call]))["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": text or "{}"}}
    ]


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"args": "{'x':1}"}, [("f", "{'x':1}", "a")]),
        ({"args": None, "id": None}, [("f", "{}", "")]),
        ({"name": None}, []),
    ],
)
def test_invalid_tool_call_is_sent_if_it_has_a_name(
    keys: dict[str, Any], sent: list[tuple[str, str, str]]
) -> None:
    message = AIMessage("", invalid_tool_calls=[create_invalid_call(**keys)])

    calls = convert(message).get("tool_calls", [])

    assert [
        (call["function"]["name"], call["function"]["arguments"], call["id"]) for call in calls
    ] == sent


# --- order of tool messages --------------------------------------------------------------


def create_result(call_id: str) -> ToolMessage:
    return ToolMessage("12", tool_call_id=call_id)


def create_calls(*call_ids: str | None) -> AIMessage:
    return AIMessage("", tool_calls=[create_call("f", call_id) for call_id in call_ids])


TWO_CALLS = AIMessage("calls", tool_calls=[create_call("f", "a"), create_call("g", "b")])


@pytest.mark.parametrize(
    ("messages", "order"),
    [
        ([TWO_CALLS, create_result("a"), create_result("b")], ["calls", "a", "b"]),
        ([TWO_CALLS, create_result("b"), create_result("a")], ["calls", "a", "b"]),
        (
            [
                TWO_CALLS,
                HumanMessage("wait"),
                create_result("b"),
                HumanMessage("so?"),
                create_result("a"),
            ],
            ["calls", "a", "b", "wait", "so?"],
        ),
        (
            [
                TWO_CALLS,
                create_result("a"),
                create_result("b"),
                TWO_CALLS,
                create_result("b"),
                create_result("a"),
            ],
            ["calls", "a", "b", "calls", "a_2", "b_2"],
        ),
        (
            [
                TWO_CALLS,
                create_result("a"),
                HumanMessage("wait"),
                AIMessage("more", tool_calls=[create_call("f", "c")]),
                create_result("c"),
                create_result("b"),
            ],
            ["calls", "a", "b", "wait", "more", "c"],
        ),
    ],
)
def test_tool_message_is_moved_directly_after_its_call(
    messages: list[BaseMessage], order: list[str]
) -> None:
    converted = convert_messages(messages, model=GPT)

    assert [
        message["tool_call_id"] if message["role"] == "tool" else message["content"]
        for message in converted
    ] == order


@pytest.mark.parametrize(
    ("messages", "index", "call_id"),
    [
        ([HumanMessage("x"), create_result("a")], 1, "a"),
        ([TWO_CALLS, create_result("a"), create_result("b"), create_result("c")], 3, "c"),
        ([HumanMessage("x"), create_result("a"), TWO_CALLS], 1, "a"),
    ],
)
def test_tool_message_without_a_call_is_rejected_with_its_index(
    messages: list[BaseMessage], index: int, call_id: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^messages\[{index}\] \(tool\): No earlier message has .* id '{call_id}'\."
        r' Remove .* start_on="human"',
    ):
        convert_messages(messages, model=GPT)


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        (
            [ToolMessage("Cancelled.", tool_call_id="a"), create_result("b")],
            [("a", "Cancelled.\n13"), ("b", "12")],
        ),
        ([create_result("a"), create_result("b")], [("a", "12\n13"), ("b", "12")]),
        (
            [create_result("b"), create_result("a"), HumanMessage("So?")],
            [("a", "12\n13"), ("b", "12")],
        ),
        ([create_result("b"), HumanMessage("So?")], [("a", "13"), ("b", "12")]),
        (
            [ToolMessage("13", tool_call_id="a"), create_result("b"), AIMessage("So?")],
            [("a", "13"), ("b", "12")],
        ),
    ],
)
def test_second_result_of_a_call_is_added_to_the_first(
    messages: list[BaseMessage], sent: list[tuple[str, str]]
) -> None:
    late_result = ToolMessage("13", tool_call_id="a")

    converted = convert_messages(
        [TWO_CALLS, *messages, late_result, HumanMessage("So?")], model=GPT
    )

    assert [
        (message["tool_call_id"], message["content"])
        for message in converted
        if message["role"] == "tool"
    ] == sent


@pytest.mark.parametrize(
    ("messages", "name", "call_id"),
    [
        ([TWO_CALLS, create_result("a")], "g", "b"),
        ([TWO_CALLS], "f", "a"),
        ([TWO_CALLS, TWO_CALLS, create_result("a"), create_result("b")], "f", "a"),
    ],
)
def test_call_without_a_tool_message_is_rejected_with_its_index(
    messages: list[BaseMessage], name: str, call_id: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^messages\[0\] \(ai\): No tool message .* '{name}' \(id '{call_id}'\)",
    ):
        convert_messages(messages, model=GPT)


def get_ids(*messages: BaseMessage) -> list[str]:
    """The ids of tool calls and tool messages, in the order they are sent."""
    ids = []
    for message in convert_messages(messages, model=GPT):
        ids += [call["id"] for call in message.get("tool_calls", [])]
        if message["role"] == "tool":
            ids.append(message["tool_call_id"])
    return ids


@pytest.mark.parametrize(
    ("messages", "ids"),
    [
        ([create_calls("a"), create_result("a")] * 2, ["a", "a", "a_2", "a_2"]),
        ([create_calls("a"), create_result("a")] * 3, ["a", "a", "a_2", "a_2", "a_3", "a_3"]),
        (
            [
                create_calls("a_2"),
                create_result("a_2"),
                *[create_calls("a"), create_result("a")] * 2,
            ],
            ["a_2", "a_2", "a", "a", "a_3", "a_3"],
        ),
        (
            [
                *[create_calls("a"), create_result("a")],
                *[create_calls("a_2"), create_result("a_2")],
                *[create_calls("a"), create_result("a")],
            ],
            ["a", "a", "a_2", "a_2", "a_3", "a_3"],
        ),
        (
            [create_calls("a", "a"), create_result("a"), create_result("a")],
            ["a", "a_2", "a", "a_2"],
        ),
        ([create_calls(None), create_result("")], ["call", "call"]),
        (
            [
                create_calls("", None),
                create_result(""),
                create_result(""),
                create_calls(""),
                create_result(""),
            ],
            ["call", "call_2", "call", "call_2", "call_3", "call_3"],
        ),
    ],
)
def test_ids_of_tool_calls_are_made_unique_with_their_tool_messages(
    messages: list[BaseMessage], ids: list[str]
) -> None:
    assert get_ids(*messages) == ids


def test_longer_conversation_begins_with_the_same_ids() -> None:
    turn: list[BaseMessage] = [create_calls("a", None), create_result(""), create_result("a")]

    shorter, longer = get_ids(*turn * 2), get_ids(*turn * 3)

    assert longer[: len(shorter)] == shorter


INTERRUPTED = "This tool call was interrupted. It has no result."
INVALID = 'This tool call was not run, because its arguments are not valid: {"x":'


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        (
            [create_calls("a"), HumanMessage("So?")],
            [("a", INTERRUPTED), "So?"],
        ),
        (
            [TWO_CALLS, HumanMessage("So?")],
            [("a", INTERRUPTED), ("b", INTERRUPTED), "So?"],
        ),
        (
            [TWO_CALLS, create_result("a"), HumanMessage("So?")],
            [("a", "12"), ("b", INTERRUPTED), "So?"],
        ),
        (
            [TWO_CALLS, HumanMessage("So?"), create_result("b"), AIMessage("Well.")],
            [("a", INTERRUPTED), ("b", "12"), "So?", "Well."],
        ),
        (
            [create_calls("a"), AIMessage("Well."), ChatMessage(content="So?", role="user")],
            [("a", INTERRUPTED), "Well.", "So?"],
        ),
        (
            [create_calls("a"), HumanMessage("So?"), create_calls("a"), create_result("a")],
            [("a", INTERRUPTED), "So?", ("a_2", "12")],
        ),
        (
            [create_calls("a"), create_calls("b"), create_result("b"), HumanMessage("So?")],
            [("a", INTERRUPTED), ("b", "12"), "So?"],
        ),
        (
            [create_calls(None), HumanMessage("So?")],
            [("call", INTERRUPTED), "So?"],
        ),
        (
            [AIMessage("", invalid_tool_calls=[create_invalid_call()]), HumanMessage("So?")],
            [("a", INVALID), "So?"],
        ),
        (
            [AIMessage("", invalid_tool_calls=[create_invalid_call()])],
            [("a", INVALID)],
        ),
        (
            [
                AIMessage(
                    "",
                    tool_calls=[create_call("g", "b")],
                    invalid_tool_calls=[create_invalid_call(id="a")],
                ),
                HumanMessage("So?"),
            ],
            [("b", INTERRUPTED), ("a", INVALID), "So?"],
        ),
    ],
)
def test_interrupted_call_gets_a_tool_message_and_is_logged_once(
    messages: list[BaseMessage], sent: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    converted = convert_messages([HumanMessage("x"), *messages], model=GPT)

    assert [
        (message["tool_call_id"], message["content"])
        if message["role"] == "tool"
        else message["content"]
        for message in converted[1:]
        if "tool_calls" not in message
    ] == sent
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "No tool message answers these tool calls: messages[1] '" in record.message


def test_log_of_many_interrupted_calls_is_short(caplog: pytest.LogCaptureFixture) -> None:
    calls = [create_call("f", f"call_{number}") for number in range(100)]
    convert_messages([AIMessage("", tool_calls=calls), HumanMessage("So?")], model=GPT)

    [record] = caplog.records
    assert "call_9'), and 90 more. The request" in record.message


def build_interrupted_calls(count: int) -> list[BaseMessage]:
    calls = [create_call("f", f"call_{number}") for number in range(count)]
    return [*(AIMessage("", tool_calls=[call]) for call in calls), HumanMessage("So?")]


def build_calls_without_an_id(count: int) -> list[BaseMessage]:
    pair = [AIMessage("", tool_calls=[create_call("f", "")]), ToolMessage("x", tool_call_id="")]
    return pair * count


def build_late_tool_messages(count: int) -> list[BaseMessage]:
    calls = [create_call("f", f"call_{number}") for number in range(count)]
    results = [ToolMessage("x", tool_call_id=str(call["id"])) for call in calls]
    return [*(AIMessage("", tool_calls=[call]) for call in calls), *reversed(results)]


def build_tool_result_blocks(count: int) -> list[BaseMessage]:
    messages: list[BaseMessage] = []
    for number in range(count):
        block = {"type": "tool_result", "tool_use_id": f"call_{number}", "content": "x"}
        call = create_call("f", f"call_{number}")
        messages += [AIMessage("", tool_calls=[call]), HumanMessage([block])]
    return messages


def count_lines(messages: list[BaseMessage]) -> int:
    """Convert messages; return how many lines of the package ran, loops included."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        is_ours = "langchain_cerebras_inference" in frame.f_code.co_filename
        return trace if is_ours else None

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        convert_messages(messages, model=GPT)
    finally:
        sys.settrace(previous)
    return count


@pytest.mark.parametrize(
    "build_messages",
    [
        build_interrupted_calls,
        build_calls_without_an_id,
        build_late_tool_messages,
        build_tool_result_blocks,
    ],
)
def test_work_for_a_long_history_grows_linearly(
    build_messages: Callable[[int], list[BaseMessage]],
) -> None:
    assert count_lines(build_messages(200)) < 2.2 * count_lines(build_messages(100))


def test_truncated_arguments_of_an_unanswered_call_are_sent_as_text() -> None:
    message = AIMessage(
        "", invalid_tool_calls=[create_invalid_call(args='{"x": "' + "y" * 999)]
    )

    _, request, result, _ = convert_messages(
        [HumanMessage("x"), message, HumanMessage("So?")], model=GPT
    )

    assert request["tool_calls"][0]["function"]["arguments"] == "{}"
    assert '{"x": "yyy' in result["content"]
    assert len(result["content"]) < 600


@pytest.mark.parametrize(
    ("args", "arguments", "content"),
    [
        ('{"x":', "{}", INVALID + "\n12"),
        ('{"x":1}', '{"x":1}', "12"),  # invalid for another reason, such as an unknown tool
        (None, "{}", "12"),
    ],
)
def test_truncated_arguments_of_an_answered_call_are_sent_as_text(
    args: str | None, arguments: str, content: str
) -> None:
    message = AIMessage("", invalid_tool_calls=[create_invalid_call(args=args)])

    request, result = convert_messages([message, create_result("a")], model=GPT)

    assert request["tool_calls"][0]["function"]["arguments"] == arguments
    assert result["content"] == content


def test_answered_calls_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    convert_messages([TWO_CALLS, create_result("b"), create_result("a")], model=GPT)

    assert caplog.records == []


def test_invalid_tool_call_with_a_tool_message_is_sent() -> None:
    message = AIMessage(
        "",
        tool_calls=[create_call("g", "b")],
        invalid_tool_calls=[create_invalid_call(id="a")],
    )

    assert get_ids(message, create_result("a"), create_result("b")) == ["b", "a", "b", "a"]


def test_nothing_is_reordered_or_rejected_in_a_token_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    messages = [create_result("a"), TWO_CALLS, HumanMessage("x")]

    converted = convert_messages(messages, model=GPT, for_counting=True)

    assert [message["role"] for message in converted] == ["tool", "assistant", "user"]
    assert caplog.records == []


# --- images and other files --------------------------------------------------------------

IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
PDF = {"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf"}


def list_content(messages: list[BaseMessage], **options: Any) -> list[Any]:
    """The role and the content of each message, with `PNG` in place of an image part."""
    contents: list[Any] = []
    for message in convert_messages(messages, model=QWEN, **options):
        content: Any = message.get("content")
        if isinstance(content, list):
            content = [PNG if part == IMAGE else part["text"] for part in content]
        contents.append((message["role"], content))
    return contents


def test_images_of_tools_follow_the_tool_messages_in_one_user_message() -> None:
    calls = AIMessage(
        "", tool_calls=[create_call("f", "a"), create_call("g", "b"), create_call("f", "c")]
    )
    results = [
        ToolMessage([IMAGE], tool_call_id="c"),
        ToolMessage(["Look:", IMAGE, IMAGE], tool_call_id="b"),
        create_result("a"),
    ]

    sent = list_content(
        [HumanMessage("x"), calls, *results, AIMessage("y")], accepts_images=True
    )

    first, second = (f"[image {number}: see the next user message]" for number in (1, 2))
    assert sent[2:] == [
        ("tool", "12"),
        ("tool", f"Look:\n{first}\n{second}"),
        ("tool", first),
        (
            "user",
            [
                "Image 1 of the result of the tool 'g' (id 'b'):",
                PNG,
                "Image 2 of the result of the tool 'g' (id 'b'):",
                PNG,
                "Image 1 of the result of the tool 'f' (id 'c'):",
                PNG,
            ],
        ),
        ("assistant", "y"),
    ]


def test_image_of_an_assistant_follows_its_message() -> None:
    sent = list_content([AIMessage(["Look:", IMAGE]), HumanMessage("x")], accepts_images=True)

    assert sent == [
        ("assistant", "Look:\n[image 1: see the next user message]"),
        ("user", ["Image 1 of the assistant message:", PNG]),
        ("user", "x"),
    ]


@pytest.mark.parametrize("accepts_images", [False, None])
def test_images_of_tools_become_notes_if_the_model_is_not_known_to_accept_them(
    accepts_images: bool | None,
) -> None:
    result = ToolMessage([IMAGE], tool_call_id="a")

    sent = list_content([create_calls("a"), result], accepts_images=accepts_images)

    note = (
        "[image left out: image/png, 8 bytes."
        " The model does not accept images, or it is not known whether it does.]"
    )
    assert sent[1:] == [("tool", note)]


def test_newest_images_are_sent_if_there_are_more_than_ten() -> None:
    turn: list[BaseMessage] = [create_calls("a"), ToolMessage([IMAGE] * 4, tool_call_id="a")]
    messages = [HumanMessage([IMAGE, "x"]), *turn * 3, HumanMessage([IMAGE, "y"])]

    sent = list_content(messages, accepts_images=True)

    users = [content for role, content in sent if role == "user"]
    assert [content.count(PNG) for content in users] == [0, 1, 4, 4, 1]
    note = (
        "[image left out: image/png, 8 bytes."
        " A request can have up to 10 images of 10,485,760 bytes in all.]"
    )
    assert users[0] == [note, "x"]


def test_images_of_more_than_ten_mebibytes_become_notes() -> None:
    data = base64.b64encode(b"\x89PNG" + bytes(6 * 1024 * 1024)).decode()
    large = {"type": "image", "base64": data, "mime_type": "image/png"}
    messages = [
        *[create_calls("a"), ToolMessage([large], tool_call_id="a")],
        *[create_calls("a"), ToolMessage([IMAGE, large], tool_call_id="a")],
    ]

    converted: list[Any] = [*convert_messages(messages, model=QWEN, accepts_images=True)]

    contents = [message["content"] for message in converted if message["role"] == "user"]
    assert [[part["type"] for part in content][1::2] for content in contents] == [
        ["text"],
        ["image_url", "image_url"],
    ]


def test_images_of_the_newest_prompt_are_never_left_out() -> None:
    messages = [HumanMessage([IMAGE] * 2), AIMessage("x"), HumanMessage([IMAGE] * 11)]

    sent = list_content(messages, accepts_images=True)

    assert [content.count(PNG) for role, content in sent if role == "user"] == [0, 11]


PROMPT_WITH_FILE = HumanMessage(["Read:", PDF])


@pytest.mark.parametrize(
    ("messages", "index"),
    [
        ([PROMPT_WITH_FILE], 0),
        ([SystemMessage("x"), PROMPT_WITH_FILE], 1),
        ([PROMPT_WITH_FILE, SystemMessage("x")], 0),
        ([PROMPT_WITH_FILE, ChatMessage(content="x", role="developer")], 0),
        ([HumanMessage("x"), PROMPT_WITH_FILE], 1),
        ([HumanMessage("x"), AIMessage("y"), PROMPT_WITH_FILE], 2),
        ([create_calls("a"), create_result("a"), PROMPT_WITH_FILE], 2),
        ([create_calls("a"), ChatMessage(content=["Read:", PDF], role="user")], 1),
    ],
)
def test_file_in_the_newest_message_is_rejected_with_its_position(
    messages: list[BaseMessage], index: int
) -> None:
    with pytest.raises(
        ValueError, match=rf"^messages\[{index}\] \(\w+\): content\[1\] is a 'file' block"
    ):
        convert_messages(messages, model=QWEN)


@pytest.mark.parametrize(
    "messages",
    [
        [PROMPT_WITH_FILE, HumanMessage("x")],
        [PROMPT_WITH_FILE, AIMessage("y"), HumanMessage("x")],
        [PROMPT_WITH_FILE, create_calls("a"), create_result("a")],
        [SystemMessage(["Read:", PDF]), HumanMessage("x"), AIMessage("y"), HumanMessage("x")],
    ],
)
@pytest.mark.parametrize("model", [GPT, QWEN])
def test_file_in_an_older_message_becomes_a_note(
    messages: list[BaseMessage], model: str
) -> None:
    first, *_ = convert_messages(messages, model=model)

    assert first["content"] == (
        "Read:\n[file left out: application/pdf, 4 bytes. Cerebras does not accept such files.]"
    )


# --- tool results in user messages -------------------------------------------------------


def create_tool_result(call_id: str, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def test_tool_results_in_a_user_message_become_tool_messages() -> None:
    results = [create_tool_result("b", "12"), create_tool_result("a", ["4", IMAGE])]
    prompt = HumanMessage([*results, {"type": "text", "text": "So?"}])

    sent = list_content([TWO_CALLS, prompt], accepts_images=True)

    assert sent[1:] == [
        ("tool", "4\n[image 1: see the next user message]"),
        ("tool", "12"),
        ("user", ["Image 1 of the result of the tool 'f' (id 'a'):", PNG]),
        ("user", "So?"),
    ]


def test_user_message_with_only_tool_results_is_not_sent_as_well() -> None:
    messages = [create_calls("a"), HumanMessage([create_tool_result("a", "12")])]

    assert list_content(messages)[1:] == [("tool", "12")]


@pytest.mark.parametrize(
    "messages",
    [
        [AIMessage("x")],
        [create_calls("b"), create_result("b")],
        [create_calls("a"), create_result("a")],
    ],
)
def test_tool_result_without_an_open_call_stays_in_the_user_message(
    messages: list[BaseMessage],
) -> None:
    prompt = HumanMessage([create_tool_result("a", ["4", "2"]), "So?"])

    assert list_content([*messages, prompt])[-1] == ("user", "4\n2\nSo?")


def test_error_names_the_position_after_inserted_messages() -> None:
    messages = [
        create_calls("a"),
        HumanMessage([create_tool_result("a", "12"), "So?"]),
        create_calls("b"),
        HumanMessage("x"),
        create_result("c"),
    ]

    with pytest.raises(ValueError, match=r"^messages\[4\] \(tool\): No earlier"):
        convert_messages(messages, model=GPT)


def test_messages_are_not_changed() -> None:
    messages = [
        HumanMessage([{"type": "text", "text": "x"}]),
        AIMessage(
            "call",
            tool_calls=[create_call("math.add", "a", x=[1])],
            additional_kwargs={"reasoning_content": "Hm."},
        ),
        create_result("a"),
    ]
    before = copy.deepcopy(messages)

    convert_messages(messages, model=GPT)

    assert messages == before
