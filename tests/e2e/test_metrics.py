"""The pages that Prometheus reads, on a laptop cloud: what they say is what the outcome's message says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from infra.emulators.cloud import JOB, CloudOptions
from infra.recordings import recording
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import Message, user_client_of
from tests.support.waiting import PATIENCE, wait_until

SCOPE = "otel_scope_"


@dataclass(frozen=True)
class Page:
    """The samples of one scrape, by name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def read(cls, log: Path) -> Page | None:
        """The page of the process that writes this log, as Prometheus's own parser takes it; None before it is up."""
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
        url = next((line["url"] for line in lines if line["message"] == "metrics are served"), None)
        if url is None:
            return None
        text = requests.get(url, timeout=PATIENCE).text
        samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if not name.startswith(SCOPE)}
                samples[sample.name, frozenset(labels.items())] = sample.value
        return cls(samples)

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, by all of its labels."""
        return self.samples.get((name, frozenset(labels.items())))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of a metric's samples by one label."""
        sums: dict[str, float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name:
                key = dict(labels)[label]
                sums[key] = sums.get(key, 0.0) + value
        return sums


@dataclass(frozen=True)
class Run:
    """One upload through a whole cloud: its outcome, and both processes' pages after it."""

    message: Message
    function: Page
    job: Page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    # The job must be there to be asked once it is done; TERM ends it with the cloud.
    settings = {"OTEL_METRICS_EXPORTER": "prometheus", "WORK_IDLE_SECONDS": "60"}
    with FaultyLaptopCloud(tmp_path_factory.mktemp("cloud"), CloudOptions(settings=settings)) as cloud:
        user = user_client_of(cloud)
        message = user.outcome(user.drop(recording("call").path, "calls/a.opus"))
        log = cloud.runner.executions()[0].log

        def ended() -> Page | None:
            page = Page.read(log)
            return page if page and page.by("dropscribe_uploads_total", "outcome") else None

        # The metrics are counted once the message is out.
        job = wait_until(ended, "the upload is counted")
        function = Page.read(cloud.logs / "on_upload.log")
        assert function is not None
        yield Run(message, function, job)


def test_the_upload_is_counted_with_its_outcome_and_method(run: Run) -> None:
    assert run.message["outcome"] == "completed"
    assert run.job.value("dropscribe_uploads_total", outcome="completed", method="parakeet") == 1
    assert run.job.by("dropscribe_uploads_total", "method") == {"parakeet": 1}
    assert run.job.by("dropscribe_fallbacks_total", "method") == {}


def test_dollars_are_those_of_the_bill_line_by_line(run: Run) -> None:
    for label in ("kind", "phase"):
        dollars: dict[str, float] = {}
        for item in run.message["bill"]["items"]:
            value = item[label] or "none"
            dollars[value] = dollars.get(value, 0.0) + item["usd"]
        assert run.job.by("dropscribe_billed_total", label) == pytest.approx(dollars)
        assert sum(dollars.values()) == pytest.approx(run.message["bill"]["usd"])


def test_times_are_those_of_the_message(run: Run) -> None:
    message, job = run.message, run.job
    assert job.value("dropscribe_queue_wait_seconds_sum", method="parakeet") == pytest.approx(message["wait_seconds"])
    whole = message["wait_seconds"] + message["work_seconds"]
    assert job.value("dropscribe_completion_time_seconds_sum", method="parakeet") == pytest.approx(whole)
    speed = message["media"]["duration_seconds"] / message["work_seconds"]
    assert job.value("dropscribe_x_real_time_sum", method="parakeet") == pytest.approx(speed)
    coverage = message["coverage"]
    share = coverage["covered_seconds"] / coverage["speech_seconds"]
    assert job.value("dropscribe_coverage_sum", method="parakeet") == pytest.approx(share)
    assert job.value("dropscribe_coverage_count", method="parakeet") == 1


def test_the_engine_heard_all_of_the_audio_in_batches(run: Run) -> None:
    transcribed_seconds = run.job.by("dropscribe_audio_seconds_total", "engine")
    assert set(transcribed_seconds) == {"parakeet-cpu"}
    # Pauses are not heard, and joins may be heard twice.
    assert transcribed_seconds["parakeet-cpu"] == pytest.approx(run.message["media"]["duration_seconds"], rel=0.5)
    in_batches = run.job.value("dropscribe_batch_audio_seconds_sum", engine="parakeet-cpu")
    assert in_batches == pytest.approx(transcribed_seconds["parakeet-cpu"])
    batches = run.job.value("dropscribe_batch_fill_count", engine="parakeet-cpu")
    filled = run.job.value("dropscribe_batch_fill_sum", engine="parakeet-cpu")
    assert batches
    assert filled
    assert 0.5 <= filled / batches <= 1
    assert run.job.value("dropscribe_execution_startup_seconds_count", device="cpu") == 1


def test_the_function_counts_the_execution_it_launched_and_no_upload(run: Run) -> None:
    assert run.function.by("dropscribe_launches_total", "job_name") == {JOB.rpartition("/")[2]: 1}
    assert run.function.by("dropscribe_launches_failed_total", "kind") == {}
    assert run.function.by("dropscribe_uploads_total", "outcome") == {}


def test_without_a_gpu_there_is_no_figure_of_one(run: Run) -> None:
    assert [name for name, _ in run.job.samples if "gpu" in name] == []
