"""OpenTelemetry: spans of model calls and of their HTTP requests, and examples/tracing.py."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from examples.tracing import observe_quota
from langchain_cerebras_inference import (
    CerebrasConnectionError,
    CerebrasError,
    ChatCerebrasInference,
)
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply
from tests.integration.call_styles import CallStyle, collect, every_call_style
from tests.integration.helpers import create_cookie_model, create_model, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples/tracing.py"
CAPTURE_HEADERS = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
REDACT_HEADERS = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"


class Tracing:
    """Both instrumentations, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        LangChainInstrumentor().instrument(tracer_provider=self.provider)
        AioHttpClientInstrumentor().instrument(tracer_provider=self.provider)

    def stop(self) -> None:
        LangChainInstrumentor().uninstrument()
        AioHttpClientInstrumentor().uninstrument()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def find(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    @property
    def model_spans(self) -> list[ReadableSpan]:
        return self.find("ChatCerebrasInference")

    @property
    def request_spans(self) -> list[ReadableSpan]:
        return self.find("POST")


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    running = Tracing()
    yield running
    running.stop()


def get_ids(spans: Iterable[ReadableSpan]) -> list[int]:
    return [span.context.span_id for span in spans]


def get_parent_ids(spans: Iterable[ReadableSpan]) -> list[int]:
    """Return the id of the parent of each span, or 0."""
    return [span.parent.span_id if span.parent else 0 for span in spans]


def get_statuses(spans: Iterable[ReadableSpan]) -> list[tuple[int, StatusCode]]:
    return [(span.attributes["http.status_code"], span.status.status_code) for span in spans]


@every_call_style
def test_request_is_a_child_of_the_model_call(
    call: CallStyle, model: ChatCerebrasInference, tracing: Tracing
) -> None:
    call(ChatPromptTemplate.from_template("{question}") | model, {"question": "Hello!"})

    [chain] = tracing.find("RunnableSequence")
    [model_span] = tracing.model_spans
    [request] = tracing.request_spans
    assert get_parent_ids([model_span, request]) == get_ids([chain, model_span])
    assert len({span.context.trace_id for span in tracing.spans}) == 1


@every_call_style
def test_model_call_has_the_model_and_its_tokens(
    call: CallStyle, model: ChatCerebrasInference, tracing: Tracing
) -> None:
    usage = call(model, "Hello!").usage_metadata

    [span] = tracing.model_spans
    prefix = "llm.token_count"
    names = [f"{prefix}.prompt", f"{prefix}.completion", f"{prefix}.total"]
    assert span.status.status_code is StatusCode.OK
    assert span.attributes["llm.model_name"] == "gpt-oss-120b"
    assert [span.attributes[name] for name in names] == [
        usage["input_tokens"],
        usage["output_tokens"],
        usage["total_tokens"],
    ]


async def test_each_request_of_a_batch_is_a_child_of_its_own_call(
    model: ChatCerebrasInference, tracing: Tracing
) -> None:
    await asyncio.gather(model.abatch(["a", "b"]), *(collect(model.astream("c")) for _ in "ef"))

    assert sorted(get_parent_ids(tracing.request_spans)) == sorted(get_ids(tracing.model_spans))
    assert len(tracing.request_spans) == 4


async def test_request_is_never_a_child_of_another_call(
    server: Emulator, tracing: Tracing
) -> None:
    model = create_model(server, streaming=True)

    await model.agenerate([[HumanMessage("a")], [HumanMessage("b")]])

    assert get_parent_ids(tracing.request_spans) == [0, 0]


async def test_reader_of_a_stream_keeps_its_current_span(
    model: ChatCerebrasInference, tracing: Tracing
) -> None:
    current = []

    with tracing.provider.get_tracer("test").start_as_current_span("outer") as outer:
        async for _ in model.astream("Hello!"):
            current.append(get_current_span())
        for _ in model.bind().stream("Hello!"):
            current.append(get_current_span())
        current.append(get_current_span())

    assert set(current) == {outer}
    assert get_parent_ids(tracing.model_spans) == get_ids([outer, outer])


@every_call_style
@pytest.mark.parametrize("status", [429, 500])
def test_error_is_the_status_of_the_request_and_of_the_call(
    status: int, call: CallStyle, server: Emulator, tracing: Tracing
) -> None:
    server.always(Refuse(status))

    with pytest.raises(CerebrasError):
        call(create_model(server, max_retries=0), "Hello!")

    [model_span] = tracing.model_spans
    assert get_statuses(tracing.request_spans) == [(status, StatusCode.ERROR)]
    assert model_span.status.status_code is StatusCode.ERROR
    assert f"status {status}" in model_span.status.description


@every_call_style
def test_each_retry_is_a_span_of_the_same_call(
    call: CallStyle, server: Emulator, tracing: Tracing
) -> None:
    hurry = {"Retry-After": "0.01"}
    server.script(Refuse(503, headers=hurry), Refuse(429, headers=hurry), Reply("Hello!"))

    call(create_model(server), "Hello!")

    [model_span] = tracing.model_spans
    assert get_statuses(tracing.request_spans) == [
        (503, StatusCode.ERROR),
        (429, StatusCode.ERROR),
        (200, StatusCode.UNSET),
    ]
    assert get_parent_ids(tracing.request_spans) == get_ids([model_span] * 3)
    assert model_span.status.status_code is StatusCode.OK


# --- secrets -----------------------------------------------------------------------------


def find_secrets(tracing: Tracing, server: Emulator) -> list[str]:
    """Return the values of the headers with secrets that occur in spans."""
    headers = [header for request in server.requests for header in request.raw_headers]
    sent = {value for name, value in headers if name in {"Authorization", "Cookie"}}
    secrets = {part for value in sent for part in value.split() if len(part) > 10}
    assert secrets
    text = "".join(span.to_json() for span in tracing.spans)
    return [secret for secret in (*secrets, *server.cookies.values()) if secret in text]


@every_call_style
@pytest.mark.parametrize("behaviour", [Reply(), Refuse(500)], ids=["success", "error"])
@pytest.mark.parametrize("create", [create_model, create_cookie_model], ids=["key", "cookies"])
def test_no_span_contains_a_secret(
    create: Any, behaviour: Any, call: CallStyle, server: Emulator, tracing: Tracing
) -> None:
    server.script(behaviour)
    model = create(server, max_retries=0, default_headers={"X-Secret": "value of X-Secret"})

    try:
        call(model, "Hello!")
    except CerebrasError:
        assert isinstance(behaviour, Refuse)

    assert find_secrets(tracing, server) == []
    assert "value of X-Secret" not in "".join(span.to_json() for span in tracing.spans)
    assert len(tracing.request_spans) >= 1


def test_password_of_a_proxy_is_in_no_span(server: Emulator, tracing: Tracing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    proxy = f"http://user:proxy-password@127.0.0.1:{port}"
    model = create_model(server, proxy=proxy, max_retries=0)

    with pytest.raises(CerebrasConnectionError):
        model.invoke("Hello!")

    text = "".join(span.to_json() for span in tracing.spans)
    assert "exception" in text
    assert "proxy-password" not in text


def test_captured_headers_can_be_redacted(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE_HEADERS, ".*")
    monkeypatch.setenv(REDACT_HEADERS, "authorization,cookie")
    tracing = Tracing()

    create_cookie_model(server).invoke("Hello!")
    tracing.stop()

    shown = [span.attributes.get("http.request.header.authorization") for span in tracing.spans]
    assert ("[REDACTED]",) in [tuple(values) for values in shown if values]
    assert find_secrets(tracing, server) == []


# --- examples/tracing.py ------------------------------------------------------------------


def read_metrics(reader: InMemoryMetricReader) -> dict[str, float]:
    """Return the value of each metric."""
    data: Any = reader.get_metrics_data()
    [resource] = data.resource_metrics
    [scope] = resource.scope_metrics
    return {metric.name: metric.data.data_points[0].value for metric in scope.metrics}


async def test_metrics_show_the_queue_and_the_rejections(server: Emulator) -> None:
    server.always(Refuse(429, headers={"Retry-After": "60"}))
    model = create_model(server, pace=True)
    reader = InMemoryMetricReader()
    observe_quota(model, MeterProvider([reader]))
    calls = asyncio.gather(*(model.ainvoke("Hello!") for _ in range(3)))
    await asyncio.to_thread(wait_until, lambda: model.quota().rejected == 3)
    await asyncio.to_thread(wait_until, lambda: model.quota().queue_length == 3)

    values = await asyncio.to_thread(read_metrics, reader)

    calls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls
    assert values["cerebras.quota.queue_length"] == 3
    assert 0 < values["cerebras.quota.wait"] <= 60
    assert values["cerebras.quota.rejected"] == 3


@pytest.mark.parametrize("behaviour", [Reply("Hello!"), Refuse(400)], ids=["success", "error"])
def test_example_prints_spans_and_metrics(
    behaviour: Any, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRAS_API_BASE", server.base_url)
    monkeypatch.setenv("CEREBRAS_API_KEY", server.api_key)
    server.script(behaviour)

    process = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, check=False, encoding="utf-8"
    )

    is_success = isinstance(behaviour, Reply)
    assert (process.returncode, process.stderr == "") == (not is_success, is_success)
    for name in ("ChatPromptTemplate", "POST", "ChatCerebrasInference", "RunnableSequence"):
        assert process.stdout.count(f'"name": "{name}"') == 1
    for name in ("queue_length", "wait", "rejected"):
        assert f'"name": "cerebras.quota.{name}"' in process.stdout
    assert server.api_key not in process.stdout + process.stderr
