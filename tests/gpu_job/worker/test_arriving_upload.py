"""A worker whose upload is large: it is decoded while it is fetched, and nothing is believed before its checksum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dropscribe.local_media import inspected
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.enums import Engine, Outcome
from shared.state.jobs.record import Job, JobState
from tests.support.fixed_word_worker import DECISION, FixedWordServices, fixed_word_services, item_of, worker
from tests.support.loopback_cloud import PROJECT, RESULTS, WORK_TOPIC, LoopbackCloud
from tests.support.sounds import make
from tests.support.waiting import PATIENCE
from tests.support.worker_services import queue_job, running_job

SECONDS = 100
SPEECH = recording("call.opus")
SOUND = ("-stream_loop", "-1", "-i", str(SPEECH.path), "-t", str(SECONDS), "-ar", "48000", "-ac", "2")


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("DECODER_CHILDREN", "1")
    with fixed_word_services() as made:
        settings = made.settings.model_copy(update={"checkpoint_seconds": 0.0, "fault_backoff_seconds": 600.0})
        yield replace(made, settings=settings)


@pytest.fixture
def job(cloud: LoopbackCloud, services: FixedWordServices, tmp_path: Path) -> Job:
    """A WAV file of three parts, on the queue."""
    path = make(tmp_path / "large.wav", *SOUND)
    upload = cloud.drop(path.read_bytes(), "large.wav")
    made = services.jobs.claim(upload, "function/1", timedelta(minutes=1))
    assert made is not None
    media = inspected(path)
    assert 2 * PART_BYTES < media.size_bytes <= 3 * PART_BYTES
    made = services.jobs.save(made, state=JobState.QUEUED, media=media, decision=DECISION)
    queue(services, made)
    return made


def queue(services: FixedWordServices, job: Job) -> None:
    topic = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    services.publisher.publish(topic, item_of(job).model_dump_json().encode()).result(timeout=PATIENCE)


def run(cloud: LoopbackCloud, services: FixedWordServices) -> bool:
    return worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()


def words(cloud: LoopbackCloud, job: Job) -> int:
    """Of which the recognizer has one a second of each chunk."""
    name = f"{job.record.upload.name}/{job.record.upload.generation}/transcript.txt"
    return cloud.storage.bucket(RESULTS).blob(name).download_as_bytes().decode().count("Hello")


def test_broken_connections_are_resumed_at_the_byte_that_was_reached(
    cloud: LoopbackCloud, services: FixedWordServices, job: Job
) -> None:
    cloud.storage_server.break_downloads(2, after_bytes=PART_BYTES // 2)
    assert run(cloud, services)
    (message,) = cloud.terminal_messages()
    assert (message.job_id, message.outcome) == (job.id, Outcome.COMPLETED)
    assert words(cloud, job) >= SECONDS
    starts = sorted(int(one.removeprefix("bytes=").partition("-")[0]) for one in cloud.storage_server.ranges if one)
    resumed = [start for start in starts if start % PART_BYTES]
    assert len(resumed) == 2
    # What is read in one go is on its way to the disk or not.
    assert all(0 < start % PART_BYTES <= PART_BYTES // 2 for start in resumed)
    assert {start for start in starts if start % PART_BYTES == 0} == {0, PART_BYTES, 2 * PART_BYTES}


def test_of_content_with_another_checksum_nothing_is_published_or_kept(
    cloud: LoopbackCloud, services: FixedWordServices, job: Job
) -> None:
    cloud.storage_server.damage_downloads(2 * PART_BYTES)
    run(cloud, services)
    assert cloud.terminal_messages() == []
    assert services.jobs.outcome(job.id) is None
    assert cloud.names(RESULTS) == []
    assert services.checkpoints.load(job.id) == {}
    left = services.jobs.load(job.id)
    assert left is not None
    assert (left.record.state, left.record.attempts, left.record.faults) == (JobState.QUEUED, 0, 1)
    assert "CRC32C" in str(left.record.last_error)

    cloud.storage_server.damage_downloads(None)
    queue(services, job)
    assert run(cloud, services)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
    assert words(cloud, job) >= SECONDS


def test_no_word_about_the_file_counts_before_its_checksum(
    cloud: LoopbackCloud, services: FixedWordServices, job: Job
) -> None:
    """The first byte of the file is damaged: no demuxer would open it."""
    cloud.storage_server.damage_downloads(0)
    run(cloud, services)
    assert cloud.terminal_messages() == []
    left = services.jobs.load(job.id)
    assert left is not None
    assert (left.record.state, left.record.faults) == (JobState.QUEUED, 1)


def test_a_file_that_is_deleted_meanwhile_is_rejected(
    cloud: LoopbackCloud, services: FixedWordServices, job: Job
) -> None:
    cloud.storage_server.answer_next(1, "GET", "large.wav")
    cloud.storage_server.fail_next(100, 404, "GET", "large.wav")
    assert run(cloud, services)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.REJECTED
    assert "deleted or replaced" in str(message.reason)


def test_a_service_that_fails_meanwhile_gives_the_job_back(
    cloud: LoopbackCloud, services: FixedWordServices, job: Job
) -> None:
    cloud.storage_server.answer_next(1, "GET", "large.wav")
    cloud.storage_server.fail_next(100, 403, "GET", "large.wav")
    run(cloud, services)
    assert cloud.terminal_messages() == []
    left = services.jobs.load(job.id)
    assert left is not None
    assert (left.record.state, left.record.faults) == (JobState.QUEUED, 1)


def test_results_are_kept_for_another_attempt_once_the_file_was_checked(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    result = ChunkResult(0, 16_000, Engine.PARAKEET_CPU)
    job.unstored.file_arrives()
    job.chunk_transcribed(result)
    assert job.unstored.take() == []
    job.unstored.file_is_checked()
    assert job.unstored.take() == [result]
