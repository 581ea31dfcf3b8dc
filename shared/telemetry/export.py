"""Export of traces and metrics by OpenTelemetry's SDK, loaded only where the OTEL_* settings name an exporter.

Without an exporter OpenTelemetry's API does nothing, at no cost. Telemetry that fails never fails an upload.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping

from opentelemetry import metrics, trace

from shared.telemetry.prometheus_page import endpoint_url

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
"""Longest wait for the exporters, in seconds, after an event or at the end of a process."""

_once = threading.Lock()
_started = False


def start(service: str) -> None:
    """Start the exporters that the environment names, once in a process. OTEL_SERVICE_NAME overrides `service`."""
    global _started
    with _once:
        if _started or not is_enabled(os.environ):
            return
        _started = True
        # The SDK's own default is gRPC, whose exporter is not shipped; the specification's is this one.
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        try:
            endpoint = endpoint_url(os.environ)
            _configure(_resource(service, os.environ))
        except Exception as error:
            _log.error("telemetry did not start", extra={"fields": {"why": str(error)}})
        else:
            if endpoint is not None:
                _log.info("metrics are served", extra={"fields": {"url": endpoint}})


def is_enabled(environment: Mapping[str, str]) -> bool:
    """Whether the environment names an exporter and does not switch the SDK off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    names = (environment.get(f"OTEL_{signal}_EXPORTER", "") for signal in ("TRACES", "METRICS", "LOGS"))
    return any(name.strip().lower() not in ("", "none") for name in names)


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Export what was recorded, waiting at most `seconds`; the SDK's own flush has no such bound."""
    if not _started:
        return
    # A daemon thread: a collector that does not answer must not delay the process or its end.
    thread = threading.Thread(target=_flush, args=(seconds,), name="telemetry-flush", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _log.warning("telemetry export timed out", extra={"fields": {"seconds": seconds}})


def _configure(resource: Mapping[str, str]) -> None:
    # Imported here: it takes 0.1 s that a process without telemetry need not spend. OpenTelemetry's own distributions
    # start with this class; its underscore promises nothing, so a test starts one.
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    _OTelSDKConfigurator().configure(resource_attributes=dict(resource))


def _resource(service: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Resource attributes: the service and its instance, so that two processes never write the same series."""
    execution = environment.get("CLOUD_RUN_EXECUTION")
    attributes = {"service.instance.id": uuid.uuid4().hex}
    if "OTEL_SERVICE_NAME" not in environment and "service.name=" not in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        attributes["service.name"] = service
    if execution:
        task, attempt = (environment.get(f"CLOUD_RUN_TASK_{name}", "0") for name in ("INDEX", "ATTEMPT"))
        attributes |= {
            "service.instance.id": f"{execution}/{task}-{attempt}",
            "gcp.cloud_run.job.execution": execution,
            "gcp.cloud_run.job.task_index": task,
        }
    return attributes


def _flush(seconds: float) -> None:
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        force: Callable[[float], bool] | None = getattr(provider, "force_flush", None)
        if force is None:
            continue
        try:
            force(seconds * 1000)
        except Exception as error:
            _log.warning("telemetry export failed", extra={"fields": {"why": str(error)}})
