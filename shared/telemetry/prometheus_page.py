"""The page that Prometheus reads (OTEL_METRICS_EXPORTER=prometheus): where a process serves it."""

from __future__ import annotations

import socket
from collections.abc import MutableMapping

_HOST, _PORT = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"


def page_url(environment: MutableMapping[str, str]) -> str | None:
    """The page's address, None where none is asked for. Port 0 becomes a free one in `environment`.

    OpenTelemetry's reader would take a free one too, but not tell which.
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
