"""Where a process serves its metrics for Prometheus to scrape (OTEL_METRICS_EXPORTER=prometheus)."""

from __future__ import annotations

import socket
from collections.abc import MutableMapping

_HOST, _PORT = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"


def endpoint_url(environment: MutableMapping[str, str]) -> str | None:
    """The endpoint's address; None where none is configured. Port 0 is replaced by a free one in `environment`.

    OpenTelemetry's reader would take a free one too, but not say which.
    """
    names = environment.get("OTEL_METRICS_EXPORTER", "").lower().split(",")
    if "prometheus" not in [name.strip() for name in names]:
        return None
    # The defaults of OpenTelemetry's specification.
    host, port = environment.get(_HOST, "localhost"), environment.get(_PORT, "9464")
    if port == "0":
        with socket.create_server((host, 0)) as probe:
            port = environment[_PORT] = str(probe.getsockname()[1])
    return f"http://{host}:{port}/metrics"
