"""Conversations of all kinds become a request that Cerebras accepts, or a clear error."""

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
    trim_messages,
)

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference._conversion.request_body import build_request
from langchain_cerebras_inference.emulator.checks import check_request

GPT, QWEN = "gpt-oss-120b", "qwen-3.8-27b"
PNG = "iVBORw0KGgo="
CLEAR_ERROR = re.compile(r"messages\[\d+\] \(\w+\): |There are no messages")


def build_body(messages: list[BaseMessage], model: str = GPT, **settings: Any) -> Any:
    """Build the body of a request, and decode it from JSON like the server."""
    chat_model = ChatCerebrasInference(model=model, api_key="test", **settings)
    request = build_request(chat_model.__dict__, messages, {}, stream=False)
    return json.loads(json.dumps(request.body))


# --- messages of other providers' classes ------------------------------------------------


CALL = {"name": "search", "args": {"q": "x"}, "id": "toolu_1", "type": "tool_call"}
QUESTION = HumanMessage("Is it?")
RESULT = ToolMessage("It is.", tool_call_id="toolu_1", name="search")

MESSAGES: dict[str, BaseMessage] = {
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
    "Anthropic with server tools": AIMessage(
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
    "OpenAI Responses API": AIMessage(
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
    "OpenAI Responses API, version 0": AIMessage(
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
    "LangChain content version 1": AIMessage(
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
    "chunk of a stream": AIMessageChunk(
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
    "this package, content version 1": AIMessage(
        [
            {"type": "reasoning", "reasoning": "Let me see.", "index": "lc_rs_0"},
            {"type": "text", "text": "I look.", "index": "lc_txt_0"},
            {"type": "tool_call", "id": "toolu_1", "name": "search", "args": {"q": "x"}},
        ],
        tool_calls=[CALL],
        additional_kwargs={"reasoning_content": "Let me see."},
    ),
}


@pytest.mark.parametrize("provider", MESSAGES)
@pytest.mark.parametrize("model", [GPT, QWEN])
def test_assistant_message_of_every_provider_is_converted(provider: str, model: str) -> None:
    body = build_body([QUESTION, MESSAGES[provider], RESULT], model)

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


@pytest.mark.parametrize("provider", MESSAGES)
def test_reasoning_of_every_provider_is_left_out_if_not_replayed(provider: str) -> None:
    body = build_body([QUESTION, MESSAGES[provider], RESULT], replay_reasoning=False)

    check_request(body)
    assert body["messages"][1].keys() == {"role", "content", "tool_calls"}


@pytest.mark.parametrize("block_type", ["image", "image_url", "audio", "video", "file"])
@pytest.mark.parametrize("model", [GPT, QWEN])
def test_media_in_an_assistant_message_is_sent_or_described(
    block_type: str, model: str
) -> None:
    block = {"type": block_type, "base64": PNG, "mime_type": "image/png"}
    content: Any = [{"type": "text", "text": "Look:"}, block]

    body = build_body([QUESTION, AIMessage(content), QUESTION], model)

    check_request(body)
    assert body["messages"][1]["content"].startswith("Look:\n[image ")
    assert len(body["messages"]) == (4 if model == QWEN else 3)


@pytest.mark.parametrize(
    ("model", "profile", "is_sent"),
    [
        (QWEN, None, True),
        (GPT, None, False),
        ("my-own", None, False),
        ("my-own", {"image_inputs": True}, True),
        (QWEN, {"image_inputs": False}, False),
        (QWEN, {"tool_calling": True}, True),
    ],
)
def test_profile_or_catalog_decides_whether_images_of_tools_are_sent(
    model: str, profile: Any, is_sent: bool
) -> None:
    result = ToolMessage(
        [{"type": "image", "base64": PNG, "mime_type": "image/png"}], tool_call_id="toolu_1"
    )

    body = build_body(
        [QUESTION, AIMessage("", tool_calls=[CALL]), result], model, profile=profile
    )

    assert (body["messages"][-1]["role"] == "user") == is_sent


def test_empty_conversation_is_rejected() -> None:
    with pytest.raises(ValueError, match="There are no messages"):
        build_body([])


# --- conversations of any kind -----------------------------------------------------------


texts = st.text(max_size=8) | st.just("<think>So.</think>Yes.")
names = st.sampled_from(["f", "math.add", "é", "", "f" * 80])
ids = st.sampled_from(["a", "b", "call_0", "toolu_1"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(texts, json_values, max_size=2)
valid_calls = st.fixed_dictionaries(
    {
        "name": names,
        "args": arguments,
        "id": ids | st.none() | st.just(""),
        "type": st.just("tool_call"),
    }
)
invalid_calls = st.fixed_dictionaries(
    {
        "name": names | st.none(),
        "args": texts | st.none() | st.just('{"x": "ha'),
        "id": ids | st.none(),
        "error": texts | st.none(),
        "type": st.just("invalid_tool_call"),
    }
)


def build_blocks(block_type: str, **keys: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Blocks with some of the keys, and some that blocks of any type may have."""
    common = {"cache_control": st.just({"type": "ephemeral"}), "id": texts, "index": st.just(0)}
    return st.fixed_dictionaries({"type": st.just(block_type)}, optional={**keys, **common})


text_blocks = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
image_data = st.just(PNG) | st.sampled_from(["R0lGOD==", "no base64"])
image_urls = st.sampled_from(
    [f"data:image/png;base64,{PNG}", f"data:image/jpg;base64,{PNG}", "https://example.com/a"]
) | image_data.map("data:image/jpeg;base64,{}".format)
image_sources = st.fixed_dictionaries(
    {}, optional={"media_type": st.sampled_from(["image/png", "image/gif"]), "data": image_data}
)
image_blocks = build_blocks(
    "image",
    base64=image_data,
    url=image_urls,
    mime_type=st.sampled_from(["image/png", "image/jpeg", "image/jpg", "image/webp"]),
    source=image_sources,
    file_id=texts,
    data=image_data,
) | build_blocks(
    "image_url",
    image_url=image_urls
    | st.fixed_dictionaries({"url": image_urls}, optional={"detail": texts}),
)
reasoning_blocks = (
    build_blocks(
        "reasoning", reasoning=texts, summary=st.lists(text_blocks, max_size=2), content=texts
    )
    | build_blocks("thinking", thinking=texts, signature=texts)
    | build_blocks("redacted_thinking", data=texts)
    | build_blocks("reasoning_content", reasoning_content=texts | text_blocks)
)
call_blocks = (
    build_blocks("tool_use", name=names, input=arguments)
    | build_blocks("tool_call", name=names, args=arguments)
    | build_blocks("function_call", name=names, arguments=texts, call_id=ids)
    | build_blocks("invalid_tool_call", name=names, args=texts)
)
media_blocks = (
    build_blocks("audio", base64=texts)
    | build_blocks("input_audio", input_audio=arguments)
    | build_blocks("video", url=texts)
    | build_blocks("file", file_id=texts, file=arguments)
    | build_blocks("document", source=image_sources)
    | build_blocks("text-plain", text=texts, base64=texts)
)
server_blocks = (
    build_blocks("non_standard", value=arguments)
    | build_blocks("server_tool_call", name=names, args=arguments)
    | build_blocks("refusal", refusal=texts)
    | build_blocks("web_search_call", status=texts)
    | build_blocks("tool_result", tool_use_id=ids, content=texts | st.lists(image_blocks))
    | build_blocks("search_result", title=texts, source=texts, content=st.lists(text_blocks))
    | build_blocks("resource", resource=arguments)
    | build_blocks("json", json=json_values, value=st.binary())
    | arguments
)
any_blocks = (
    texts
    | text_blocks
    | build_blocks("text", text=texts)
    | image_blocks
    | reasoning_blocks
    | call_blocks
    | media_blocks
)
contents = texts | st.lists(any_blocks | server_blocks, max_size=3)
additional_kwargs = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_content": texts | st.none() | arguments,
        "reasoning": texts | arguments | st.lists(reasoning_blocks, max_size=2),
        "refusal": texts | st.none(),
        "function_call": st.none(),
        "__openai_role__": st.just("developer"),
    },
)
optional_names = texts | st.none()


def build_messages(
    message_class: type[BaseMessage], **fields: Any
) -> st.SearchStrategy[BaseMessage]:
    """Messages with only these fields; hypothesis would infer more from the class."""
    return st.fixed_dictionaries(fields).map(lambda values: message_class(**values))


text_and_images = st.lists(text_blocks | image_blocks, min_size=1, max_size=2)
user_messages = build_messages(
    HumanMessage,
    content=contents | text_and_images,
    name=optional_names,
    additional_kwargs=additional_kwargs,
)
system_messages = build_messages(
    SystemMessage, content=contents, name=optional_names, additional_kwargs=additional_kwargs
)
assistant_messages = build_messages(
    AIMessage,
    content=contents,
    name=optional_names,
    additional_kwargs=additional_kwargs,
    tool_calls=st.lists(valid_calls, max_size=2),
    invalid_tool_calls=st.lists(invalid_calls, max_size=1),
)
tool_messages = build_messages(
    ToolMessage,
    content=contents,
    tool_call_id=ids | st.just(""),
    name=optional_names,
    artifact=st.just(object()),
    status=st.sampled_from(["success", "error"]),
)
roles = st.sampled_from(["user", "developer", "assistant", "tool", "pirate", ""])
other_messages = (
    build_messages(ChatMessage, content=contents, role=roles)
    | build_messages(FunctionMessage, content=texts, name=names)
    | build_messages(RemoveMessage, id=texts)
)
any_messages = (
    user_messages | system_messages | assistant_messages | tool_messages | other_messages
)


@settings(max_examples=200)
@given(
    messages=st.lists(any_messages, max_size=5) | st.lists(user_messages, max_size=2),
    replay_reasoning=st.booleans(),
)
def test_any_conversation_is_accepted_by_the_server_or_rejected_with_the_index(
    messages: list[BaseMessage], replay_reasoning: bool
) -> None:
    try:
        body = build_body(messages, QWEN, replay_reasoning=replay_reasoning)
    except ValueError as error:
        assert CLEAR_ERROR.match(str(error))  # noqa: PT017 # another outcome is fine, too
    else:
        check_request(body)


@settings(max_examples=200)
@given(messages=st.lists(any_messages, max_size=5), model=st.sampled_from([GPT, QWEN]))
def test_tokens_of_any_conversation_are_counted(
    messages: list[BaseMessage], model: str
) -> None:
    chat_model = ChatCerebrasInference(model=model, api_key="test")

    assert chat_model.get_num_tokens_from_messages(messages) > 0
    trim_messages(messages, max_tokens=100, token_counter=chat_model, strategy="last")


@settings(max_examples=200)
@given(content=contents | text_and_images, model=st.sampled_from([GPT, QWEN]))
def test_any_content_of_a_tool_or_an_assistant_is_accepted(content: Any, model: str) -> None:
    messages = [
        QUESTION,
        AIMessage(content, tool_calls=[CALL]),
        ToolMessage(content, tool_call_id="toolu_1"),
        HumanMessage(content),
        AIMessage("So."),
        QUESTION,
    ]

    check_request(build_body(messages, model))


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    """Turns in which every call is answered, in any order and with messages in between."""
    prompts = build_messages(HumanMessage, content=texts)
    prompts |= build_messages(SystemMessage, content=texts)
    assistant_turns = build_messages(
        AIMessage,
        content=texts | st.lists(text_blocks | reasoning_blocks | call_blocks, max_size=3),
        additional_kwargs=additional_kwargs,
        tool_calls=st.lists(valid_calls, max_size=3),
        invalid_tool_calls=st.lists(invalid_calls, max_size=1),
    )
    messages: list[BaseMessage] = []
    for _ in range(draw(st.integers(1, 3))):
        messages += draw(st.lists(prompts, min_size=1, max_size=2))
        turn = draw(assistant_turns)
        assert isinstance(turn, AIMessage)
        answers = [
            ToolMessage(draw(texts), tool_call_id=call["id"] or "") for call in turn.tool_calls
        ]
        between = draw(st.lists(build_messages(HumanMessage, content=texts), max_size=1))
        messages += [turn, *draw(st.permutations([*answers, *between]))]
    return messages


@settings(max_examples=150)
@given(messages=conversations(), model=st.sampled_from([GPT, QWEN]))
def test_conversation_with_a_tool_message_for_every_call_is_accepted(
    messages: list[BaseMessage], model: str
) -> None:
    body = build_body(messages, model)

    check_request(body)
    roles_sent = [message["role"] for message in body["messages"]]
    calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    others = [message for message in messages if not isinstance(message, ToolMessage)]
    assert roles_sent.count("tool") == len(calls)
    assert len(roles_sent) == len(others) + len(calls)


@settings(max_examples=50)
@given(turns=st.lists(conversations(), min_size=2, max_size=3))
def test_longer_conversation_begins_with_the_same_bytes(
    turns: list[list[BaseMessage]],
) -> None:
    shorter = build_body(turns[0])["messages"]
    longer = build_body([message for turn in turns for message in turn])["messages"]

    assert longer[: len(shorter)] == shorter
