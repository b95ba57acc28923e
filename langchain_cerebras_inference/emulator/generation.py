"""Generate the choices of a completion from the request alone.

Equal requests get equal choices.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from langchain_cerebras_inference.emulator.models import Model
from langchain_cerebras_inference.emulator.request_schema import (
    AssistantMessage,
    ChatRequest,
    FunctionDefinition,
    JSONObjectFormat,
    JSONSchemaFormat,
    Message,
    NamedToolChoice,
    ToolMessage,
    UserMessage,
    join_text,
)
from langchain_cerebras_inference.emulator.schema_examples import make_example
from langchain_cerebras_inference.emulator.script import ToolCall, make_call_id
from langchain_cerebras_inference.emulator.tokens import split_tokens

_WORD_COUNT = re.compile(r"\b(\d{1,6}) words\b")
_QUOTED_WORD = re.compile(r"[\"'`](\w+)[\"'`]")
_MAX_QUOTED_CHARACTERS = 200

_TOOL_WORD = re.compile(r"(?i)\btools?\b")
# The words of a name in snake_case or camelCase. A run of non-ASCII letters is one word.
_NAME_WORD = re.compile(r"[a-z]+|[A-Z][a-z]*|[^\W\d_a-zA-Z]+")
_MIN_NAME_WORD_LENGTH = 4

_REASONING_SENTENCES = {"none": 0, "low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True)
class Choice:
    """One choice of a completion."""

    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"

    @property
    def completion_tokens(self) -> int:
        """The number of tokens, plus one for the end unless the choice is truncated."""
        calls = (call.name + call.arguments_text for call in self.tool_calls)
        texts = (self.reasoning, self.content, *calls)
        has_end = self.finish_reason != "length"
        return sum(len(split_tokens(text)) for text in texts) + has_end

    @property
    def reasoning_tokens(self) -> int:
        """How many of the `completion_tokens` are reasoning."""
        return len(split_tokens(self.reasoning))


def generate_choices(request: ChatRequest, model: Model) -> list[Choice]:
    """Generate the choices of a completion, with their whole reasoning."""
    return [_generate_choice(request, model, index) for index in range(request.choice_count)]


def apply_reasoning_format(choice: Choice, request: ChatRequest, model: Model) -> Choice:
    """Remove or move the reasoning of a choice, depending on `reasoning_format`."""
    if request.reasoning_format == "hidden":
        return replace(choice, reasoning="")
    if request.reasoning_format == "raw" and model.puts_raw_reasoning_into_content:
        return replace(choice, reasoning="", content=choice.reasoning + choice.content)
    return choice


def _generate_choice(request: ChatRequest, model: Model, index: int) -> Choice:
    reasoning = _generate_reasoning(request, model)
    if tool_calls := _generate_tool_calls(request, model):
        choice = Choice(reasoning, "", tool_calls, "tool_calls")
    else:
        content = _generate_content(request)
        choice = Choice(reasoning, f"{content} ({index + 1})" if index else content)
    choice = _apply_stop(choice, request.stop or [], model)
    return _apply_token_limit(choice, request.completion_token_limit)


def _generate_reasoning(request: ChatRequest, model: Model) -> str:
    sentences = (
        f'The user says: "{_shorten(_find_last_prompt(request))}".',
        "The request contains everything that is needed.",
        "Check it once more, then respond briefly.",
    )
    effort = request.reasoning_effort or model.default_reasoning_effort
    return " ".join(sentences[: _REASONING_SENTENCES[effort]])


def _find_last_prompt(request: ChatRequest) -> str:
    """Return the text of the last user message, or of the last message."""
    messages = _drop_tool_image_messages(request)
    prompts = [message for message in messages if isinstance(message, UserMessage)]
    return join_text((prompts or messages)[-1].content)


def _drop_tool_image_messages(request: ChatRequest) -> list[Message]:
    """Return the messages without user messages that only show the images of tool results.

    Cerebras accepts images only in user messages. Therefore clients put the images of tool
    results into a user message after the tool messages, each image after a text.
    """
    messages = request.messages
    return messages[:1] + [
        message
        for previous, message in pairwise(messages)
        if not (isinstance(previous, ToolMessage) and _has_labelled_images(message))
    ]


def _has_labelled_images(message: Message) -> bool:
    parts = message.content if isinstance(message, UserMessage) else []
    kinds = [part.type for part in parts]
    return bool(kinds) and kinds == ["text", "image_url"] * (len(kinds) // 2)


def _shorten(text: str) -> str:
    is_long = len(text) > _MAX_QUOTED_CHARACTERS
    return f"{text[:_MAX_QUOTED_CHARACTERS]}…" if is_long else text


def _generate_content(request: ChatRequest) -> str:
    prompt = _find_last_prompt(request)
    match request.response_format:
        case JSONSchemaFormat(json_schema=schema):
            return _generate_json(schema.json_schema, prompt)
        case JSONObjectFormat():
            return _generate_json(_make_schema_from_prompt(prompt), prompt)
    if isinstance(_drop_tool_image_messages(request)[-1], ToolMessage):
        return _describe_tool_results(request)
    if word_count := _WORD_COUNT.search(prompt):
        return " ".join(f"word{number}" for number in range(1, int(word_count[1]) + 1))
    return (
        f'You said: "{_shorten(prompt)}". This completion comes from the local emulator, '
        "which generates it from the request alone, in the format of Cerebras."
    )


def _generate_json(schema: dict[str, Any], prompt: str) -> str:
    return json.dumps(make_example(schema, prompt), ensure_ascii=False)


def _make_schema_from_prompt(prompt: str) -> dict[str, Any]:
    """Make the schema of an object. Its keys are the quoted words in the prompt."""
    keys = _QUOTED_WORD.findall(prompt) or ["answer"]
    properties = {key: {"type": "string", "const": f"an example {key}"} for key in keys}
    return {"type": "object", "properties": properties, "required": keys}


def _describe_tool_results(request: ChatRequest) -> str:
    """Write a sentence for each tool message at the end of the request."""
    names = {
        call.id: call.function.name
        for message in request.messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls or ()
    }
    results: list[str] = []
    for message in reversed(_drop_tool_image_messages(request)):
        if not isinstance(message, ToolMessage):
            break
        name = names[message.tool_call_id]
        results.insert(0, f"The tool {name} returned: {join_text(message.content)}")
    return " ".join(results)


def _generate_tool_calls(request: ChatRequest, model: Model) -> tuple[ToolCall, ...]:
    functions = _choose_functions(request)
    if not model.calls_tools_in_parallel or request.parallel_tool_calls is False:
        functions = functions[:1]
    return tuple(_generate_tool_call(function, request) for function in functions)


def _generate_tool_call(function: FunctionDefinition, request: ChatRequest) -> ToolCall:
    schema = function.parameters or {"type": "object"}
    arguments = _generate_json(schema, _find_last_prompt(request))
    # The number of messages makes the id different in each turn.
    call_id = make_call_id(function.name, arguments, len(request.messages))
    return ToolCall(function.name, arguments, call_id)


def _choose_functions(request: ChatRequest) -> list[FunctionDefinition]:
    """Choose the functions to call, by the tool choice and by the names in the prompt."""
    functions, choice = request.functions, request.tool_choice or "auto"
    if isinstance(choice, NamedToolChoice):
        return [function for function in functions if function.name == choice.function.name]
    if not functions or choice == "none":
        return []
    prompt = _find_last_prompt(request)
    mentioned = _find_mentioned(functions, prompt)
    if choice == "required":
        return _choose_required(mentioned, request)
    if not isinstance(_drop_tool_image_messages(request)[-1], UserMessage):
        return []
    if not mentioned and _TOOL_WORD.search(prompt):
        return functions[:1]
    return mentioned


def _choose_required(
    mentioned: list[FunctionDefinition], request: ChatRequest
) -> list[FunctionDefinition]:
    """Choose at least one function.

    Functions that were already called since the last user message are chosen only if all
    functions were called.
    """
    called = _list_recent_calls(request)
    uncalled = [function for function in request.functions if function.name not in called]
    uncalled_mentioned = [function for function in mentioned if function in uncalled]
    return uncalled_mentioned or uncalled[:1] or mentioned or request.functions[:1]


def _list_recent_calls(request: ChatRequest) -> set[str]:
    """List the names of the functions that were called since the last user message."""
    names: set[str] = set()
    for message in reversed(_drop_tool_image_messages(request)):
        if isinstance(message, UserMessage):
            break
        if isinstance(message, AssistantMessage):
            names.update(call.function.name for call in message.tool_calls or ())
    return names


def _find_mentioned(
    functions: list[FunctionDefinition], prompt: str
) -> list[FunctionDefinition]:
    """Find the functions that the prompt mentions by name, the best match first."""
    scores = [(_match_name(function.name, prompt.lower()), function) for function in functions]
    matches = [(score, function) for score, function in scores if score]
    return [function for _, function in sorted(matches, key=lambda match: -match[0])]


def _match_name(name: str, prompt: str) -> float:
    """Return the share of the words in a function's name that are in a prompt, from 0 to 1."""
    if name.lower() in prompt:
        return 1
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    words = [word for word in words if len(word) >= _MIN_NAME_WORD_LENGTH]
    return sum(word in prompt for word in words) / len(words) if words else 0


def _apply_stop(choice: Choice, stop: Sequence[str], model: Model) -> Choice:
    """End a choice before the first stop sequence.

    If the model has `stops_in_reasoning`, a stop sequence in the reasoning leaves nothing of
    the choice, not even the reasoning before it. It is so in a recorded completion of
    gpt-oss-120b.
    """
    sequences = [sequence for sequence in stop if sequence]
    if model.stops_in_reasoning and any(text in choice.reasoning for text in sequences):
        return Choice()
    ends = [choice.content.find(text) for text in sequences if text in choice.content]
    return replace(choice, content=choice.content[: min(ends)]) if ends else choice


def _apply_token_limit(choice: Choice, limit: int | None) -> Choice:
    """Truncate a choice. The limit applies to its reasoning, content and tool calls in turn."""
    if limit is None or choice.completion_tokens <= limit:
        return choice
    reasoning = split_tokens(choice.reasoning)[:limit]
    remaining = limit - len(reasoning)
    content = split_tokens(choice.content)[:remaining]
    remaining -= len(content)
    calls = []
    for call in choice.tool_calls:
        if remaining <= 0:
            break
        name_tokens = len(split_tokens(call.name))
        arguments = split_tokens(call.arguments_text)[: max(0, remaining - name_tokens)]
        calls.append(replace(call, arguments="".join(arguments)))
        remaining -= name_tokens + len(arguments)
    return Choice("".join(reasoning), "".join(content), tuple(calls), "length")
