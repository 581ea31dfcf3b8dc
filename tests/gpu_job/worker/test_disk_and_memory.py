"""A worker whose disk has not room for all of its uploads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gpu_job.worker.subscription import WorkSubscription
from shared.enums import Outcome
from tests.support.fixed_word_worker import AUDIO, FixedWordServices, fixed_word_services, queued, worker
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud

GIB = 2**30


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("SCRATCH_FOLDER", str(tmp_path))
    with fixed_word_services() as made:
        yield made


def with_disk(services: FixedWordServices, files: float) -> FixedWordServices:
    """On a disk with room for so many of the recording."""
    settings = services.settings.model_copy(update={"job_disk_gib": files * len(AUDIO) / GIB})
    return replace(services, settings=settings)


def run(cloud: LoopbackCloud, services: FixedWordServices) -> bool:
    return worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()


def test_sound_files_on_a_disk_for_one_and_a_half_are_taken_one_after_the_other(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    jobs = [queued(cloud, services, f"{number}.opus") for number in range(5)]
    assert run(cloud, with_disk(services, 1.5))
    ended = {message.job_id: message for message in cloud.terminal_messages()}
    assert [ended[job.id].outcome for job in jobs] == [Outcome.COMPLETED] * 5
    records = [job.record for one in jobs if (job := services.jobs.load(one.id))]
    assert [record.attempts for record in records] == [1] * 5
    times = sorted((record.started_at, ended[record.upload.job_id].finished_at) for record in records)
    assert all(before[1] <= after[0] for before, after in pairwise(times))


def test_a_file_larger_than_the_disk_is_rejected_before_it_is_fetched(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    large = queued(cloud, services, "large.opus", audio=AUDIO + AUDIO)
    small = queued(cloud, services, "small.opus")
    assert run(cloud, with_disk(services, 1.5))
    outcomes = {message.job_id: message for message in cloud.terminal_messages()}
    assert outcomes[small.id].outcome is Outcome.COMPLETED
    assert outcomes[large.id].outcome is Outcome.REJECTED
    assert "an instance of the job has room for 0.00 GB only" in str(outcomes[large.id].reason)
