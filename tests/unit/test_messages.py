"""Messages → wire."""

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

from langchain_cerebras_inference._conversion.messages import reasoning_of, to_wire
from langchain_cerebras_inference._conversion.tool_arguments import tail_for

GPT, QWEN, GLM = "gpt-oss-120b", "qwen-3.8-27b", "zai-glm-4.7"
PNG = "data:image/png;base64,iVBORw0KGgo="


def wire_of(message: BaseMessage, model: str = GPT, **options: Any) -> Any:
    [wire] = to_wire([message], model=model, ordered=False, **options)
    return wire


def call(name: str, id_: str | None = "a", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": id_, "type": "tool_call"}


# --- roles -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "wire"),
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
def test_a_message_becomes_what_cerebras_knows(
    message: BaseMessage, wire: dict[str, Any]
) -> None:
    assert wire_of(message) == wire


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
def test_a_developer_is_the_system_where_the_model_knows_no_developers(
    message: BaseMessage, model: str, role: str
) -> None:
    assert wire_of(message, model) == {"role": role, "content": "Be brief."}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (ChatMessage(content="Ahoy", role="pirate"), "chat"),
        (ChatMessage(content="Ahoy", role="tool"), "chat"),
        (FunctionMessage(content="12", name="f"), "function"),
        (RemoveMessage("1"), "remove"),
    ],
)
def test_a_role_cerebras_does_not_know_is_refused_by_place(
    message: BaseMessage, kind: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"^messages\[1\] \({kind}\): Cerebras knows no such role"
    ):
        to_wire([HumanMessage("Ahoy"), message], model=GPT)


@pytest.mark.parametrize("role", [SystemMessage, AIMessage])
def test_images_are_for_users_alone(role: type[BaseMessage]) -> None:
    message = role([{"type": "image_url", "image_url": {"url": PNG}}])

    with pytest.raises(
        ValueError, match=r"^messages\[0\] \((system|ai)\): a 'image_url' block"
    ):
        to_wire([message], model=GPT)


def test_messages_keep_their_order_and_are_not_joined() -> None:
    messages = [
        SystemMessage("a"),
        SystemMessage("b"),
        HumanMessage("c"),
        HumanMessage("d"),
        AIMessage("e"),
        AIMessage("f"),
    ]

    wire = to_wire(messages, model=GPT)

    assert [(each["role"], each["content"]) for each in wire] == [
        ("system", "a"),
        ("system", "b"),
        ("user", "c"),
        ("user", "d"),
        ("assistant", "e"),
        ("assistant", "f"),
    ]


# --- reasoning ---------------------------------------------------------------------------

THOUGHTFUL = AIMessage("Yes.", additional_kwargs={"reasoning_content": "Is it?"})


@pytest.mark.parametrize("model", [GPT, QWEN, "my-own-endpoint"])
def test_reasoning_goes_back_in_its_own_field(model: str) -> None:
    assert wire_of(THOUGHTFUL, model) == {
        "role": "assistant",
        "reasoning": "Is it?",
        "content": "Yes.",
    }


def test_glm_gets_its_reasoning_in_the_content() -> None:
    assert wire_of(THOUGHTFUL, GLM) == {
        "role": "assistant",
        "content": "<think>Is it?</think>Yes.",
    }


@pytest.mark.parametrize("model", [GPT, QWEN, GLM])
def test_reasoning_stays_at_home_if_it_is_told_to(model: str) -> None:
    assert wire_of(THOUGHTFUL, model, replay_reasoning=False) == {
        "role": "assistant",
        "content": "Yes.",
    }


def test_a_turn_may_be_reasoning_alone() -> None:
    message = AIMessage("", additional_kwargs={"reasoning_content": "Is it?"})

    assert wire_of(message) == {"role": "assistant", "reasoning": "Is it?"}
    assert wire_of(message, replay_reasoning=False) == {"role": "assistant", "content": ""}


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
def test_reasoning_is_found_wherever_another_class_put_it(message: AIMessage) -> None:
    assert reasoning_of(message) == "Is it?"


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
def test_without_reasoning_none_goes_back(message: AIMessage) -> None:
    assert reasoning_of(message) == ""
    assert "reasoning" not in wire_of(message)


# --- tool calls --------------------------------------------------------------------------


def test_two_tool_calls_are_sent_once_each() -> None:
    message = AIMessage(
        [
            {"type": "text", "text": "Both."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        ],
        tool_calls=[call("f", "a", x=1), call("g", "b")],
        additional_kwargs={"tool_calls": [{"id": "a", "function": {"name": "f"}}]},
    )

    assert wire_of(message) == {
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


def test_a_turn_that_only_calls_has_no_content() -> None:
    wire = wire_of(AIMessage("", tool_calls=[call("f")]))

    assert wire.keys() == {"role", "tool_calls"}


def test_calls_keep_their_reasoning() -> None:
    wire = wire_of(
        AIMessage(
            "",
            tool_calls=[call("f")],
            additional_kwargs={"reasoning_content": "It takes f."},
        )
    )

    assert wire.keys() == {"role", "reasoning", "tool_calls"}
    assert wire["reasoning"] == "It takes f."


def test_an_older_form_of_calls_is_understood() -> None:
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

    [sent] = wire_of(message)["tool_calls"]

    assert sent["function"] == {"name": "f", "arguments": '{"x":1}'}


def test_arguments_are_compact_and_readable_json() -> None:
    args: dict[str, Any] = {"x": [1, {"y": None}], "z": "é🌊", "nan": float("nan")}

    [sent] = wire_of(AIMessage("", tool_calls=[call("f", **args)]))["tool_calls"]

    assert sent["function"]["arguments"] == '{"x":[1,{"y":null}],"z":"é🌊","nan":null}'


def test_a_name_cerebras_refuses_goes_out_under_the_name_its_tool_does() -> None:
    [sent] = wire_of(AIMessage("", tool_calls=[call("math.add")]))["tool_calls"]

    assert sent["function"]["name"] == "math_add_ecef409b"


@pytest.mark.parametrize("text", ['{"x":"ha', '{"x":[1', '{"x":"\\', '{"x":"a"', '{"x":', ""])
def test_a_cut_call_goes_back_as_it_came(text: str) -> None:
    message = AIMessage(
        "",
        invalid_tool_calls=[
            {
                "name": "f",
                "args": text + tail_for(text),
                "id": "a",
                "error": None,
                "type": "invalid_tool_call",
            }
        ],
    )

    assert wire_of(message)["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": text or "{}"}}
    ]


@pytest.mark.parametrize(
    ("invalid", "sent"),
    [
        ({"name": "f", "args": "{'x':1}", "id": "a"}, [("f", "{'x':1}", "a")]),
        ({"name": "f", "args": None, "id": None}, [("f", "{}", "")]),
        ({"name": None, "args": "x", "id": "a"}, []),
    ],
)
def test_an_invalid_call_goes_back_if_it_has_a_name(
    invalid: Any, sent: list[tuple[str, str, str]]
) -> None:
    message = AIMessage(
        "", invalid_tool_calls=[{"error": None, "type": "invalid_tool_call", **invalid}]
    )

    calls = wire_of(message).get("tool_calls", [])

    assert [
        (each["function"]["name"], each["function"]["arguments"], each["id"]) for each in calls
    ] == sent


# --- order -------------------------------------------------------------------------------


def answer(id_: str, text: str = "12") -> ToolMessage:
    return ToolMessage(text, tool_call_id=id_)


def order_of(*messages: BaseMessage) -> list[str]:
    return [
        each.get("tool_call_id") or str(each.get("content") or each["tool_calls"][0]["id"])
        for each in to_wire(messages, model=GPT)
    ]


CALLS = AIMessage("call", tool_calls=[call("f", "a"), call("g", "b")])


@pytest.mark.parametrize(
    ("messages", "order"),
    [
        ([CALLS, answer("a"), answer("b")], ["call", "a", "b"]),
        ([CALLS, answer("b"), answer("a")], ["call", "a", "b"]),
        (
            [CALLS, HumanMessage("wait"), answer("b"), HumanMessage("so?"), answer("a")],
            ["call", "a", "b", "wait", "so?"],
        ),
        (
            [CALLS, answer("a"), answer("b"), CALLS, answer("b"), answer("a")],
            ["call", "a", "b", "call", "a_2", "b_2"],
        ),
    ],
)
def test_an_answer_stands_directly_behind_its_call(
    messages: list[BaseMessage], order: list[str]
) -> None:
    assert order_of(*messages) == order


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([HumanMessage("x"), answer("a")], r"^messages\[1\] \(tool\) answers 'a', which is no"),
        (
            [CALLS, answer("a"), answer("b"), answer("a")],
            r"^messages\[3\] \(tool\) answers 'a'",
        ),
        ([CALLS, answer("a")], r"^messages\[0\] \(ai\) calls 'g' \('b'\), and no tool message"),
        ([CALLS], r"^messages\[0\] \(ai\) calls 'f' \('a'\)"),
        ([CALLS, CALLS, answer("a"), answer("b")], r"^messages\[0\] \(ai\) calls 'f' \('a'\)"),
        (
            [HumanMessage("x"), answer("a"), CALLS],
            r"^messages\[1\] \(tool\) answers 'a'",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused_by_place(
    messages: list[BaseMessage], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        to_wire(messages, model=GPT)


def ids_of(*messages: BaseMessage) -> list[str]:
    return [
        id_
        for each in to_wire(messages, model=GPT)
        for id_ in (
            [each["tool_call_id"]]
            if each["role"] == "tool"
            else [call["id"] for call in each.get("tool_calls", [])]
        )
    ]


def calls(*ids: str | None) -> AIMessage:
    return AIMessage("", tool_calls=[call("f", id_) for id_ in ids])


@pytest.mark.parametrize(
    ("messages", "ids"),
    [
        ([calls("a"), answer("a"), calls("a"), answer("a")], ["a", "a", "a_2", "a_2"]),
        (
            [calls("a"), answer("a")] * 3,
            ["a", "a", "a_2", "a_2", "a_3", "a_3"],
        ),
        (
            [calls("a_2"), answer("a_2"), *[calls("a"), answer("a")] * 2],
            ["a_2", "a_2", "a", "a", "a_3", "a_3"],
        ),
        (
            [calls("a"), answer("a"), calls("a_2"), answer("a_2"), calls("a"), answer("a")],
            ["a", "a", "a_2", "a_2", "a_3", "a_3"],
        ),
        ([calls("a", "a"), answer("a"), answer("a")], ["a", "a_2", "a", "a_2"]),
        ([calls(None), answer("")], ["call", "call"]),
        (
            [calls("", None), answer(""), answer(""), calls(""), answer("")],
            ["call", "call_2", "call", "call_2", "call_3", "call_3"],
        ),
    ],
)
def test_a_call_has_an_id_of_its_own_and_its_answer_has_it_too(
    messages: list[BaseMessage], ids: list[str]
) -> None:
    assert ids_of(*messages) == ids


def test_a_longer_history_begins_with_the_same_ids() -> None:
    turn: list[BaseMessage] = [calls("a", None), answer(""), answer("a")]

    shorter, longer = ids_of(*turn * 2), ids_of(*turn * 3)

    assert longer[: len(shorter)] == shorter


BROKEN = {"name": "f", "args": '{"x":', "id": "a", "error": None, "type": "invalid_tool_call"}


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (AIMessage("", invalid_tool_calls=[BROKEN]), {"content": ""}),
        (AIMessage("Well.", invalid_tool_calls=[BROKEN]), {"content": "Well."}),
        (
            AIMessage(
                "",
                invalid_tool_calls=[BROKEN],
                additional_kwargs={"reasoning_content": "Hm."},
            ),
            {"reasoning": "Hm."},
        ),
    ],
)
def test_a_broken_call_that_nobody_answered_stays_at_home(
    message: AIMessage, kept: dict[str, str]
) -> None:
    wire, _ = to_wire([message, HumanMessage("So?")], model=GPT)

    assert wire == {"role": "assistant", **kept}


def test_a_broken_call_that_was_answered_goes_back_with_its_answer() -> None:
    message = AIMessage("", tool_calls=[call("g", "b")], invalid_tool_calls=[BROKEN])

    assert ids_of(message, answer("a"), answer("b")) == ["b", "a", "b", "a"]
    assert ids_of(message, answer("b")) == ["b", "b"]


def test_order_is_left_alone_where_it_does_not_matter() -> None:
    wire = to_wire([answer("a"), CALLS], model=GPT, ordered=False)

    assert [each["role"] for each in wire] == ["tool", "assistant"]


def test_messages_are_not_changed() -> None:
    messages = [
        HumanMessage([{"type": "text", "text": "x"}]),
        AIMessage(
            "call",
            tool_calls=[call("math.add", "a", x=[1])],
            additional_kwargs={"reasoning_content": "Hm."},
        ),
        answer("a"),
    ]
    before = copy.deepcopy(messages)

    to_wire(messages, model=GPT)

    assert messages == before
