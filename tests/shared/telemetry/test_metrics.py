"""The catalogue of metrics is sound, and what an upload showed when it ended comes out of it."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.costs.bill import Bill, LineItem, LineItemKind, Phase
from shared.costs.quote import Quote
from shared.enums import Method, Outcome
from shared.media import Media, Upload
from shared.messages import CoverageSummary, Decision, TerminalMessage
from shared.state.job_metrics import JobMetrics
from shared.telemetry import metrics
from shared.telemetry.metrics import CATALOGUE, Counter, Gauge, Histogram, Metric
from shared.transcript.model import Coverage, Gap
from tests.support.recorded_metrics import RecordedMetrics, Values, labels
from tests.support.waiting import PATIENCE

AT = datetime(2026, 11, 1, tzinfo=UTC)
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=600, sample_rate_hz=16000, channels=1, size_bytes=9)
BILL = Bill(
    items=(
        *(
            LineItem(
                kind=LineItemKind.CPU,
                phase=Phase.START_UP,
                resource="cloud run cpu (start-up)",
                quantity=vcpu_seconds,
                unit="vCPU-s",
                usd_per_unit=0.01,
            )
            for vcpu_seconds in (2, 1)
        ),
        LineItem(kind=LineItemKind.DEEPGRAM, resource="deepgram nova-3", quantity=1, unit="min", usd_per_unit=0.005),
    )
)


def message(**changes: Any) -> TerminalMessage:
    quote = Quote(method=Method.PARAKEET, bill=Bill(), completion_seconds=50)
    fields: dict[str, Any] = {
        "event_id": "e",
        "job_id": "j",
        "upload": Upload(bucket="uploads", name="a.mp3", generation=1),
        "outcome": Outcome.COMPLETED_WITH_GAPS,
        "reason": "No words.",
        "decision": Decision(method=Method.PARAKEET, rule="small", reason="Small.", quotes=(quote,)),
        "media": MEDIA,
        "coverage": CoverageSummary.of(
            Coverage(
                speech_seconds=500,
                covered_seconds=490,
                gaps=(Gap(start=1, end=8, reason="x"), Gap(start=9, end=12, reason="x")),
            )
        ),
        "bill": BILL,
        "execution": "transcribe-1",
        "received_at": AT,
        "finished_at": AT,
        "wait_seconds": 40,
        "work_seconds": 60,
    }
    return TerminalMessage.model_validate({**fields, **changes})


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_and_units_are_opentelemetrys(metric: Metric) -> None:
    assert re.fullmatch(r"dropscribe(\.[a-z]+(_[a-z]+)*)+", metric.name)
    # UCUM: seconds, no unit, or a note of what is counted.
    assert re.fullmatch(r"s|1|\{\w+\}", metric.unit)
    assert metric.description.endswith(".")


def test_the_catalogue_has_every_metric_of_the_module_once() -> None:
    defined = [one for one in vars(metrics).values() if isinstance(one, Metric)]
    assert sorted(one.name for one in CATALOGUE) == sorted({one.name for one in defined})


def test_no_label_is_one_that_a_scrape_brings_along() -> None:
    assert {name for one in CATALOGUE for name in one.attributes}.isdisjoint({"job", "instance", "le", "quantile"})


@pytest.mark.parametrize("metric", [one for one in CATALOGUE if isinstance(one, Histogram)], ids=lambda one: one.name)
def test_buckets_are_those_of_the_catalogue(metric: Histogram, recorded_metrics: RecordedMetrics) -> None:
    attributes = dict.fromkeys(metric.attributes, "x")
    metric.record(1.5, **attributes)
    assert recorded_metrics.collect() == {(metric.name, labels(**attributes)): Values(1, 1.5, metric.boundaries)}
    assert sorted(set(metric.boundaries)) == list(metric.boundaries) != []


def test_a_gauge_is_read_whenever_somebody_looks(recorded_metrics: RecordedMetrics) -> None:
    levels = iter((0.25, 0.5))
    Gauge("dropscribe.test.level", "{share}", "Of this test.").observe(lambda: next(levels, 0.0))
    seen = [recorded_metrics.levels()["dropscribe.test.level"] for _ in range(2)]
    assert seen == [0.25, 0.5]


def test_a_counter_adds_up(recorded_metrics: RecordedMetrics) -> None:
    counter = Counter("dropscribe.test.count", "{thing}", "Of this test.", ("kind",))
    counter.add(1, kind="a")
    counter.add(2.5, kind="a")
    assert recorded_metrics.collect() == {("dropscribe.test.count", labels(kind="a")): 3.5}


def test_figures_of_an_upload_that_a_job_transcribed() -> None:
    ended = JobMetrics.of(message(), fallbacks=2)
    assert ended == JobMetrics(
        outcome=Outcome.COMPLETED_WITH_GAPS,
        method=Method.PARAKEET,
        reason="No words.",
        bill_usd=pytest.approx(0.035),
        fallbacks=2,
        wait_seconds=40,
        completion_seconds=100,
        times_expected=2,
        x_real_time=10,
        coverage=0.98,
        gap_seconds=10,
    )


def test_what_is_not_known_is_no_figure() -> None:
    nothing = {"decision": None, "media": None, "coverage": None, "execution": None, "bill": Bill()}
    ended = JobMetrics.of(message(outcome=Outcome.REJECTED, **nothing), fallbacks=0)
    assert ended == JobMetrics(Outcome.REJECTED, None, "No words.", 0.0, 0, None, None, None, None, None, None)
    assert JobMetrics.of(message(work_seconds=0), fallbacks=0).x_real_time is None


def test_figures_are_counted_and_the_bill_by_its_lines(recorded_metrics: RecordedMetrics) -> None:
    ended = message()
    JobMetrics.of(ended, fallbacks=2).count(ended.bill)
    seen = recorded_metrics.collect()
    parakeet = labels(method="parakeet")
    assert seen["dropscribe.uploads", labels(outcome="completed_with_gaps", method="parakeet")] == 1
    assert seen["dropscribe.billed", labels(method="parakeet", kind="cpu", phase="start-up")] == pytest.approx(0.03)
    assert seen["dropscribe.billed", labels(method="parakeet", kind="deepgram", phase="none")] == pytest.approx(0.005)
    assert (seen["dropscribe.fallbacks", parakeet], seen["dropscribe.gaps", parakeet]) == (1, 10)
    sums = {name: value.sum for (name, _), value in seen.items() if isinstance(value, Values)}
    assert sums == {
        "dropscribe.queue.wait": 40,
        "dropscribe.completion.time": 100,
        "dropscribe.completion.times_expected": 2,
        "dropscribe.x_real_time": 10,
        "dropscribe.coverage": 0.98,
    }


def test_a_rejected_upload_is_counted_and_nothing_of_it_measured(recorded_metrics: RecordedMetrics) -> None:
    nothing = {"decision": None, "media": None, "coverage": None, "execution": None, "bill": Bill()}
    ended = message(outcome=Outcome.REJECTED, **nothing)
    JobMetrics.of(ended, fallbacks=0).count(ended.bill)
    assert recorded_metrics.collect() == {("dropscribe.uploads", labels(outcome="rejected", method="none")): 1}


def test_without_an_exporter_no_sdk_is_loaded() -> None:
    program = (
        "import sys; from shared.telemetry.metrics import UPLOADS; UPLOADS.add(1, outcome='x', method='y');"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[]\n"
