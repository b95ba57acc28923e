"""Tool calls and their answers, in the order Cerebras wants them.

Each call is answered directly behind the turn that makes it, once, under an id of its
own. What histories bring otherwise is put right where that loses nothing, else refused.
Source: https://inference-docs.cerebras.ai/api-reference/versions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_cerebras_inference import _types


def in_tool_order(
    wire: list[_types.Message], messages: Sequence[BaseMessage]
) -> list[_types.Message]:
    """Put each tool message directly behind the call it answers, in the calls' order.

    Args:
        wire: The messages of a request; those with calls are changed.
        messages: What each was made of.

    Raises:
        ValueError: If a call has no answer, or an answer no call; it is named by its
            place.
    """
    if not any(each["role"] == "tool" or "tool_calls" in each for each in wire):
        return wire
    ordered: list[_types.Message] = []
    ids: set[str] = set()
    rest = list(enumerate(wire))
    while rest:
        place, message = rest.pop(0)
        if message["role"] == "tool":
            msg = (
                f"messages[{place}] (tool) answers {message['tool_call_id']!r}, which is"
                " no open tool call before it."
            )
            raise ValueError(msg)
        ordered.append(message)
        if "tool_calls" in message:
            pairs = _take_answers(message, messages[place], rest, place)
            ordered += _with_own_ids(pairs, ids)
    return ordered


def _take_answers(
    message: _types.Message,
    made_of: BaseMessage,
    rest: list[tuple[int, _types.Message]],
    place: int,
) -> list[tuple[_types.ToolCall, _types.Message]]:
    """Take the answers to a message's calls; leave out a broken call nobody answered."""
    pairs = []
    whole = len(made_of.tool_calls) if isinstance(made_of, AIMessage) else 0
    for number, call in enumerate(message.pop("tool_calls")):
        answer = _take_answer(rest, call["id"])
        if answer is not None:
            pairs.append((call, answer))
        elif number < whole:
            msg = (
                f"messages[{place}] (ai) calls {call['function']['name']!r}"
                f" ({call['id']!r}), and no tool message answers it before the next"
                " call; add one."
            )
            raise ValueError(msg)
    if pairs:
        message["tool_calls"] = [call for call, _ in pairs]
    elif "reasoning" not in message:
        message.setdefault("content", "")
    return pairs


def _take_answer(rest: list[tuple[int, _types.Message]], id_: str) -> _types.Message | None:
    for index, (_, message) in enumerate(rest):
        if "tool_calls" in message:
            break
        if message["role"] == "tool" and message["tool_call_id"] == id_:
            return rest.pop(index)[1]
    return None


def _with_own_ids(
    pairs: list[tuple[_types.ToolCall, _types.Message]], ids: set[str]
) -> list[_types.Message]:
    """Rename calls whose id is missing or was used before, and their answers with them."""
    for call, answer in pairs:
        id_ = stem = call["id"] or "call"
        number = 1
        while id_ in ids:
            number += 1
            id_ = f"{stem}_{number}"
        ids.add(id_)
        call["id"] = answer["tool_call_id"] = id_
    return [answer for _, answer in pairs]
