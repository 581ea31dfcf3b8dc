"""Exporting: off costs nothing, on sends what OTEL_* says, and whatever fails is one line in the log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from shared.telemetry.export import is_enabled
from tests.support.otlp_collector import collector
from tests.support.waiting import PATIENCE

PROGRAM = """
import sys, threading
from shared.telemetry import export, tracing
from shared.telemetry.logs import configure_logging

configure_logging()
before = set(sys.modules)
for _ in range(2):
    export.start("dropscribe-job")
with tracing.span("a"):
    pass
export.flush({seconds})
sdk = any(name.startswith("opentelemetry.sdk") for name in sys.modules)
print(sdk, threading.active_count(), len(set(sys.modules) - before))
"""


def ran(seconds: float = 5.0, **environment: str) -> tuple[str, list[dict[str, Any]]]:
    """What a process with this environment printed and logged."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seconds=seconds)],
        env={**usual, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout.strip(), [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "a", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": " "}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_exporters_are_asked_for_by_name(environment: Mapping[str, str], expected: bool) -> None:
    assert is_enabled(environment) is expected


def test_off_loads_nothing_and_starts_nothing() -> None:
    assert ran() == ("False 1 0", [])


def test_a_missing_exporter_is_one_line_and_no_more() -> None:
    _, lines = ran(OTEL_TRACES_EXPORTER="carrier-pigeon")
    (line,) = lines
    assert (line["severity"], line["message"]) == ("ERROR", "telemetry did not start")
    assert "carrier-pigeon" in line["why"]


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    # Its connections are accepted by the kernel, and nobody ever reads them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        _, lines = ran(
            0.5,
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            # What is left at the end of a process waits so long once more.
            OTEL_EXPORTER_OTLP_TIMEOUT="1",
        )
    assert "telemetry export timed out" in [line["message"] for line in lines]


@pytest.mark.parametrize(("environment", "service"), [({}, "dropscribe-job"), ({"OTEL_SERVICE_NAME": "mine"}, "mine")])
def test_spans_arrive_with_the_service_and_the_instance_that_sent_them(
    environment: Mapping[str, str], service: str
) -> None:
    with collector() as collecting:
        _, lines = ran(
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=collecting.url,
            CLOUD_RUN_EXECUTION="transcribe-x7",
            CLOUD_RUN_TASK_INDEX="2",
            **environment,
        )
    assert lines == []
    assert [(one.span.name, one.service, one.instance) for one in collecting.sent] == [
        ("a", service, "transcribe-x7/2-0")
    ]
