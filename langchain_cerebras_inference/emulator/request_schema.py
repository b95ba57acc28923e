"""The body of `POST /v1/chat/completions`, as pydantic models.

Cerebras rejects unknown fields and values of the wrong type. It treats `null` as a missing
field.
Rules that concern more than one field, or that differ by model, are in `checks.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from langchain_cerebras_inference.emulator.errors import bad_request


class _RequestPart(BaseModel):
    # Before pydantic 2.10, the namespace `model_` was protected, so the field
    # `model_parameters` would cause a warning.
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class TextPart(_RequestPart):
    """A text part of a message's content."""

    type: Literal["text"]
    text: str


class ImageURL(_RequestPart):
    """The URL of an image."""

    url: str


class ImagePart(_RequestPart):
    """An image part of a user message's content."""

    type: Literal["image_url"]
    image_url: ImageURL


def _text_to_parts(content: Any) -> Any:
    """Convert content that is a string to a list of one text part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _string_to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


TextContent = Annotated[list[TextPart], BeforeValidator(_text_to_parts)]
UserContent = Annotated[
    list[Annotated[TextPart | ImagePart, Field(discriminator="type")]],
    BeforeValidator(_text_to_parts),
]


def join_text(content: list[TextPart] | list[TextPart | ImagePart] | None) -> str:
    """Join the text parts of a message's content."""
    return "".join(part.text for part in content or () if isinstance(part, TextPart))


class FunctionCall(_RequestPart):
    """The name of the function in a tool call, and its arguments."""

    name: str
    arguments: str


class MessageToolCall(_RequestPart):
    """A tool call of an assistant message."""

    id: str
    type: Literal["function"]
    function: FunctionCall
    index: int | None = None


class SystemMessage(_RequestPart):
    """A system message, or a developer message."""

    role: Literal["system", "developer"]
    content: TextContent
    name: str | None = None


class UserMessage(_RequestPart):
    """A user message."""

    role: Literal["user"]
    content: UserContent
    name: str | None = None


class AssistantMessage(_RequestPart):
    """An assistant message."""

    role: Literal["assistant"]
    content: TextContent | None = None
    name: str | None = None
    reasoning: TextContent | None = None
    tool_calls: Annotated[list[MessageToolCall], Field(min_length=1)] | None = None


class ToolMessage(_RequestPart):
    """The result of a tool call."""

    role: Literal["tool"]
    content: TextContent
    name: str | None = None
    tool_call_id: str


Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionDefinition(_RequestPart):
    """The function of a tool."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_RequestPart):
    """A tool that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(_RequestPart):
    """The name of the function in a tool choice."""

    name: str


class NamedToolChoice(_RequestPart):
    """A tool choice that requires one particular tool."""

    type: Literal["function"]
    function: FunctionName


class TextFormat(_RequestPart):
    """Text: the default response format."""

    type: Literal["text"]


class JSONObjectFormat(_RequestPart):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedJSONSchema(_RequestPart):
    """A JSON schema, and whether it is strict."""

    name: str
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JSONSchemaFormat(_RequestPart):
    """A JSON value that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedJSONSchema


class StreamOptions(_RequestPart):
    """Options of a stream."""

    include_usage: bool | None = None


class Prediction(_RequestPart):
    """A predicted output."""

    type: Literal["content"]
    content: TextContent


_TokenLimit = Annotated[int, Field(ge=-1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]


class ChatRequest(_RequestPart):
    """The whole request body."""

    model: str
    messages: list[Annotated[Message, Field(discriminator="role")]] = Field(min_length=1)
    max_completion_tokens: _TokenLimit | None = None
    max_tokens: _TokenLimit | None = None
    min_completion_tokens: _TokenLimit | None = None
    min_tokens: _TokenLimit | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stop: Annotated[list[str], Field(max_length=4), BeforeValidator(_string_to_list)] | None = (
        None
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(min_length=1)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: (
        Annotated[TextFormat | JSONObjectFormat | JSONSchemaFormat, Field(discriminator="type")]
        | None
    ) = None
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    reasoning_format: Literal["none", "parsed", "text_parsed", "raw", "hidden"] | None = None
    clear_thinking: bool | None = None
    prediction: Prediction | None = None
    prompt_cache_key: Annotated[str, Field(max_length=1024)] | None = None
    model_parameters: dict[str, Any] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    user: str | None = None

    @property
    def functions(self) -> list[FunctionDefinition]:
        """The functions of all tools."""
        return [tool.function for tool in self.tools or ()]

    @property
    def choice_count(self) -> int:
        """The number of choices in the completion."""
        return self.n or 1

    @property
    def completion_token_limit(self) -> int | None:
        """The token limit for each choice. `None` means no limit."""
        limit = self.max_completion_tokens or self.max_tokens or -1
        return limit if limit > 0 else None


def parse_chat_request(body: Any) -> ChatRequest:
    """Parse a request body.

    Raises:
        RequestError: If a field is missing, unknown or invalid.
    """
    try:
        return ChatRequest.model_validate(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise bad_request("\n".join(map(_describe_error, details))) from None


def _describe_error(error: ErrorDetails) -> str:
    """Describe an error in one line, as Cerebras does.

    https://github.com/anomalyco/opencode/issues/6648 shows a field of the body,
    https://github.com/Kilo-Org/kilocode/issues/10375 a field of a message.
    """
    location = error["loc"] if len(error["loc"]) > 1 else ("body", *error["loc"])
    path = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        return f"{path}: property '{path}' is unsupported"
    return f"{path}: {error['msg']}"
