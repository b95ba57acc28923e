"""Histories of all kinds → a request Cerebras takes, or a refusal in words before it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.request_body import to_request
from langchain_cerebras_inference.emulator.validation import check_request

GPT, QWEN = "gpt-oss-120b", "qwen-3.8-27b"
PNG = "iVBORw0KGgo="
NAMED = re.compile(r"messages\[\d+\] \(\w+\)|there is no message")


def body_of(messages: list[BaseMessage], model: str = GPT, **fields: Any) -> Any:
    """What would be sent, having been through JSON as it will be."""
    chat = ChatCerebrasInference(model=model, api_key="test", **fields)
    settings = {**chat._settings(), "timeout": 1, "max_retries": 0, "coalesce": False}
    return json.loads(json.dumps(to_request(settings, messages, {}, stream=False).payload))


# --- histories of other classes ----------------------------------------------------------


CALL = {"name": "search", "args": {"q": "x"}, "id": "toolu_1", "type": "tool_call"}
ASKED = HumanMessage("Is it?")
FOUND = ToolMessage("It is.", tool_call_id="toolu_1", name="search")

FOREIGN = {
    "Anthropic": AIMessage(
        [
            {"type": "thinking", "thinking": "Let me see.", "signature": "Ep0B"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "I look.", "cache_control": {"type": "ephemeral"}},
            {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "x"}},
        ],
        tool_calls=[CALL],
        response_metadata={"model_provider": "anthropic", "stop_reason": "tool_use"},
    ),
    "Anthropic's server tools": AIMessage(
        [
            {"type": "thinking", "thinking": "Let me see.", "signature": "Ep0B"},
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
            {"type": "text", "text": "I look.", "citations": [{"type": "web", "url": "u"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "x"}},
        ],
        tool_calls=[CALL],
    ),
    "DeepSeek": AIMessage(
        "I look.",
        tool_calls=[CALL],
        additional_kwargs={"reasoning_content": "Let me see.", "refusal": None},
    ),
    "Groq": AIMessage(
        "I look.",
        additional_kwargs={
            "reasoning_content": "Let me see.",
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "type": "function",
                    "function": {"name": "search", "arguments": '{"q":"x"}'},
                }
            ],
        },
    ),
    "ChatCerebras": AIMessage(
        [
            {"type": "reasoning_content", "reasoning_content": {"text": "Let me see."}},
            {"type": "text", "text": "I look."},
        ],
        tool_calls=[CALL],
    ),
    "Mistral": AIMessage(
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]},
            {"type": "text", "text": "I look."},
            {"type": "text", "text": None},
        ],
        tool_calls=[CALL],
    ),
    "Bedrock": AIMessage(
        [
            {"type": "reasoning_content", "reasoning_content": {"text": "Let me see."}},
            {"text": "I look."},
            {"toolUse": {"toolUseId": "toolu_1", "name": "search", "input": {"q": "x"}}},
            {"cachePoint": {"type": "default"}},
        ],
        tool_calls=[CALL],
    ),
    "OpenAI's responses": AIMessage(
        [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Let me see."}],
                "encrypted_content": "gAAA",
            },
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "text", "text": "I look.", "annotations": [], "id": "msg_1"},
            {"type": "function_call", "name": "search", "call_id": "toolu_1", "id": "fc_1"},
        ],
        tool_calls=[CALL],
    ),
    "OpenAI's responses, version 0": AIMessage(
        [{"type": "text", "text": "I look.", "annotations": []}],
        tool_calls=[CALL],
        additional_kwargs={
            "reasoning": {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "Let me see."}],
            },
            "tool_outputs": [{"type": "web_search_call", "id": "ws_1"}],
            "__openai_function_call_ids__": {"toolu_1": "fc_1"},
        },
    ),
    "version 1": AIMessage(
        content_blocks=[
            {"type": "reasoning", "reasoning": "Let me see.", "extras": {"signature": "x"}},
            {"type": "server_tool_call", "id": "srv", "name": "web_search", "args": {}},
            {"type": "server_tool_result", "tool_call_id": "srv", "status": "success"},
            {"type": "non_standard", "value": {"type": "compaction"}},
            {"type": "text", "text": "I look.", "annotations": []},
            {"type": "tool_call", "id": "toolu_1", "name": "search", "args": {"q": "x"}},
        ],
        response_metadata={"output_version": "v1", "model_provider": "openai"},
    ),
    "a stream": AIMessageChunk(
        content=[
            {"type": "thinking", "thinking": "Let me see.", "index": 0},
            {"type": "text", "text": "I look.", "index": 1},
        ],
        tool_call_chunks=[
            {
                "type": "tool_call_chunk",
                "id": "toolu_1",
                "name": "search",
                "args": '{"q":"x"}',
                "index": 2,
            }
        ],
    ),
    "our own, version 1": AIMessage(
        [
            {"type": "reasoning", "reasoning": "Let me see.", "index": "lc_rs_0"},
            {"type": "text", "text": "I look.", "index": "lc_txt_0"},
            {"type": "tool_call", "id": "toolu_1", "name": "search", "args": {"q": "x"}},
        ],
        tool_calls=[CALL],
        additional_kwargs={"reasoning_content": "Let me see."},
    ),
}


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("model", [GPT, QWEN])
def test_a_turn_another_class_wrote_is_said_in_cerebras_words(origin: str, model: str) -> None:
    body = body_of([ASKED, FOREIGN[origin], FOUND], model)

    check_request(body)
    assert body["messages"][1] == {
        "role": "assistant",
        "reasoning": "Let me see.",
        "content": "I look.",
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "search", "arguments": '{"q":"x"}'},
            }
        ],
    }


@pytest.mark.parametrize("origin", FOREIGN)
def test_its_thoughts_stay_at_home_if_they_are_told_to(origin: str) -> None:
    body = body_of([ASKED, FOREIGN[origin], FOUND], replay_reasoning=False)

    check_request(body)
    assert body["messages"][1].keys() == {"role", "content", "tool_calls"}


@pytest.mark.parametrize("kind", ["image", "image_url", "audio", "video", "file"])
def test_what_a_reader_would_miss_of_a_turn_is_refused(kind: str) -> None:
    turn = AIMessage([{"type": "text", "text": "Look:"}, {"type": kind, "base64": PNG}])

    with pytest.raises(
        ValueError, match=rf"^messages\[1\] \(ai\): content\[1\] is a '{kind}' block"
    ):
        body_of([ASKED, turn])


def test_no_history_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no message"):
        body_of([])


# --- histories of any kind ---------------------------------------------------------------


texts = st.text(max_size=8) | st.just("<think>So.</think>Yes.")
names = st.sampled_from(["f", "math.add", "é", "", "f" * 80])
ids = st.sampled_from(["a", "b", "call_0", "toolu_1"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(texts, json_values, max_size=2)
wanted = st.fixed_dictionaries(
    {
        "name": names,
        "args": arguments,
        "id": ids | st.none() | st.just(""),
        "type": st.just("tool_call"),
    }
)
broken = st.fixed_dictionaries(
    {
        "name": names | st.none(),
        "args": texts | st.none() | st.just('{"x": "ha'),
        "id": ids | st.none(),
        "error": texts | st.none(),
        "type": st.just("invalid_tool_call"),
    }
)


def block(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A block with some of its fields, and with what a block of its kind may not have."""
    odd = {"cache_control": st.just({"type": "ephemeral"}), "id": texts, "index": st.just(0)}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional={**fields, **odd})


written = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
encoded = st.just(PNG) | st.sampled_from(["R0lGOD==", "no base64"])
urls = st.sampled_from(
    [f"data:image/png;base64,{PNG}", f"data:image/jpg;base64,{PNG}", "https://example.com/a"]
) | encoded.map("data:image/jpeg;base64,{}".format)
sources = st.fixed_dictionaries(
    {}, optional={"media_type": st.sampled_from(["image/png", "image/gif"]), "data": encoded}
)
images = block(
    "image",
    base64=encoded,
    url=urls,
    mime_type=st.sampled_from(["image/png", "image/jpeg", "image/jpg", "image/webp"]),
    source=sources,
    file_id=texts,
    data=encoded,
) | block(
    "image_url",
    image_url=urls | st.fixed_dictionaries({"url": urls}, optional={"detail": texts}),
)
thoughts = (
    block("reasoning", reasoning=texts, summary=st.lists(written, max_size=2), content=texts)
    | block("thinking", thinking=texts, signature=texts)
    | block("redacted_thinking", data=texts)
    | block("reasoning_content", reasoning_content=texts | written)
)
calling = (
    block("tool_use", name=names, input=arguments)
    | block("tool_call", name=names, args=arguments)
    | block("function_call", name=names, arguments=texts, call_id=ids)
    | block("invalid_tool_call", name=names, args=texts)
)
media = (
    block("audio", base64=texts)
    | block("input_audio", input_audio=arguments)
    | block("video", url=texts)
    | block("file", file_id=texts, file=arguments)
    | block("document", source=sources)
    | block("text-plain", text=texts, base64=texts)
)
machinery = (
    block("non_standard", value=arguments)
    | block("server_tool_call", name=names, args=arguments)
    | block("refusal", refusal=texts)
    | block("web_search_call", status=texts)
    | arguments
)
blocks = texts | written | block("text", text=texts) | images | thoughts | calling | media
contents = texts | st.lists(blocks | machinery, max_size=3)
kwargs = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": texts | st.none() | arguments,
        "reasoning": texts | arguments | st.lists(thoughts, max_size=2),
        "refusal": texts | st.none(),
        "function_call": st.none(),
        "__openai_role__": st.just("developer"),
    },
)
named = texts | st.none()


def made(kind: type[BaseMessage], **fields: Any) -> st.SearchStrategy[BaseMessage]:
    """Messages of a kind, without what hypothesis would infer from its types."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


sights = st.lists(written | images, min_size=1, max_size=2)
humans = made(HumanMessage, content=contents | sights, name=named, additional_kwargs=kwargs)
systems = made(SystemMessage, content=contents, name=named, additional_kwargs=kwargs)
assistants = made(
    AIMessage,
    content=contents,
    name=named,
    additional_kwargs=kwargs,
    tool_calls=st.lists(wanted, max_size=2),
    invalid_tool_calls=st.lists(broken, max_size=1),
)
tools = made(
    ToolMessage,
    content=contents,
    tool_call_id=ids | st.just(""),
    name=named,
    artifact=st.just(object()),
    status=st.sampled_from(["success", "error"]),
)
roles = st.sampled_from(["user", "developer", "assistant", "tool", "pirate", ""])
others = (
    made(ChatMessage, content=contents, role=roles)
    | made(FunctionMessage, content=texts, name=names)
    | made(RemoveMessage, id=texts)
)
messages = humans | systems | assistants | tools | others


@settings(max_examples=200)
@given(
    history=st.lists(messages, max_size=5) | st.lists(humans, max_size=2),
    replays=st.booleans(),
)
def test_any_history_is_taken_by_the_server_or_refused_by_name(
    history: list[BaseMessage], replays: bool
) -> None:
    try:
        body = body_of(history, QWEN, replay_reasoning=replays)
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
        check_request(body)

    assert not refused or NAMED.match(refused)


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    """Turns in which every call is answered, in any order, with something between."""
    history: list[BaseMessage] = []
    for _ in range(draw(st.integers(1, 3))):
        spoken = made(HumanMessage, content=texts) | made(SystemMessage, content=texts)
        asked = draw(st.lists(spoken, min_size=1, max_size=2))
        said = {
            "content": texts | st.lists(written | thoughts | calling, max_size=3),
            "additional_kwargs": kwargs,
            "tool_calls": st.lists(wanted, max_size=3),
            "invalid_tool_calls": st.lists(broken, max_size=1),
        }
        turn = draw(made(AIMessage, **said))
        assert isinstance(turn, AIMessage)
        answers = [
            ToolMessage(draw(texts), tool_call_id=call["id"] or "") for call in turn.tool_calls
        ]
        between = draw(st.lists(made(HumanMessage, content=texts), max_size=1))
        history += [*asked, turn, *draw(st.permutations([*answers, *between]))]
    return history


@settings(max_examples=150)
@given(history=conversations(), model=st.sampled_from([GPT, QWEN]))
def test_a_conversation_in_which_every_call_is_answered_is_taken(
    history: list[BaseMessage], model: str
) -> None:
    body = body_of(history, model)

    check_request(body)
    sent = [each["role"] for each in body["messages"]]
    assert len(sent) == len(history)
    assert sent.count("tool") == sum(isinstance(each, ToolMessage) for each in history)


@settings(max_examples=50)
@given(turns=st.lists(conversations(), min_size=2, max_size=3))
def test_a_conversation_that_goes_on_begins_with_the_same_bytes(
    turns: list[list[BaseMessage]],
) -> None:
    shorter = body_of(turns[0])["messages"]
    longer = body_of([message for turn in turns for message in turn])["messages"]

    assert longer[: len(shorter)] == shorter
