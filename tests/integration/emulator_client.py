"""A plain HTTP client for the emulator, and parts of request bodies."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any
from urllib.parse import urlsplit

from langchain_cerebras_inference.emulator import Emulator
from tests.python_command import PYTHON

JSON = dict[str, Any]

GPT_OSS = "gpt-oss-120b"
QWEN = "qwen-3.8-27b"
MODELS = (GPT_OSS, QWEN)


@dataclass(frozen=True)
class Response:
    status: int
    headers: HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> JSON:
        """The message of the first choice."""
        message: JSON = self.json["choices"][0]["message"]
        return message

    @property
    def tool_calls(self) -> list[JSON]:
        calls: list[JSON] = self.message.get("tool_calls", [])
        return calls

    @property
    def events(self) -> list[JSON]:
        """The events of a stream, without `[DONE]`."""
        events = self.content.decode().split("\n\n")
        data = [event.removeprefix("data: ") for event in events if event]
        return [json.loads(text) for text in data if text != "[DONE]"]

    @property
    def deltas(self) -> list[JSON]:
        return [event["choices"][0]["delta"] for event in self.events]


def send(
    url: str,
    *,
    method: str = "GET",
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Send one request on a connection of its own; redirects are not followed."""
    address = urlsplit(url)
    target = address._replace(scheme="", netloc="").geturl()
    with closing(HTTPConnection(address.netloc, timeout=10)) as connection:
        connection.request(method, target, content, headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())


def auth_header(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def post(server: Emulator, content: bytes, **headers: str) -> Response:
    """Send bytes as a chat request."""
    url = f"{server.base_url}/chat/completions"
    headers = auth_header(server.api_key) | headers
    return send(url, method="POST", content=content, headers=headers)


def chat(server: Emulator, **fields: Any) -> Response:
    """Send a chat request, by default with the prompt "Hello!" to gpt-oss."""
    return post(server, json.dumps(request_body(**fields)).encode())


@contextmanager
def run_command_line(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the emulator as a program; yield the process and the settings that it prints."""
    module = "langchain_cerebras_inference.emulator"
    with subprocess.Popen(
        [*PYTHON, "-X", "dev", "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        settings = dict(
            shlex.split(line)[1].split("=", 1)
            for line in iter(process.stdout.readline, "Ctrl-C stops it.\n")
            if line.startswith("export ")
        )
        try:
            yield process, settings
        finally:
            process.terminate()


def chat_with_command_line(settings: dict[str, str]) -> Response:
    """Send a chat request to an emulator that runs as a program."""
    return send(
        f"{settings['CEREBRAS_API_BASE']}/chat/completions",
        method="POST",
        content=json.dumps(request_body()).encode(),
        headers=auth_header(settings["CEREBRAS_API_KEY"]),
    )


def request_body(**fields: Any) -> JSON:
    return {"model": GPT_OSS, "messages": [user_message()], **fields}


def user_message(content: Any = "Hello!") -> JSON:
    return {"role": "user", "content": content}


def assistant_message(**fields: Any) -> JSON:
    return {"role": "assistant", **fields}


def tool_call(call_id: str, name: str = "f") -> JSON:
    function = {"name": name, "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function}


def tool_message(call_id: str, content: str = "done") -> JSON:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def tool(name: str, parameters: JSON, **fields: Any) -> JSON:
    function = {"name": name, "parameters": parameters, **fields}
    return {"type": "function", "function": function}


def tool_with_required(name: str, property_name: str, property_type: str) -> JSON:
    """A tool with one required property."""
    properties = {property_name: {"type": property_type}}
    required = [property_name]
    return tool(name, {"type": "object", "properties": properties, "required": required})


WEATHER_TOOL = tool_with_required("get_weather", "location", "string")
MAGIC_TOOL = tool_with_required("magic", "input", "integer")
