"""An OTLP collector for traces, that processes under test send to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from infra.emulators.http_server import HttpServer


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came, with the service that sent it."""

    service: str
    instance: str
    span: Span

    @property
    def id(self) -> tuple[str, str]:
        """Trace and span."""
        return self.span.trace_id.hex(), self.span.span_id.hex()

    @property
    def parent(self) -> tuple[str, str]:
        """Trace and span that it is a child of."""
        return self.span.trace_id.hex(), self.span.parent_span_id.hex()

    @property
    def links(self) -> set[tuple[str, str]]:
        """Traces and spans that it is linked to."""
        return {(link.trace_id.hex(), link.span_id.hex()) for link in self.span.links}


@dataclass
class Collector:
    """What came until now."""

    url: str = ""
    sent: list[ReceivedSpan] = field(default_factory=list)

    def all(self, name: str) -> list[ReceivedSpan]:
        """The spans of a name."""
        return [one for one in self.sent if one.span.name == name]

    def take(self) -> bytes:
        """One request's spans; the answer is an empty message."""
        request = ExportTraceServiceRequest.FromString(flask.request.get_data())
        for of_resource in request.resource_spans:
            sender = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            spans = [span for scope in of_resource.scope_spans for span in scope.spans]
            self.sent += [ReceivedSpan(sender["service.name"], sender["service.instance.id"], span) for span in spans]
        return b""


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port."""
    app, collecting = flask.Flask("collector"), Collector()
    app.add_url_rule("/v1/traces", view_func=collecting.take, methods=["POST"])
    with HttpServer(app) as server:
        collecting.url = server.url
        yield collecting
