"""Settings of `ChatCerebrasInference` and call options: their names and validation.

Settings are passed to the constructor. Call options are keyword arguments of `invoke` and the
other call styles, or of `bind`. Most call options override a setting, and are validated like
that setting.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sized
from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, SecretStr, TypeAdapter, ValidationError

_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_FRAMING_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that decide where a request ends. A wrong one breaks the connection."""
_CONTROL_CHARACTER = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that no header can have, or that have no UTF-8."""


def has_control_character(text: str) -> bool:
    """Return whether a text has a control character or a lone surrogate."""
    return _CONTROL_CHARACTER.search(text) is not None


def _check_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Check that headers can be sent.

    Raises:
        ValueError: If one cannot. The message quotes no value, and no name that may be a
            misplaced value.
    """
    names: set[str] = set()
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                "The name of a header has a character that HTTP does not allow. Use letters,"
                " digits and hyphens."
            )
        if name.lower() in names:
            raise ValueError(f"The header {name.lower()!r} is passed twice. Pass it once.")
        if name.lower() in _FRAMING_HEADERS:
            raise ValueError(
                f"The header {name!r} is set by the client for each request. Remove it."
            )
        names.add(name.lower())
        # HTTP allows the tab in a value.
        if has_control_character(value.get_secret_value().replace("\t", " ")):
            raise ValueError(
                f"The value of the header {name!r} has a control character, such as a line"
                " break. Remove it."
            )
    return headers


Headers: TypeAlias = Annotated[dict[str, SecretStr], AfterValidator(_check_headers)]
"""Headers for requests to the API."""


def merge_headers(
    headers: Mapping[str, SecretStr] | None, extra_headers: Mapping[str, SecretStr]
) -> dict[str, SecretStr]:
    """Merge headers; an extra header replaces one whose name differs only in case."""
    replaced = {name.lower() for name in extra_headers}
    kept = {
        name: value for name, value in (headers or {}).items() if name.lower() not in replaced
    }
    return {**kept, **extra_headers}


def redact_headers(headers: Any) -> Any:
    """Return headers with `***` in place of their values, and of whatever is invalid."""
    if not isinstance(headers, Mapping):
        return "***"
    names = (name if _HEADER_NAME.fullmatch(str(name)) else "***" for name in headers)
    return dict.fromkeys(names, "***")


def wrap_headers(headers: Any) -> Any:
    """Return headers whose values are `SecretStr`.

    Anything that is not a mapping with valid names becomes one `SecretStr` as a whole, which
    the call rejects.
    """
    if isinstance(headers, SecretStr):
        return headers
    is_valid = isinstance(headers, Mapping) and all(
        isinstance(name, str) and _HEADER_NAME.fullmatch(name) for name in headers
    )
    if not is_valid:
        return SecretStr(str(headers))
    return {
        name: value if isinstance(value, SecretStr) else SecretStr(str(value))
        for name, value in headers.items()
    }


def hash_headers(headers: Mapping[str, SecretStr]) -> str:
    """Return a digest of headers, in which their order and the case of names do not matter."""
    pairs = sorted((name.lower(), value.get_secret_value()) for name, value in headers.items())
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


CREDENTIAL_VARIABLES = {
    "cerebras_api_key": "CEREBRAS_API_KEY",
    "cookies": "CEREBRAS_COOKIES",
}
"""Maps the settings for authentication to the environment variables with their defaults."""

CALL_OPTIONS = frozenset(
    {
        "model_name",
        "temperature",
        "top_p",
        "seed",
        "n",
        "max_tokens",
        "stop",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "user",
        "reasoning_effort",
        "reasoning_format",
        "clear_thinking",
        "disable_reasoning",
        "replay_reasoning",
        "parallel_tool_calls",
        "service_tier",
        "prediction",
        "prompt_cache_key",
        "model_parameters",
        "extra_body",
        "timeout",
        "max_retries",
        "coalesce",
    }
)
"""Settings that one call can override."""

OPTIONS_WITHOUT_SETTING: Mapping[str, Any] = {
    "tools": Any,
    "tool_choice": Any,
    "response_format": Any,
    "extra_headers": Headers,
}
"""Call options that are not settings, and their types. `Any` is validated elsewhere."""

_OPTIONS_NOT_SENT = frozenset({"stream", "stream_usage", "stream_options"})
"""Call options that are accepted but not sent. langchain-core reads `stream` before this
package does; the server sends the usage without being asked."""

_NO_RESPONSES_API = (
    "It belongs to OpenAI's Responses API, which Cerebras does not have. Leave it out."
)
_NO_HTTP_CLIENT = (
    "Requests are sent with aiohttp. Use the settings proxy, verify, client_cert,"
    " connect_timeout and default_headers."
)
_NO_ORGANIZATIONS = "Cerebras has no organizations. Leave it out."

FOREIGN_SETTINGS = {
    "model_kwargs": "Pass its entries as settings, and those without a setting in extra_body.",
    "cerebras_proxy": "Use the setting proxy.",
    "openai_api_key": "Use api_key.",
    "openai_api_base": "Use base_url.",
    "openai_proxy": "Use the setting proxy.",
    "openai_organization": _NO_ORGANIZATIONS,
    "organization": _NO_ORGANIZATIONS,
    "request_timeout": "Use the setting timeout.",
    "stream_chunk_timeout": "Use the setting timeout. It also limits the time between events.",
    "reasoning": "Use reasoning_effort and reasoning_format.",
    "verbosity": "Cerebras has no such setting. Describe the wanted length in the prompt.",
    "prompt_cache_options": "Caching needs no options. Use prompt_cache_key for its key.",
    "disabled_params": "Leave disabled_params out: a setting that is None is not sent.",
    "tiktoken_model_name": "get_num_tokens needs no tokenizer. Leave it out.",
    "default_query": "Cerebras accepts no query parameters. Leave it out.",
    "http_client": _NO_HTTP_CLIENT,
    "http_async_client": _NO_HTTP_CLIENT,
    "http_socket_options": _NO_HTTP_CLIENT,
    "client": _NO_HTTP_CLIENT,
    "async_client": _NO_HTTP_CLIENT,
    "root_client": _NO_HTTP_CLIENT,
    "root_async_client": _NO_HTTP_CLIENT,
    "use_responses_api": _NO_RESPONSES_API,
    "use_previous_response_id": _NO_RESPONSES_API,
    "store": _NO_RESPONSES_API,
    "context_management": _NO_RESPONSES_API,
    "include": _NO_RESPONSES_API,
    "truncation": _NO_RESPONSES_API,
}
"""Settings of ChatCerebras 0.8.2 and ChatOpenAI 1.7.4 that do not exist here, and what to do
instead."""


def convert_settings(settings: Mapping[str, Any], cls: type[BaseModel]) -> dict[str, Any]:
    """Convert settings to fields.

    A setting that is `None` means the default, and is left out. A missing credential is
    read from the environment.

    Args:
        settings: The settings, by field name or alias; they are not changed.
        cls: The class that has the fields.

    Raises:
        ValueError: If a name is unknown or that of a call option, or a field is set by both
            of its names.
    """
    fields: dict[str, Any] = {}
    all_fields, aliases = cls.model_fields, _get_aliases(cls)
    for name, value in settings.items():
        field = aliases.get(name, name)
        if field not in all_fields:
            raise ValueError(_explain_unknown_setting(name, [*all_fields, *aliases]))
        if value is None:
            continue
        if field in fields:
            raise ValueError(_explain_two_names(field, settings, aliases))
        fields[field] = value
    return _complete_credentials(fields)


def validate_options(options: Mapping[str, Any], cls: type[BaseModel]) -> dict[str, Any]:
    """Validate call options like the fields, and return them by field name.

    An option that is `None` does not override the setting, and is left out.

    Args:
        options: The options, by field name or alias; they are not changed.
        cls: The class that has the fields.

    Raises:
        ValueError: If a name is unknown, an option is passed by both of its names, or a
            value is invalid.
    """
    values: dict[str, Any] = {}
    aliases = _get_aliases(cls)
    for name, value in options.items():
        field = aliases.get(name, name)
        if field in _OPTIONS_NOT_SENT:
            continue
        if field not in CALL_OPTIONS and field not in OPTIONS_WITHOUT_SETTING:
            raise ValueError(_explain_unknown_option(name, cls.model_fields, aliases))
        if value is None:
            continue
        if field in values:
            raise ValueError(_explain_two_names(field, options, aliases))
        values[field] = _validate(name, value, field, cls)
    return values


def _validate(name: str, value: Any, field: str, cls: type[BaseModel]) -> Any:
    """Validate and convert an option as the constructor does with a setting."""
    try:
        return _get_validator(cls, field).validate_python(value)
    except ValidationError as error:
        # Only the messages are quoted, because they do not contain the value.
        messages = dict.fromkeys(
            details["msg"].removeprefix("Value error, ").removesuffix(".")
            for details in error.errors()
        )
        raise ValueError(f"Invalid call option {name!r}: {'; '.join(messages)}.") from None


@cache
def _get_validator(cls: type[BaseModel], field: str) -> TypeAdapter[Any]:
    if field in OPTIONS_WITHOUT_SETTING:
        return TypeAdapter(OPTIONS_WITHOUT_SETTING[field])
    return TypeAdapter(cls.model_fields[field].rebuild_annotation())


@cache
def _get_aliases(cls: type[BaseModel]) -> dict[str, str]:
    """Return a map from the aliases of a class to its fields."""
    return {field.alias: name for name, field in cls.model_fields.items() if field.alias}


def _explain_unknown_setting(name: str, valid_names: Iterable[str]) -> str:
    if name in FOREIGN_SETTINGS:
        return f"Unknown setting {name!r}. {FOREIGN_SETTINGS[name]}"
    if name in OPTIONS_WITHOUT_SETTING:
        return f"{name!r} is a call option, not a setting. Pass it to invoke or bind."
    return f"Unknown setting {name!r}.{_suggest_name(name, valid_names)}"


def _explain_unknown_option(
    name: str, fields: Mapping[str, Any], aliases: Mapping[str, str]
) -> str:
    if aliases.get(name, name) in fields:
        return f"{name!r} is a setting, not a call option. Pass it to the constructor."
    if name in FOREIGN_SETTINGS:
        return f"Unknown call option {name!r}. {FOREIGN_SETTINGS[name]}"
    options = CALL_OPTIONS | OPTIONS_WITHOUT_SETTING.keys()
    option_aliases = {alias for alias, field in aliases.items() if field in options}
    suggestion = _suggest_name(name, sorted(options | option_aliases))
    return (
        f"Unknown call option {name!r}.{suggestion}"
        " A request field that is newer than this package can be sent in extra_body."
    )


def _suggest_name(name: str, valid_names: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, list(valid_names), n=1)
    return f" Did you mean {similar[0]!r}?" if similar else ""


def _explain_two_names(
    field: str, names_and_values: Mapping[str, Any], aliases: Mapping[str, str]
) -> str:
    names = [repr(name) for name in names_and_values if aliases.get(name, name) == field]
    return f"{' and '.join(names)} are two names of one setting. Pass only one of them."


def _complete_credentials(fields: dict[str, Any]) -> dict[str, Any]:
    """Remove blank credentials; if none remains, add one from the environment.

    The environment is read here, so that the credential is a field and copies of the model
    use the same one.
    """
    passed = {name: fields.pop(name) for name in CREDENTIAL_VARIABLES if name in fields}
    credentials = {name: value for name, value in passed.items() if not _is_blank(value)}
    for name, variable in CREDENTIAL_VARIABLES.items():
        value = os.environ.get(variable)
        if not credentials and not _is_blank(value):
            credentials[name] = value
    return {**fields, **credentials}


def _is_blank(value: Any) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        return not text.strip()
    return text is None or (isinstance(text, Sized) and not len(text))
