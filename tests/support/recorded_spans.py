"""The spans of the code under test, read by an exporter in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry import tracing


class RecordedSpans:
    """Every span that has ended since this was made, for as long as `monkeypatch` lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        # The process's own provider could be set only once, and for all tests.
        monkeypatch.setattr(tracing, "tracer", provider.get_tracer("tests"))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All of them, the first that ended first."""
        return self._exporter.get_finished_spans()

    def all(self, name: str, trace_id: int | None = None) -> list[ReadableSpan]:
        """Those of a name, in one trace or in any."""
        return [span for span in self.spans if span.name == name and trace_id in (None, id_of(span)[0])]

    def one(self, name: str, trace_id: int | None = None) -> ReadableSpan:
        """The only one."""
        (span,) = self.all(name, trace_id)
        return span


def id_of(span: ReadableSpan) -> tuple[int, int]:
    """Trace and span."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    """Trace and span that it is a child of; None for a root."""
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


def named(traceparent: str) -> tuple[int, int]:
    """Trace and span that a `traceparent` names."""
    _, trace_id, span_id, _ = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)
