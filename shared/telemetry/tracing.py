"""Traces: one for each upload, from its event to its terminal message, across processes and attempts.

Only the API of OpenTelemetry: without an exporter no span is recorded, but the trace that an event came with still
travels with the work, and stands on every log line. Attributes never hold text of a transcript, an address or a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.telemetry.logs import job_context

TRACEPARENT = "traceparent"
"""W3C Trace Context's name, in HTTP headers, in message attributes and in the job's record."""

Value = str | bool | int | float

_W3C = TraceContextTextMapPropagator()
tracer = trace.get_tracer("dropscribe")


def context_of(traceparent: str | None) -> Context:
    """The span that a `traceparent` names, as a context for others; an empty one where it names none."""
    return _W3C.extract({TRACEPARENT: traceparent} if traceparent else {}, Context())


def carrier() -> dict[str, str]:
    """The current span as message attributes: `traceparent`, or nothing where there is no trace."""
    headers: dict[str, str] = {}
    _W3C.inject(headers)
    return {name: value for name, value in headers.items() if name == TRACEPARENT}


def traceparent() -> str | None:
    """The current span as W3C Trace Context writes it."""
    return carrier().get(TRACEPARENT)


@contextmanager
def span(
    name: str, *, parent: Context | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value | None
) -> Iterator[Span]:
    """A span around the block, child of the current one or of `parent`.

    Of an exception only the type is recorded: messages of libraries quote addresses.
    """
    with tracer.start_as_current_span(
        name, parent, kind, _known(attributes), record_exception=False, set_status_on_exception=False
    ) as started:
        try:
            yield started
        except Exception as error:
            started.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def start_span(
    name: str,
    parent: Context,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    links: Sequence[Link] = (),
    began_ns: int | None = None,
    **attributes: Value | None,
) -> Span:
    """A span that another thread may end, or that began at a time in the past, in ns since 1970."""
    return tracer.start_span(name, parent, kind, _known(attributes), links, began_ns)


@contextmanager
def use_span(around: Span) -> Iterator[None]:
    """Make a span that ends elsewhere the current one, on a thread that works for it."""
    with trace.use_span(around, record_exception=False, set_status_on_exception=False):
        yield


@contextmanager
def job_span_context(job_id: str, around: Span) -> Iterator[None]:
    """Logs and spans of the block belong to one upload, on whatever thread; `around`: the span of its work."""
    with job_context(job_id), use_span(around):
        yield


@contextmanager
def continue_trace(traceparent: str | None) -> Iterator[None]:
    """Continue an upload's own trace, where it has one and the current span is of another."""
    context = context_of(traceparent)
    own, here = (trace.get_current_span(one).get_span_context() for one in (context, None))
    if not own.is_valid or own.trace_id == here.trace_id:
        yield
        return
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def set_attributes(around: Span, **attributes: Value | None) -> None:
    """Add attributes to a span; None is left out."""
    around.set_attributes(_known(attributes))


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}
