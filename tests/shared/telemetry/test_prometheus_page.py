"""Where the page for Prometheus is served."""

from __future__ import annotations

import pytest

from shared.telemetry.prometheus_page import endpoint_url


@pytest.mark.parametrize("exporter", ["", "none", "otlp", "otlp,console"])
def test_there_is_none_unless_it_is_asked_for(exporter: str) -> None:
    assert endpoint_url({"OTEL_METRICS_EXPORTER": exporter}) is None
    assert endpoint_url({}) is None


@pytest.mark.parametrize("exporter", ["prometheus", "otlp, prometheus"])
def test_it_is_where_opentelemetry_puts_it(exporter: str) -> None:
    assert endpoint_url({"OTEL_METRICS_EXPORTER": exporter}) == "http://localhost:9464/metrics"
    at = {"OTEL_EXPORTER_PROMETHEUS_HOST": "0.0.0.0", "OTEL_EXPORTER_PROMETHEUS_PORT": "9000"}
    assert endpoint_url({"OTEL_METRICS_EXPORTER": exporter, **at}) == "http://0.0.0.0:9000/metrics"


def test_port_0_becomes_a_free_one_that_the_exporter_is_told() -> None:
    environment = {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
    }
    url = endpoint_url(environment)
    port = environment["OTEL_EXPORTER_PROMETHEUS_PORT"]
    assert url == f"http://127.0.0.1:{port}/metrics"
    assert int(port) > 1023
