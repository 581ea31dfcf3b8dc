"""Traces: what travels without an exporter, what one would get, and what no span may say."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from shared.telemetry import tracing
from tests.support.recorded_spans import RecordedSpans, id_of, named, parent_of

INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"


def test_without_an_exporter_the_incoming_trace_travels_on_unchanged() -> None:
    with tracing.span("a", parent=tracing.context_of(INCOMING), anything=1), tracing.span("b"):
        assert tracing.carrier() == {"traceparent": INCOMING}
    begun = tracing.start_span("c", tracing.context_of(OTHER))
    with tracing.use_span(begun):
        assert tracing.traceparent() == OTHER
    assert tracing.carrier() == {}


@pytest.mark.parametrize("header", [None, "", "nonsense", INCOMING[:-4], INCOMING.replace("0af7", "zzzz")])
def test_what_names_no_span_starts_no_trace(header: str | None) -> None:
    with tracing.span("a", parent=tracing.context_of(header)):
        assert tracing.traceparent() is None


def test_a_span_is_the_child_of_the_one_it_came_with(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_spans = RecordedSpans(monkeypatch)
    with tracing.span("a", parent=tracing.context_of(INCOMING), size=3, unknown=None), tracing.span("b"):
        sent = tracing.traceparent()
    assert sent is not None
    assert named(sent) == id_of(recorded_spans.one("b"))
    assert parent_of(recorded_spans.one("b")) == id_of(recorded_spans.one("a"))
    assert parent_of(recorded_spans.one("a")) == named(INCOMING)
    assert dict(recorded_spans.one("a").attributes or {}) == {"size": 3}


def test_of_an_exception_only_its_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_spans = RecordedSpans(monkeypatch)
    with pytest.raises(ValueError), tracing.span("a"):
        raise ValueError("https://storage/secret?X-Goog-Signature=abc")
    span = recorded_spans.one("a")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "Signature" not in span.to_json()


def test_an_upload_goes_on_in_its_own_trace() -> None:
    with tracing.span("event", parent=tracing.context_of(OTHER)):
        with tracing.continue_trace(INCOMING):
            assert tracing.traceparent() == INCOMING
        for same_or_none in (None, "nonsense", OTHER.replace("2222", "3333")):
            with tracing.continue_trace(same_or_none):
                assert tracing.traceparent() == OTHER
    assert not trace.get_current_span().get_span_context().is_valid
