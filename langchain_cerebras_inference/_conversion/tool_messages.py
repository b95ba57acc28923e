"""Put tool messages and images directly after the messages that they belong to.

Cerebras requires a tool message for each call, directly after the message with the calls. It
accepts images only in user messages, and only a few of them. Therefore a user message with the
images of tools follows the tool messages.
"""

from __future__ import annotations

import logging
from collections import deque
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
_MAX_LOGGED_CALLS = 10


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
            entries: The messages of a request. Messages with tool calls and tool messages are
                changed: their ids become unique.

        Raises:
            ValueError: If a call has no tool message, unless it was interrupted, or if a tool
                message has no call.
        """
        arranged: list[_types.Message] = []
        unique_ids = _UniqueIds()
        finder = _ToolMessageFinder(entries)
        for position, (index, message) in enumerate(entries):
            if finder.is_taken(position):
                continue
            pairs = []
            if message["role"] == "tool":
                self._add_to_result(message, index)
            else:
                arranged.append(message)
            if "tool_calls" in message:
                pairs = self._pair_calls_with_tool_messages(message, index, position, finder)
                for call, tool_message in pairs:
                    call["id"] = tool_message["tool_call_id"] = unique_ids.create(call["id"])
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
        """Append a further tool message of a call to the first one of the same call.

        Cerebras accepts only one tool message for each call.

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
        self,
        message: _types.Message,
        index: int,
        position: int,
        finder: _ToolMessageFinder,
    ) -> list[tuple[_types.ToolCall, _types.Message]]:
        """Take the tool messages for the calls of the message at a position.

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
        for number, call in enumerate(message["tool_calls"]):
            is_valid = number < valid_count
            tool_message = finder.take(call["id"], position)
            if tool_message is None:
                name = f"{call['function']['name']!r} (id {call['id']!r})"
                is_interrupted = position < finder.last_user_position
                if is_valid and not is_interrupted:
                    raise ValueError(
                        f"messages[{index}] (ai): No tool message answers the call of {name}."
                        " Add one."
                    )
                text = _INTERRUPTED if is_valid else _move_arguments_to_text(call)
                tool_message = {"role": "tool", "content": text, "tool_call_id": call["id"]}
                self._unanswered_calls.append(f"messages[{index}] {name}")
            elif not is_valid and not _has_valid_arguments(call):
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
        if calls := self._unanswered_calls:
            more = len(calls) - _MAX_LOGGED_CALLS
            names = ", ".join(calls[:_MAX_LOGGED_CALLS])
            _logger.warning(
                "No tool message answers these tool calls: %s. The request has a tool message"
                " for each, which says that the call was interrupted or invalid.",
                f"{names}, and {more} more" if more > 0 else names,
            )


class _ToolMessageFinder:
    """Finds the tool messages of calls, in a time that does not depend on their number.

    Args:
        entries: The messages of a request. The ids of their tool calls are still those of the
            conversation, where an id may be missing or repeated.

    Attributes:
        last_user_position: The position of the last user message; -1 if there is none.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._taken: set[int] = set()
        # By id, the positions of the tool messages, and of the messages with a call. The empty
        # id has the positions of all messages with calls, because a tool message without an id
        # may answer any call.
        self._tool_messages: dict[str, deque[int]] = {}
        self._calls: dict[str, deque[int]] = {}
        self.last_user_position = -1
        for position, (_, message) in enumerate(entries):
            if message["role"] == "tool":
                positions = self._tool_messages.setdefault(message["tool_call_id"], deque())
                positions.append(position)
            elif message["role"] == "user":
                self.last_user_position = position
            if "tool_calls" in message:
                for call_id in {"", *(call["id"] for call in message["tool_calls"])}:
                    self._calls.setdefault(call_id, deque()).append(position)

    def is_taken(self, position: int) -> bool:
        """Return whether the message at a position was taken."""
        return position in self._taken

    def take(self, call_id: str, position: int) -> _types.Message | None:
        """Take the tool message for a call, unless it may answer a later call.

        Args:
            call_id: The id of the call.
            position: The position of the message with the call. It must not decrease from one
                call of this method to the next.
        """
        found = self._find_next(self._tool_messages, call_id, position)
        later_call = self._find_next(self._calls, call_id, position)
        if found is None or (later_call is not None and later_call < found):
            return None
        self._tool_messages[call_id].popleft()
        self._taken.add(found)
        return self._entries[found][1]

    def _find_next(
        self, positions_by_id: dict[str, deque[int]], call_id: str, position: int
    ) -> int | None:
        positions = positions_by_id.get(call_id)
        while positions and positions[0] <= position:
            positions.popleft()
        return positions[0] if positions else None


class _UniqueIds:
    """Creates ids that are unique in a request."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._last_numbers: dict[str, int] = {}

    def create(self, call_id: str) -> str:
        """Return the id of a call, with a number at its end if it is missing or repeated."""
        original_id = call_id or "call"
        number = self._last_numbers.get(original_id, 1)
        unique_id = original_id
        while unique_id in self._ids:
            number += 1
            unique_id = f"{original_id}_{number}"
        self._ids.add(unique_id)
        self._last_numbers[original_id] = number
        return unique_id


def _has_valid_arguments(call: _types.ToolCall) -> bool:
    return tool_arguments.parse_arguments(call["function"]["arguments"]) is not None


def _move_arguments_to_text(call: _types.ToolCall) -> str:
    """Move the arguments of an invalid call to the text of its tool message.

    A server that decodes the arguments could otherwise reject every later turn.
    """
    arguments = call["function"]["arguments"]
    call["function"]["arguments"] = "{}"
    return _INVALID + arguments[:_MAX_QUOTED_ARGUMENTS]


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
    lists.sort(key=lambda parts: parts is not new_content)  # `new_content` becomes the first
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
