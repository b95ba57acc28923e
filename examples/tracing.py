"""OpenTelemetry: the spans of a chain and of its HTTP requests, and metrics of the quota.

pip install opentelemetry-sdk opentelemetry-instrumentation-aiohttp-client
pip install openinference-instrumentation-langchain
CEREBRAS_API_KEY=... python examples/tracing.py "Why is the sky blue?"
"""

import sys
from typing import Any

from langchain_core.prompts import ChatPromptTemplate
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.metrics import MeterProvider, Observation
from opentelemetry.sdk import metrics, trace
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from langchain_cerebras_inference import ChatCerebrasInference

PROMPT = ChatPromptTemplate.from_template("Answer in one sentence. {question}")


def observe_quota(model: ChatCerebrasInference, provider: MeterProvider) -> None:
    """Create metrics of the quota of a model; reading them sends no request."""

    def observe(field: str) -> Any:
        attributes = {"model": model.model_name}
        return [lambda _: [Observation(getattr(model.quota(), field), attributes)]]

    meter = provider.get_meter("cerebras")
    meter.create_observable_gauge("cerebras.quota.queue_length", observe("queue_length"))
    meter.create_observable_gauge("cerebras.quota.wait", observe("wait"), "s")
    meter.create_observable_counter("cerebras.quota.rejected", observe("rejected"))


def main() -> None:
    """Print a completion, and then its spans and the metrics."""
    question = " ".join(sys.argv[1:]) or "Why is the sky blue?"
    traces = trace.TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    meters = metrics.MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    # Before the first call: connections that exist already are not traced.
    LangChainInstrumentor().instrument(tracer_provider=traces)
    AioHttpClientInstrumentor().instrument(tracer_provider=traces, meter_provider=meters)
    model = ChatCerebrasInference()
    observe_quota(model, meters)
    try:
        print((PROMPT | model).invoke({"question": question}).text)
    finally:
        traces.shutdown()
        meters.shutdown()


if __name__ == "__main__":
    main()
