"""Put tool messages and images directly after the messages that they belong to.

Cerebras requires a tool message for each call, directly after the message with the calls. It
accepts images only in user messages, and only a few of them. Therefore a user message with the
images of tools follows the tool messages.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage

from langchain_cerebras_inference._conversion import content, media, tool_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_cerebras_inference import _types

Entry: TypeAlias = "tuple[int, _types.Message]"
"""The index of an original message, and the message of the request that it became."""

_logger = logging.getLogger("langchain_cerebras_inference")

_INTERRUPTED = "This tool call was interrupted. It has no result."
_INVALID = "This tool call was not run, because its arguments are not valid: "
_MAX_QUOTED_ARGUMENTS = 500


class Arranger:
    """The order of the messages of one request.

    Args:
        originals: The messages from which those of the request were converted.
        image_urls: The images that belong to a message of the request, by the `id()` of that
            message.
    """

    def __init__(
        self, originals: Sequence[BaseMessage], image_urls: Mapping[int, list[str]]
    ) -> None:
        self._originals = originals
        self._image_urls = image_urls
        self._unanswered_calls: list[str] = []
        # The tool messages that answer calls, by the id of the call in the conversation.
        self._results: dict[str, _types.Message] = {}

    def arrange(self, entries: list[Entry]) -> list[_types.Message]:
        """Put tool messages and images directly after the calls and messages they belong to.

        Args:
            entries: The messages of a request. The list is emptied. Messages with tool calls
                and tool messages are changed: their ids become unique.

        Raises:
            ValueError: If a call has no tool message, unless it was interrupted, or if a tool
                message has no call.
        """
        arranged: list[_types.Message] = []
        used_ids: set[str] = set()
        while entries:
            index, message = entries.pop(0)
            pairs = []
            if message["role"] == "tool":
                self._add_to_result(message, index)
            else:
                arranged.append(message)
            if "tool_calls" in message:
                pairs = self._pair_calls_with_tool_messages(message, index, entries)
                _make_ids_unique(pairs, used_ids)
                arranged += [tool_message for _, tool_message in pairs]
            if self._image_urls:
                arranged += self._create_image_message(message, pairs)
        self._log_unanswered_calls()
        return arranged

    def add_image_messages(self, entries: list[Entry]) -> list[_types.Message]:
        """Put images after the messages that they belong to, and change nothing else."""
        arranged: list[_types.Message] = []
        for _, message in entries:
            arranged += [message, *self._create_image_message(message, [])]
        return arranged

    def _add_to_result(self, message: _types.Message, index: int) -> None:
        """Add another tool message for a call to the first one: Cerebras accepts only one.

        Raises:
            ValueError: If there is no such call.
        """
        result = self._results.get(message["tool_call_id"])
        if result is None:
            raise ValueError(
                f"messages[{index}] (tool): No earlier message has a tool call with the id"
                f" {message['tool_call_id']!r}. Remove this message, or restore the call. With"
                ' start_on="human", trim_messages keeps them together.'
            )
        if message["content"] != result["content"]:
            result["content"] = f"{result['content']}\n{message['content']}"

    def _pair_calls_with_tool_messages(
        self, message: _types.Message, index: int, entries: list[Entry]
    ) -> list[tuple[_types.ToolCall, _types.Message]]:
        """Remove from `entries` the tool messages for the calls of `message`.

        A call that was interrupted, because the user has written since, and an invalid call
        get a tool message that says so.

        Returns:
            Each call with its tool message.

        Raises:
            ValueError: If a valid call has no tool message.
        """
        pairs = []
        original = self._originals[index]
        # `_convert_tool_calls` puts the valid calls before the invalid ones.
        valid_count = len(original.tool_calls) if isinstance(original, AIMessage) else 0
        for position, call in enumerate(message["tool_calls"]):
            tool_message = _take_tool_message(call["id"], entries)
            if tool_message is None:
                name = f"{call['function']['name']!r} (id {call['id']!r})"
                is_interrupted = any(later["role"] == "user" for _, later in entries)
                if position < valid_count and not is_interrupted:
                    raise ValueError(
                        f"messages[{index}] (ai): No tool message answers the call of {name}."
                        " Add one."
                    )
                text = _INTERRUPTED if position < valid_count else _move_arguments_to_text(call)
                tool_message = {"role": "tool", "content": text, "tool_call_id": call["id"]}
                self._unanswered_calls.append(f"messages[{index}] {name}")
            elif position >= valid_count and not _has_valid_arguments(call):
                text = f"{_move_arguments_to_text(call)}\n{tool_message['content']}"
                tool_message["content"] = text
            self._results[call["id"]] = tool_message
            pairs.append((call, tool_message))
        return pairs

    def _create_image_message(
        self, message: _types.Message, pairs: list[tuple[_types.ToolCall, _types.Message]]
    ) -> list[_types.Message]:
        """Create a user message with the images of a message and of its tool messages.

        Returns:
            The user message, or an empty list if there are no images.
        """
        parts: list[dict[str, Any]] = []
        for number, url in enumerate(self._image_urls.get(id(message), ()), 1):
            label = f"Image {number} of the {message['role']} message:"
            parts += [content.create_text_part(label), content.create_image_part(url)]
        for call, tool_message in pairs:
            for number, url in enumerate(self._image_urls.get(id(tool_message), ()), 1):
                name = f"{call['function']['name']!r} (id {call['id']!r})"
                label = f"Image {number} of the result of the tool {name}:"
                parts += [content.create_text_part(label), content.create_image_part(url)]
        return [{"role": "user", "content": parts}] if parts else []

    def _log_unanswered_calls(self) -> None:
        if self._unanswered_calls:
            _logger.warning(
                "No tool message answers these tool calls: %s. The request has a tool message"
                " for each, which says that the call was interrupted or invalid.",
                ", ".join(self._unanswered_calls),
            )


def _has_valid_arguments(call: _types.ToolCall) -> bool:
    return tool_arguments.parse_arguments(call["function"]["arguments"]) is not None


def _move_arguments_to_text(call: _types.ToolCall) -> str:
    """Move the arguments of an invalid call to the text of its tool message.

    A server that decodes the arguments could otherwise reject every later turn.
    """
    arguments = call["function"]["arguments"]
    call["function"]["arguments"] = "{}"
    return _INVALID + arguments[:_MAX_QUOTED_ARGUMENTS]


def _take_tool_message(call_id: str, entries: list[Entry]) -> _types.Message | None:
    """Remove and return the tool message with this id, unless it may answer a later call."""
    for position, (_, message) in enumerate(entries):
        if message["role"] == "tool" and message["tool_call_id"] == call_id:
            del entries[position]
            return message
        if "tool_calls" in message:
            later_ids = [call["id"] for call in message["tool_calls"]]
            if not call_id or call_id in later_ids:
                break
    return None


def _make_ids_unique(
    pairs: list[tuple[_types.ToolCall, _types.Message]], used_ids: set[str]
) -> None:
    """Give each call a unique id, and use it in its tool message, too."""
    for call, tool_message in pairs:
        original_id = call["id"] or "call"
        unique_id, number = original_id, 1
        while unique_id in used_ids:
            number += 1
            unique_id = f"{original_id}_{number}"
        used_ids.add(unique_id)
        call["id"] = tool_message["tool_call_id"] = unique_id


def limit_images(
    messages: list[_types.Message], new_content: list[dict[str, Any]] | None
) -> None:
    """Replace the oldest images by notes if there are more than Cerebras accepts.

    Args:
        messages: The messages of a request. Their parts are changed.
        new_content: The content of the new user message, whose images are all kept.
    """
    contents = [message["content"] for message in reversed(messages) if "content" in message]
    lists = [parts for parts in contents if isinstance(parts, list)]
    lists.sort(key=lambda parts: parts is not new_content)
    count = size = 0
    for parts in lists:
        for part in reversed(parts):
            if part["type"] != "image_url":
                continue
            url = part["image_url"]["url"]
            image_size = media.count_bytes(url.partition(",")[2])
            fits = count < media.MAX_IMAGES and size + image_size <= media.MAX_IMAGE_BYTES
            if fits or parts is new_content:
                count += 1
                size += image_size
            else:
                part.clear()
                part.update(content.create_text_part(media.build_limit_note(url)))
