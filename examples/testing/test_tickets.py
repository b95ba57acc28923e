"""Tests of tickets.py. They need neither a key nor a network: pytest examples/testing."""

import pytest
from tickets import Ticket, answer, classify, stream_summary

from langchain_cerebras_inference import CerebrasConnectionError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import (
    Cut,
    Emulator,
    Refuse,
    Reply,
    Request,
    ToolCall,
)


def test_letter_is_classified(cerebras_emulator: Emulator) -> None:
    cerebras_emulator.script(Reply('{"topic": "order", "order": 17}'))

    assert classify("Where is my order 17?") == Ticket(topic="order", order=17)


def test_topic_is_other_while_the_service_is_too_busy(cerebras_emulator: Emulator) -> None:
    cerebras_emulator.always(Refuse(429))

    assert classify("Where is my order 17?").topic == "other"
    assert classify("Where is my order 18?").topic == "other"


def test_agent_finds_the_order(cerebras_emulator: Emulator) -> None:
    cerebras_emulator.script(
        Reply(tool_calls=[ToolCall("find_order", {"number": 17})]),
        Reply("It will be with you soon."),
    )

    assert answer("Where is my order 17?") == "It will be with you soon."

    last_message = cerebras_emulator.requests[-1].body["messages"][-1]
    assert last_message["role"] == "tool"
    assert last_message["content"] == "Order 17 is on its way."


def test_temporary_error_is_retried(cerebras_emulator: Emulator) -> None:
    cerebras_emulator.script(Refuse(503), Reply("It is on its way."))

    assert answer("Where is my order 17?") == "It is on its way."
    assert [request.status for request in cerebras_emulator.requests] == [503, 200]


def test_truncated_stream_is_an_error(cerebras_emulator: Emulator) -> None:
    cerebras_emulator.script(Cut(after=3, reply=Reply("The customer waits for an order.")))

    with pytest.raises(CerebrasConnectionError):
        list(stream_summary("Where is my order?"))


def test_completion_can_depend_on_the_request(cerebras_emulator: Emulator) -> None:
    def reply(request: Request) -> Reply:
        return Reply(request.body["messages"][-1]["content"].upper())

    cerebras_emulator.always(reply)

    assert "".join(stream_summary("Help!")) == "SUMMARIZE IN ONE SENTENCE: HELP!"


def test_model_fixture_is_ready_to_use(
    chat_cerebras_inference: ChatCerebrasInference, cerebras_emulator: Emulator
) -> None:
    message = chat_cerebras_inference.invoke("Hello!")

    assert "Hello!" in message.text
    assert len(cerebras_emulator.requests) == 1
