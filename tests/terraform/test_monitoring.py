"""Metrics out of the logs take exactly the lines that the code writes; what alerts and dashboard ask for exists.

The code is run, its lines are put into entries as Cloud Run makes them, and Terraform's filters evaluated on these.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.chunk_queue import Task
from gpu_job.settings import JobSettings
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from infra.dashboards import definition
from infra.dashboards.queries import OwnMetric
from infra.terraform_offline.terraform import SKIPPED, Workspace, find_terraform
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.quote import Quote
from shared.enums import Engine, JobDevice, Method
from shared.errors import BadMedia
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.job_result import completed, rejected
from shared.telemetry.logs import configure_logging
from shared.telemetry.metrics import Histogram
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Word
from tests.support.function_services import MakeServices
from tests.support.google_metrics import GOOGLE_METRICS
from tests.support.logging_query import Entry, extract, matches
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.launch import launch
from trigger_function.services import Services

FUNCTION = {"type": "cloud_run_revision", "labels": {"service_name": "dropscribe-upload"}}
JOB = {"type": "cloud_run_job", "labels": {"job_name": "dropscribe-gpu"}}

MEDIA = Media(container="mp3", codec="mp3", duration_seconds=120, sample_rate_hz=16000, channels=1, size_bytes=9)
QUOTE = Quote(method=Method.PARAKEET, bill=Bill(), completion_seconds=50)
DECISION = Decision(method=Method.PARAKEET, rule="small", reason="Small.", quotes=(QUOTE,))
BILL = Bill(items=(LineItem(kind=LineItemKind.GPU, resource="gpu", quantity=2, unit="s", usd_per_unit=0.25),))


@dataclass(frozen=True)
class Deployed:
    """What Terraform applies with the defaults, against mocked resources."""

    resources: Mapping[str, Mapping[str, Any]]
    """Address -> values."""

    @property
    def log_metrics(self) -> dict[str, Mapping[str, Any]]:
        """`jobs_ended` -> the metric."""
        metrics = [one for address, one in self.resources.items() if address.startswith("google_logging_metric.")]
        return {one["name"].removeprefix("dropscribe/"): one for one in metrics}

    @property
    def dashboard(self) -> str:
        """Cloud Monitoring's, filled in."""
        return str(self.resources["google_monitoring_dashboard.pipeline"]["dashboard_json"])

    @property
    def alerts(self) -> str:
        """All conditions."""
        return json.dumps([one for address, one in self.resources.items() if "_alert_policy." in address])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, provider: Mapping[str, str]) -> Deployed:
    binary = find_terraform()
    if binary is None:
        pytest.skip(SKIPPED)
    workspace = Workspace(binary, tmp_path_factory.mktemp("terraform"), provider)
    events = workspace.test_events("-filter=tests/shapes.tftest.hcl")
    states = {event["@testrun"]: event["test_state"] for event in events if event["type"] == "test_state"}
    state = states["defaults"]
    return Deployed({one["address"]: one["values"] for one in state["root_module"]["resources"]})


Written = Callable[[Mapping[str, Any], Callable[[], object]], list[Entry]]


@pytest.fixture
def written(make_services: MakeServices) -> Written:
    """What some code logs, as entries of a resource. The fixture behind it restores the logging."""
    make_services()

    def run(resource: Mapping[str, Any], code: Callable[[], object]) -> list[Entry]:
        lines = io.StringIO()
        configure_logging("INFO", lines)
        code()
        return [{"jsonPayload": json.loads(line), "resource": resource} for line in lines.getvalue().splitlines()]

    return run


@pytest.fixture
def job(cloud: LoopbackCloud) -> Iterator[JobServices]:
    made = job_services(JobSettings.model_validate({"job_gpu": "none"}), TaskIdentity("transcribe-1", 0, 0))
    yield made
    made.publisher.stop()


@pytest.fixture
def entries(cloud: LoopbackCloud, services: Services, job: JobServices, written: Written) -> list[Entry]:
    """A transcript with a gap by the job, a rejection by the function, two executions' ends, and a failed launch."""
    cloud.runner.refuse_next(1, 429)
    return [
        *written(JOB, lambda: transcribed_by(job)),
        *written(FUNCTION, lambda: rejected_by(services)),
        *written(JOB, lambda: execution(job, batches=1)),
        *written(JOB, lambda: execution(job, batches=0)),
        *written(FUNCTION, lambda: launch(services, JobDevice.GPU, "job")),
    ]


def transcribed_by(services: JobServices) -> None:
    upload = Upload(bucket="uploads", name="a.mp3", generation=1)
    claimed = services.jobs.claim(upload, "worker", timedelta(minutes=1))
    assert claimed is not None
    times = {"received_at": now() - timedelta(seconds=100), "started_at": now() - timedelta(seconds=60)}
    record = services.jobs.save(claimed, media=MEDIA, decision=DECISION, **times).record
    coverage = Coverage(speech_seconds=100, covered_seconds=90, gaps=(Gap(start=5, end=15, reason="Noise."),))
    words = [Passage(Engine.PARAKEET_CPU, [Word(text="one", start=1, end=2)])]
    transcript = compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=120,
        language="en",
        model="m",
        passages=words,
        coverage=coverage,
    )
    services.finisher.finish(record, completed(transcript, fallbacks=1), BILL, "transcribe-1")


def rejected_by(services: Services) -> None:
    claimed = services.jobs.claim(Upload(bucket="uploads", name="b.mp3", generation=1), "me", timedelta(minutes=1))
    assert claimed is not None
    services.finisher.finish(claimed.record, rejected(BadMedia("No audio.")))


def execution(services: JobServices, batches: int) -> None:
    """A worker's bill: 12 s of start-up, and a batch of 3 s and 1 s of audio."""
    clock = iter(range(8, 100, 4))
    billing = Billing(Meter(began=0.0), services, clock=lambda: float(next(clock)))
    tasks = [Task("j", Chunk(0, np.zeros(length * SAMPLE_RATE, np.float32)), lambda part: None) for length in (3, 1)]
    for _ in range(batches):
        billing.batch_started(Engine.PARAKEET_CPU)
        billing.batch_finished(Engine.PARAKEET_CPU, tasks)
    billing.close_execution()


def test_the_logs_have_what_metrics_read(deployed: Deployed, entries: list[Entry]) -> None:
    taken = {name: values(metric, entries) for name, metric in deployed.log_metrics.items()}
    # Times are those of this run's clock, so up to some seconds more.
    assert taken == {
        "jobs_ended": [
            {"outcome": "completed_with_gaps", "method": "parakeet"},
            {"outcome": "rejected", "method": None},
        ],
        "fallbacks": [{}],
        "launches_failed": [{"kind": "quota"}],
        "bill_usd": [pytest.approx(0.5), 0.0],
        "times_expected": [pytest.approx(2, rel=0.3)],
        "queue_wait": [pytest.approx(40, rel=0.01)],
        "x_real_time": [pytest.approx(2, rel=0.3)],
        "coverage": [pytest.approx(0.9)],
        "startup": [12.0],
        "batch_fill": [pytest.approx(4 / 6)],
    }


def values(metric: Mapping[str, Any], entries: list[Entry]) -> list[Any]:
    """What a metric takes from the entries that its filter chooses: a value of each, or its labels."""
    chosen = [entry for entry in entries if matches(metric["filter"], entry)]
    if metric["metric_descriptor"][0]["value_type"] == "DISTRIBUTION":
        return [extract(metric["value_extractor"], entry) for entry in chosen]
    extractors = metric["label_extractors"] or {}
    return [{label: extract(extractor, entry) for label, extractor in extractors.items()} for entry in chosen]


def test_what_others_log_is_not_counted(deployed: Deployed, entries: list[Entry]) -> None:
    others = [
        {**entry, "resource": {"type": "k8s_container", "labels": {"service_name": "other", "job_name": "other"}}}
        for entry in entries
    ]
    assert [name for name, metric in deployed.log_metrics.items() if values(metric, others)] == []


FIGURES = [
    one
    for one in vars(definition).values()
    if isinstance(one, OwnMetric) and one.logged and isinstance(one.metric, Histogram)
]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.metric.name)
def test_buckets_are_those_of_the_same_figure_elsewhere(deployed: Deployed, figure: OwnMetric) -> None:
    assert figure.logged is not None
    metric = deployed.log_metrics[figure.logged.name]
    (buckets,) = metric["bucket_options"][0]["explicit_buckets"]
    assert isinstance(figure.metric, Histogram)
    assert tuple(buckets["bounds"]) == figure.metric.boundaries
    assert metric["metric_descriptor"][0]["unit"] == figure.metric.unit


def test_dollars_have_the_unit_that_they_have_elsewhere(deployed: Deployed) -> None:
    figure = definition.BILLED
    assert figure.logged is not None
    assert deployed.log_metrics[figure.logged.name]["metric_descriptor"][0]["unit"] == figure.metric.unit == "{USD}"


def test_every_metric_is_defined_is_shown_and_is_asked_for_by_its_name(deployed: Deployed) -> None:
    asked = set(re.findall(r"logging_googleapis_com:user_dropscribe_(\w+)\{", deployed.dashboard + deployed.alerts))
    metrics = deployed.log_metrics
    endings = {"_sum", "_bucket"}
    known = {
        f"{name}{ending}"
        for name, metric in metrics.items()
        for ending in (endings if metric["metric_descriptor"][0]["value_type"] == "DISTRIBUTION" else {""})
    }
    assert asked <= known
    assert {re.sub("_(sum|bucket)$", "", name) for name in asked} == metrics.keys()


def test_googles_metrics_exist(deployed: Deployed) -> None:
    text = deployed.dashboard + deployed.alerts
    asked = set(re.findall(r'metric\.type = [\\"]+([^"\\]+)', text))
    assert asked == GOOGLE_METRICS.keys()
    queried = set(re.findall(r"(\b(?!logging_)\w+_googleapis_com:\w+?)(?:_bucket)?\{", text))
    assert queried
    assert queried <= {re.sub(r"\W", "_", metric.replace("/", "|", 1)).replace("_com_", "_com:") for metric in asked}


def test_the_dashboard_shows_what_alerts_go_by(deployed: Deployed) -> None:
    def plain(text: str) -> str:
        return re.sub(r'[\s\\"()]', "", text)

    for alert in ("error_rate", "fallback_rate", "times_expected"):
        policy = deployed.resources[f'google_monitoring_alert_policy.query["{alert}"]']
        query = policy["conditions"][0]["condition_prometheus_query_language"][0]["query"]
        assert plain(query.partition(" > ")[0]) in plain(deployed.dashboard)
