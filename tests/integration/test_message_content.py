"""Messages with content that Cerebras has no form for, in every call style."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Reply, ToolCall
from tests.integration.call_styles import CallStyle, every_call_style
from tests.integration.helpers import create_model

QWEN = "qwen-3.8-27b"
PNG = "iVBORw0KGgo="
IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}
IMAGE_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
PDF = {"type": "file", "base64": "JVBERi0xLjc=", "mime_type": "application/pdf"}
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


def create_history(*contents: Any) -> list[BaseMessage]:
    """A question, a call for each content, and the tool messages with the contents."""
    calls = [
        {"name": "read", "args": {}, "id": str(index), "type": "tool_call"}
        for index in range(len(contents))
    ]
    results = [
        ToolMessage(content, tool_call_id=str(index)) for index, content in enumerate(contents)
    ]
    return [HumanMessage("Read it."), AIMessage("", tool_calls=calls), *results]


@every_call_style
@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ([{"type": "text", "text": "42"}, {"type": "text", "text": "17"}], "42\n17"),
        (
            [{"type": "file", "name": "a.txt", "size": 3}],
            '{"type":"file","name":"a.txt","size":3}',
        ),
        (
            [{"type": "file", "base64": "data:application/pdf;base64,JVBERi0xLjc="}],
            '{"type":"file","base64":"<application/pdf, 8 bytes>"}',
        ),
        (
            [{"type": "image", "url": "https://a"}],
            "[image left out: image, https://a. Cerebras accepts only PNG and JPEG data.]",
        ),
    ],
)
def test_tool_result_of_any_content_is_sent(
    content: Any, sent: str, call: CallStyle, server: Emulator
) -> None:
    history = [*create_history(content), AIMessage("I see."), HumanMessage("And?")]

    call(create_model(server, model=QWEN), history[:3])
    call(create_model(server, model=QWEN), history)

    assert [request.body["messages"][2]["content"] for request in server.requests] == [sent] * 2


@every_call_style
def test_image_of_a_tool_reaches_a_model_that_accepts_images(
    call: CallStyle, server: Emulator
) -> None:
    message = call(create_model(server, model=QWEN), create_history([IMAGE], "Ahoy"))

    sent = server.requests[0].body["messages"]
    assert [item["role"] for item in sent[2:]] == ["tool", "tool", "user"]
    assert "'read'" in sent[-1]["content"][0]["text"]
    assert sent[-1]["content"][1:] == [IMAGE_PART]
    assert message.usage_metadata["input_token_details"]["image"] == 400


@every_call_style
def test_image_of_a_tool_becomes_a_note_for_a_model_without_vision(
    call: CallStyle, server: Emulator
) -> None:
    call(create_model(server, model="gpt-oss-120b"), create_history([IMAGE]))

    [*_, tool_message] = server.requests[0].body["messages"]
    assert "image/png, 8 bytes" in tool_message["content"]


@every_call_style
def test_file_in_a_prompt_is_rejected_only_while_it_is_the_newest_message(
    call: CallStyle, model: ChatCerebrasInference, server: Emulator
) -> None:
    prompt = HumanMessage(["Read it.", PDF])

    with pytest.raises(ValueError, match=r"^messages\[0\] \(human\): content\[1\] is a 'file'"):
        call(model, [prompt])
    assert not server.requests
    call(model, [prompt, HumanMessage("Never mind.")])

    sent = server.requests[0].body["messages"][0]["content"]
    assert sent.startswith("Read it.\n[file left out: application/pdf, 8 bytes.")


@every_call_style
def test_interrupted_tool_call_is_sent_with_a_tool_message_that_says_so(
    call: CallStyle,
    model: ChatCerebrasInference,
    server: Emulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    question, calls, answer, _ = create_history("12", "unused")

    call(model, [question, calls, answer, HumanMessage("And?")])

    sent = server.requests[0].body["messages"]
    assert [item["role"] for item in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert sent[3]["content"] == "This tool call was interrupted. It has no result."
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.args for record in warnings] == [("messages[1] 'read' (id '1')",)]


@tool
def read() -> list[dict[str, Any]]:
    """Read a file."""
    return [{"type": "file", "name": "a.txt", "size": 3}, IMAGE]


@pytest.mark.parametrize("model_name", ["gpt-oss-120b", QWEN])
async def test_checkpointed_tool_result_does_not_make_later_turns_fail(
    model_name: str, server: Emulator
) -> None:
    server.script(Reply(tool_calls=[ToolCall("read", {}, id="a")]))
    agent = create_agent(
        create_model(server, model=model_name), [read], checkpointer=InMemorySaver()
    )

    for text in ("Read it.", "And?", "So?"):
        state = await agent.ainvoke({"messages": [HumanMessage(text)]}, THREAD)

    assert isinstance(state["messages"][-1], AIMessage)
    assert len(server.requests) == 4


async def test_rejected_prompt_in_a_checkpoint_does_not_make_later_turns_fail(
    model: ChatCerebrasInference,
) -> None:
    agent = create_agent(model, [read], checkpointer=InMemorySaver())

    with pytest.raises(ValueError, match="is a 'file' block"):
        await agent.ainvoke({"messages": [HumanMessage(["Read it.", PDF])]}, THREAD)
    state = await agent.ainvoke({"messages": [HumanMessage("Never mind.")]}, THREAD)

    assert isinstance(state["messages"][-1], AIMessage)


async def test_cancelled_tool_does_not_make_later_turns_fail(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    @tool
    def stop() -> str:
        """Stop the program."""
        raise KeyboardInterrupt

    server.script(Reply(tool_calls=[ToolCall("stop", {}, id="a")]))
    agent = create_agent(model, [stop], checkpointer=InMemorySaver())

    with pytest.raises(KeyboardInterrupt):
        agent.invoke({"messages": [HumanMessage("Go.")]}, THREAD)
    state = agent.invoke({"messages": [HumanMessage("Go on.")]}, THREAD)

    assert isinstance(state["messages"][-1], AIMessage)
