"""Conversion of LangChain messages to those of a request."""

import copy
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
    [converted] = convert_messages([message], model=model, order_tool_messages=False, **options)
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
            {"role": "user", "content": "Ahoy"},
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


@pytest.mark.parametrize("message_class", [SystemMessage, AIMessage])
def test_images_are_rejected_except_in_user_messages(
    message_class: type[BaseMessage],
) -> None:
    message = message_class([{"type": "image_url", "image_url": {"url": PNG}}])

    with pytest.raises(
        ValueError,
        match=r"^messages\[0\] \((system|ai)\): content\[0\] is a 'image_url' block",
    ):
        convert_messages([message], model=GPT)


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
        AIMessage(
            "", additional_kwargs={"reasoning": {"summary": [{"text": "Is "}, {"text": "it?"}]}}
        ),
        AIMessage([{"type": "reasoning", "reasoning": "Is it?"}]),
        AIMessage(
            [{"type": "reasoning", "reasoning": "Is "}, {"type": "reasoning", "text": "it?"}]
        ),
        AIMessage([{"type": "thinking", "thinking": "Is it?", "signature": "x"}]),
        AIMessage([{"type": "reasoning_content", "reasoning_content": "Is it?"}]),
        AIMessage([{"type": "thinking", "thinking": [{"type": "text", "text": "Is it?"}]}]),
        AIMessage([{"type": "reasoning", "summary": [{"text": "Is "}, "it?", 5]}]),
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
        ([TWO_CALLS, create_result("a"), create_result("b"), create_result("a")], 3, "a"),
        ([HumanMessage("x"), create_result("a"), TWO_CALLS], 1, "a"),
    ],
)
def test_tool_message_without_a_call_is_rejected_with_its_index(
    messages: list[BaseMessage], index: int, call_id: str
) -> None:
    with pytest.raises(
        ValueError,
        match=rf"^messages\[{index}\] \(tool\): No earlier message has .* id '{call_id}'\. Rem",
    ):
        convert_messages(messages, model=GPT)


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


@pytest.mark.parametrize(
    ("content", "additional_kwargs", "sent"),
    [
        ("", {}, {"content": ""}),
        ("Well.", {}, {"content": "Well."}),
        ("", {"reasoning_content": "Hm."}, {"reasoning": "Hm."}),
    ],
)
def test_invalid_tool_call_without_a_tool_message_is_not_sent(
    content: str, additional_kwargs: dict[str, Any], sent: dict[str, str]
) -> None:
    message = AIMessage(
        content,
        invalid_tool_calls=[create_invalid_call()],
        additional_kwargs=additional_kwargs,
    )

    converted, _ = convert_messages([message, HumanMessage("So?")], model=GPT)

    assert converted == {"role": "assistant", **sent}


def test_invalid_tool_call_with_a_tool_message_is_sent() -> None:
    message = AIMessage(
        "",
        tool_calls=[create_call("g", "b")],
        invalid_tool_calls=[create_invalid_call(id="a")],
    )

    assert get_ids(message, create_result("a"), create_result("b")) == ["b", "a", "b", "a"]
    assert get_ids(message, create_result("b")) == ["b", "b"]


def test_order_is_kept_if_ordering_is_turned_off() -> None:
    messages = [create_result("a"), TWO_CALLS]

    converted = convert_messages(messages, model=GPT, order_tool_messages=False)

    assert [message["role"] for message in converted] == ["tool", "assistant"]


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
