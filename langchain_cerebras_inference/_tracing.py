"""Make the HTTP requests of a model call children of its span in OpenTelemetry.

The instrumentation of aiohttp makes each request a child of the current span. OpenInference's
instrumentation of LangChain never changes the current span, because the start and the end of a
call may be reported in different contexts. So the client does that while it sends requests.
"""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

if TYPE_CHECKING:
    from uuid import UUID

_INSTRUMENTATION = "openinference.instrumentation.langchain"

current_run_id: ContextVar[UUID | None] = ContextVar("cerebras_run_id", default=None)
"""The run id of the current model call, if OpenInference is in use."""


class _RunIdRecorder(BaseCallbackHandler):
    """Records the run id of a model call, which langchain-core does not pass to `_stream`."""

    run_inline = True  # in the context of the call, also if the call is async
    ignore_llm = True  # no other event is needed

    def on_chat_model_start(
        self, *args: Any, run_id: UUID, batch_size: int = 1, **kwargs: Any
    ) -> None:
        """Record the run id; `None` if several calls start together, each with its own id."""
        current_run_id.set(run_id if batch_size == 1 else None)


def record_run_ids() -> None:
    """Record the run id of each call that starts from now on, if OpenInference is in use."""
    if _INSTRUMENTATION in sys.modules:
        _register_recorder()


@cache
def _register_recorder() -> None:
    from langchain_core.tracers.context import register_configure_hook

    recorder = _RunIdRecorder()
    # langchain-core adds the value of this variable to the callbacks of each run.
    variable: ContextVar[Any] = ContextVar("cerebras_recorder", default=recorder)
    register_configure_hook(variable, inheritable=False)


def use_span(run_id: UUID) -> contextlib.AbstractContextManager[Any]:
    """Return a context manager in which the span of a run is the current span."""
    instrumentor = sys.modules[_INSTRUMENTATION].LangChainInstrumentor()
    is_in_use = instrumentor.is_instrumented_by_opentelemetry
    span = instrumentor.get_span(run_id) if is_in_use else None
    if span is None:
        return contextlib.nullcontext()
    from opentelemetry import trace

    # The instrumentation ends the span and records errors.
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)
