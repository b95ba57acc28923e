"""Convert LangChain messages to the messages of a request.

Cerebras rejects a request that contains even one unknown field. The field for earlier reasoning
is `reasoning`, never `reasoning_content`. The messages may also have been created by classes of
other providers.
Source: https://inference-docs.cerebras.ai/api-reference/chat-completions
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_cerebras_inference import _model_catalog, _surrogates
from langchain_cerebras_inference._conversion import (
    content,
    json_text,
    tool_arguments,
    tool_messages,
    tools,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_cerebras_inference import _types

_ROLES: Mapping[str, _types.Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
"""Maps roles of `ChatMessage` to roles of Cerebras."""

_PARAGRAPH_KEYS = frozenset({"id", "index", "signature", "summary"})
"""A reasoning block with one of these keys is a whole one, not a fragment of a stream."""

_REASONING_KEYS = ("reasoning", "thinking", "reasoning_content", "text", "summary", "content")
"""Keys of a reasoning block whose value may be its text, or a list of parts with text."""


def convert_messages(
    messages: Sequence[BaseMessage],
    *,
    model: str,
    accepts_images: bool | None = None,
    replay_reasoning: bool = True,
    for_counting: bool = False,
) -> list[_types.Message]:
    """Convert messages to those of a request.

    Args:
        messages: The conversation; it is not changed.
        model: The id of the model. Roles and the field for reasoning depend on it.
        accepts_images: Whether the model accepts images; `None` if this is unknown.
        replay_reasoning: Whether to send earlier reasoning.
        for_counting: Whether the messages are only counted. Then nothing is rejected, and tool
            messages stay where they are.

    Raises:
        ValueError: If a message cannot be sent to Cerebras; the error names its index.
    """
    converter = _Converter(messages, model, accepts_images, replay_reasoning, for_counting)
    converted: list[_types.Message] = []
    has_tool_calls = False
    for index, message in enumerate(messages):
        try:
            try:
                item = converter.convert(index, message)
            except RecursionError:  # JSON text shortens what is nested too deeply
                text = json_text.build_json_text(message.content)
                item = converter.convert(index, message.model_copy(update={"content": text}))
        except ValueError as error:
            if not for_counting:
                raise ValueError(f"messages[{index}] ({message.type}): {error}") from None
            item = _convert_for_counting(message)
        if item["role"] == "tool" or "tool_calls" in item:
            has_tool_calls = True
        converted.append(item)
    if has_tool_calls or converter.has_images:
        converted = converter.arrange(converted)
    if converter.has_images:
        tool_messages.limit_images(converted, converter.new_content)
    return converted


def extract_reasoning(message: AIMessage) -> str:
    """Return the reasoning in a message, in whichever field the provider's class stored it."""
    fields = message.additional_kwargs
    reasoning = fields.get("reasoning_content") or fields.get("reasoning")
    if isinstance(reasoning, (str, dict, list)):
        return _join_reasoning(reasoning)
    if not isinstance(message.content, list):
        return ""
    return _join_reasoning_blocks(
        block
        for block in message.content
        if isinstance(block, dict) and str(block.get("type")) in content.REASONING_TYPES
    )


class _Converter:
    """The conversion of the messages of one request.

    Attributes:
        has_images: Whether a converted message has images.
        new_content: The content of the new user message, if it has images.
    """

    def __init__(
        self,
        messages: Sequence[BaseMessage],
        model: str,
        accepts_images: bool | None,
        replay_reasoning: bool,
        for_counting: bool,
    ) -> None:
        self._messages = messages
        self._model = model
        self._accepts_images = accepts_images
        self._replay_reasoning = replay_reasoning
        self._for_counting = for_counting
        # The URLs of the images that follow a converted message, by the id of its object.
        self._image_urls: dict[int, list[str]] = {}
        # Tool messages made from the blocks of a user message, by the index of that message.
        self._tool_messages: dict[int, list[_types.Message]] = {}
        # These are filled when the first user message with tool results needs them:
        self._call_ids: set[Any] = set()  # of the calls before `_call_ids_end`
        self._call_ids_end = 0  # the index of a message
        self._answered_ids: set[str] = set()  # of the calls that have a tool message
        self.has_images = False
        self.new_content: list[dict[str, Any]] | None = None

    def convert(self, index: int, message: BaseMessage) -> _types.Message:
        """Convert one message.

        Raises:
            ValueError: If the message cannot be sent to Cerebras.
        """
        if isinstance(message, AIMessage):
            return self._convert_assistant_message(message)
        if isinstance(message, ToolMessage):
            return self._convert_tool_message(message.content, message.tool_call_id)
        if isinstance(message, HumanMessage):
            role: _types.Role = "user"
        else:
            role = _get_role(message, self._model)
        value: Any = message.content
        if not isinstance(value, str):
            value = self._convert_content(value, role, index)
        converted: _types.Message = {"role": role, "content": value}
        if message.name:
            converted["name"] = message.name
        return converted

    def _convert_content(
        self, value: Any, role: _types.Role, index: int
    ) -> str | list[dict[str, Any]]:
        if role == "assistant":
            return content.convert_assistant_content(value).text
        if role != "user":
            return content.convert_system_content(
                value, is_new=index >= self._new_system_messages_start
            )
        if blocks := content.find_tool_results(value):
            value = self._take_tool_results(value, blocks, index)
        is_new = index >= self._new_user_messages_start
        converted = content.convert_user_content(
            value, is_new=is_new, accepts_images=self._accepts_images
        )
        if isinstance(converted, list):
            self.has_images = True
            if is_new:
                self.new_content = converted
        return converted

    @cached_property
    def _new_user_messages_start(self) -> int:
        """The index from which user messages are new: only system messages follow it.

        It is the index of the last message, of whatever role, that is not a system message. In
        a token count, no message is new.
        """
        count = len(self._messages)
        return count if self._for_counting else self._find_last_non_system_message(count)

    @cached_property
    def _new_system_messages_start(self) -> int:
        """The index from which system messages are new.

        Only system messages and at most one user message follow it. Examples: In system,
        user, the first message is new. In user, assistant, system, user, the third one is new.
        """
        last = self._new_user_messages_start
        if self._for_counting or isinstance(self._messages[last], (AIMessage, ToolMessage)):
            return last
        return self._find_last_non_system_message(last)

    def _find_last_non_system_message(self, end: int) -> int:
        """Return the index of the last message before `end` that is not a system message.

        If there is none, return 0.
        """
        for index in reversed(range(end)):
            if not _is_system_message(self._messages[index]):
                return index
        return 0

    def _take_tool_results(
        self, value: Any, blocks: list[tuple[int, Mapping[str, Any]]], index: int
    ) -> list[Any]:
        """Make tool messages of the tool results in a user message, as Anthropic has them.

        Returns:
            The blocks of the message, with `None` in place of those results. A result without
            a call stays a block.
        """
        remaining_blocks = list(value)
        self._add_call_ids(index)
        open_ids = {block.get("tool_use_id") for _, block in blocks} & self._call_ids
        open_ids -= self._answered_ids
        for block_index, block in blocks:
            call_id = block.get("tool_use_id")
            if isinstance(call_id, str) and call_id in open_ids:
                open_ids.remove(call_id)
                tool_message = self._convert_tool_message(block.get("content"), call_id)
                self._tool_messages.setdefault(index, []).append(tool_message)
                remaining_blocks[block_index] = None
        return remaining_blocks

    def _add_call_ids(self, index: int) -> None:
        """List the ids of the calls before a message, and those that tool messages answer."""
        if not self._call_ids_end:
            self._answered_ids = {
                message.tool_call_id
                for message in self._messages
                if isinstance(message, ToolMessage)
            }
        self._call_ids |= _list_call_ids(self._messages[self._call_ids_end : index])
        self._call_ids_end = index

    def _convert_tool_message(self, value: Any, call_id: str) -> _types.Message:
        text: str
        if isinstance(value, str):
            return {"role": "tool", "content": value, "tool_call_id": call_id}
        text, image_urls = content.convert_tool_content(
            value, accepts_images=self._accepts_images
        )
        converted: _types.Message = {"role": "tool", "content": text, "tool_call_id": call_id}
        self._add_images(converted, image_urls)
        return converted

    def _convert_assistant_message(self, message: AIMessage) -> _types.Message:
        text: str
        image_urls: list[str] = []
        if isinstance(message.content, str):
            text = message.content
        else:
            text, image_urls = content.convert_assistant_content(
                message.content, accepts_images=self._accepts_images
            )
        reasoning = extract_reasoning(message) if self._replay_reasoning else ""
        tool_calls = _convert_tool_calls(message)
        converted: _types.Message = {"role": "assistant"}
        if reasoning and _model_catalog.get_replay_style(self._model) == "think":
            text = f"<think>{reasoning}</think>{text}"
        elif reasoning:
            converted["reasoning"] = reasoning
        if text or not (tool_calls or reasoning):
            converted["content"] = text
        if tool_calls:
            converted["tool_calls"] = tool_calls
        if message.name:
            converted["name"] = message.name
        self._add_images(converted, image_urls)
        return converted

    def _add_images(self, converted: _types.Message, image_urls: list[str]) -> None:
        """Let images follow a converted message, which cannot contain them itself."""
        if image_urls:
            self.has_images = True
            self._image_urls[id(converted)] = image_urls

    def arrange(self, converted: list[_types.Message]) -> list[_types.Message]:
        """Put tool messages and images after the messages that they belong to.

        Raises:
            ValueError: If a tool call or a tool message has no counterpart.
        """
        entries = self._list_entries(converted)
        arranger = tool_messages.Arranger(self._messages, self._image_urls)
        if self._for_counting:
            return arranger.add_image_messages(entries)
        return arranger.arrange(entries)

    def _list_entries(self, converted: list[_types.Message]) -> list[tool_messages.Entry]:
        """Return the messages of the request with the indices of the original messages."""
        if not self._tool_messages:
            return list(enumerate(converted))
        entries: list[tool_messages.Entry] = []
        for index, message in enumerate(converted):
            results = self._tool_messages.get(index, [])
            entries += [(index, result) for result in results]
            if not results or message.get("content"):
                entries.append((index, message))
        return entries


def _list_call_ids(messages: Sequence[BaseMessage]) -> set[Any]:
    """Return the ids of the tool calls that are sent."""
    calls: list[Mapping[str, Any]] = []
    for message in messages:
        if isinstance(message, AIMessage):
            calls += message.tool_calls
            calls += [call for call in message.invalid_tool_calls if call.get("name")]
    return {call.get("id") for call in calls}


def _is_system_message(message: BaseMessage) -> bool:
    is_system_role = getattr(message, "role", None) in ("system", "developer")
    return isinstance(message, SystemMessage) or is_system_role


def _convert_for_counting(message: BaseMessage) -> _types.Message:
    """Convert a message that is counted but cannot be sent."""
    values = [message.content, *getattr(message, "tool_calls", ())]
    return {"role": "user", "content": json_text.build_json_text(values)}


def _get_role(message: BaseMessage, model: str) -> _types.Role:
    if isinstance(message, SystemMessage):
        # langchain-openai marks developer messages like this.
        is_developer = message.additional_kwargs.get("__openai_role__") == "developer"
        role: _types.Role = "developer" if is_developer else "system"
    elif isinstance(message, ChatMessage) and message.role in _ROLES:
        role = _ROLES[message.role]
    else:
        unknown_role = getattr(message, "role", message.type)
        raise ValueError(
            f"Cerebras does not have the role {unknown_role!r}. Use system, user, assistant or"
            " tool messages."
        )
    if role == "developer" and not _model_catalog.accepts_developer_role(model):
        return "system"
    return role


def _join_reasoning_blocks(blocks: Iterable[dict[str, Any]]) -> str:
    """Join reasoning blocks, as paragraphs if they are more than fragments of a stream."""
    text = ""
    for block in blocks:
        addition = _join_reasoning(block)
        is_paragraph = not _PARAGRAPH_KEYS.isdisjoint(block)
        text += "\n\n" + addition if text and addition and is_paragraph else addition
    return text


def _join_reasoning(value: Any) -> str:
    """Join the text of a reasoning block, of a part of one, or of a list of parts."""
    if isinstance(value, list):
        return "".join(map(_join_reasoning, value))
    if isinstance(value, dict):
        for key in _REASONING_KEYS:
            item = value.get(key)
            if key == "summary" and isinstance(item, list):  # each part is a paragraph
                item = "\n\n".join(filter(None, map(_join_reasoning, item)))
            if item:
                return _join_reasoning(item)
        return ""
    return value if isinstance(value, str) else ""


def _convert_tool_calls(message: AIMessage) -> list[_types.ToolCall]:
    """Convert the valid tool calls, and after them the invalid ones that have a name."""
    converted = []
    for call in message.tool_calls:
        try:
            arguments = _surrogates.encode_json(call["args"], inf_nan_mode="null").decode()
        except ValueError:  # such as bytes, from another provider's class
            arguments = json_text.build_json_text(call["args"])
        converted.append(_convert_tool_call(call, arguments))
    for invalid_call in message.invalid_tool_calls:
        if invalid_call.get("name"):
            arguments = tool_arguments.remove_truncation_marker(invalid_call.get("args") or "")
            converted.append(_convert_tool_call(invalid_call, arguments))
    return converted


def _convert_tool_call(call: Mapping[str, Any], arguments: str) -> _types.ToolCall:
    name = tools.to_accepted_name(call.get("name") or "")
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": name, "arguments": arguments or "{}"},
    }
