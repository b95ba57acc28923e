"""What `POST /v1/chat/completions` takes: the wire, as forms."""

from langchain_cerebras_inference.emulator.forms import (
    anything,
    each,
    fields,
    flag,
    mapping,
    number,
    one_of,
    tagged,
    text,
    text_or,
)

_TEXT = fields("text", type=anything, text=text())
_IMAGE = fields("image_url", type=anything, image_url=fields("url", url=text()))
_WORDS = text_or(each(tagged("type", text=_TEXT)))
_SIGHTS = text_or(each(tagged("type", text=_TEXT, image_url=_IMAGE)))

_CALL = fields(
    "id type function",
    id=text(),
    type=one_of("function"),
    index=number(whole=True),
    function=fields("name arguments", name=text(), arguments=text()),
)
_SPEECH = fields("content", role=anything, content=_WORDS, name=text())
_MESSAGE = tagged(
    "role",
    system=_SPEECH,
    developer=_SPEECH,
    user=fields("content", role=anything, content=_SIGHTS, name=text()),
    assistant=fields(
        role=anything,
        content=_WORDS,
        name=text(),
        reasoning=_WORDS,
        tool_calls=each(_CALL, least=1),
    ),
    tool=fields(
        "content tool_call_id",
        role=anything,
        content=_WORDS,
        name=text(),
        tool_call_id=text(),
    ),
)

_TOOL = fields(
    "type function",
    type=one_of("function"),
    function=fields(
        "name",
        name=text(),
        description=text(),
        parameters=mapping(anything),
        strict=flag,
    ),
)
_NAMED_TOOL = fields(
    "type function", type=one_of("function"), function=fields("name", name=text())
)

_JSON_SCHEMA = fields(
    "name schema",
    name=text(),
    description=text(),
    schema=mapping(anything),
    strict=flag,
)
_RESPONSE_FORMAT = tagged(
    "type",
    text=fields(type=anything),
    json_object=fields(type=anything),
    json_schema=fields("json_schema", type=anything, json_schema=_JSON_SCHEMA),
)

_TOKENS = number(-1, whole=True)

REQUEST = fields(
    "model messages",
    model=text(),
    messages=each(_MESSAGE, least=1),
    max_completion_tokens=_TOKENS,
    max_tokens=_TOKENS,
    min_completion_tokens=_TOKENS,
    min_tokens=_TOKENS,
    temperature=number(0, 2),
    top_p=number(0, 1),
    frequency_penalty=number(-2, 2),
    presence_penalty=number(-2, 2),
    logit_bias=mapping(number(-100, 100)),
    logprobs=flag,
    top_logprobs=number(0, 20, whole=True),
    n=number(1, whole=True),
    seed=number(whole=True),
    stop=text_or(each(text(), most=4)),
    stream=flag,
    stream_options=fields(include_usage=flag),
    tools=each(_TOOL, least=1),
    tool_choice=text_or(_NAMED_TOOL),
    parallel_tool_calls=flag,
    response_format=_RESPONSE_FORMAT,
    reasoning_effort=one_of("none", "low", "medium", "high"),
    reasoning_format=one_of("none", "parsed", "text_parsed", "raw", "hidden"),
    clear_thinking=flag,
    prediction=fields("type content", type=one_of("content"), content=text_or(each(_TEXT))),
    prompt_cache_key=text(1024),
    service_tier=one_of("auto", "default", "flex", "priority"),
    user=text(),
)
