"""The heartbeat: claims are renewed whatever happens to one of them, and what was taken for dead is taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.costs.shard_plan import Shard
from shared.enums import Engine
from shared.errors import DropscribeError
from shared.options.parsing import parse_upload_options
from shared.options.speaker_count import SpeakerModelName
from shared.progress.model import Stage
from shared.state.job_result import rejected
from shared.state.jobs.progress import read_progress
from shared.state.jobs.record import JobState
from tests.support.loopback_cloud import STATE, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import wait_until
from tests.support.worker_services import as_task, queue_job, running_job, worker_services

SOON_SECONDS = 50.0
"""Less than the 60 s that Google's client gives one try, and much more than the deadline in these tests."""


@pytest.fixture
def services(cloud: LoopbackCloud) -> Iterator[JobServices]:
    with worker_services() as made:
        settings = made.settings.model_copy(update={"lease_seconds": 4.0, "checkpoint_seconds": 0.0})
        yield replace(made, settings=settings)


def heartbeat_of(services: JobServices, *running: RunningJob) -> Heartbeat:
    jobs, billing = RunningJobs(capacity=len(running)), Billing(Meter(time.monotonic()), services)
    for job in running:
        jobs.add(job)
        billing.open(job)
    return Heartbeat(services, jobs, billing)


def attempt_end_of(cloud: LoopbackCloud, services: JobServices, job: RunningJob) -> AttemptEnd:
    billing = Billing(Meter(time.monotonic()), services)
    billing.open(job)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    return AttemptEnd(services, subscription, billing, EngineChain(), RunningJobs(1))


def state_of(services: JobServices, job: RunningJob) -> JobState:
    stored = services.jobs.load(job.id)
    assert stored is not None
    return stored.record.state


def test_a_job_that_the_reconciler_queued_again_is_taken_back_and_no_second_worker_gets_it(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    services.jobs.save(job.stored, state=JobState.QUEUED)
    heartbeat_of(services, job).tick()
    assert state_of(services, job) is JobState.RUNNING
    other = claim(as_task(services, "transcribe-y8"), item)
    assert other.claimed is None
    assert other.retry_after_seconds


@pytest.mark.parametrize("state", [JobState.CLAIMED, JobState.QUEUED])
def test_a_job_that_was_given_away_is_not_taken_back(
    cloud: LoopbackCloud, services: JobServices, state: JobState
) -> None:
    """To Deepgram by the function, which leaves the holder's name; or to the queue by this worker itself."""
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    if state is JobState.QUEUED:
        job.end_attempt_once()
    services.jobs.save(job.stored, state=state)
    heartbeat = heartbeat_of(services, job)
    heartbeat.tick()
    heartbeat.tick()
    assert state_of(services, job) is state


@pytest.mark.parametrize("hung", ["record.json", "parts/"], ids=["record", "checkpoint"])
def test_a_call_that_hangs_costs_no_other_job_its_claim(cloud: LoopbackCloud, services: JobServices, hung: str) -> None:
    jobs = []
    for name in ("hung.opus", "sound.opus"):
        _, item = queue_job(services, cloud, name)
        jobs.append(running_job(claim(services, item).claimed))
        jobs[-1].chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    heartbeat, (first, second) = heartbeat_of(services, *jobs), jobs
    before = second.record.lease_until

    def two_ticks() -> None:
        heartbeat.tick()
        heartbeat.tick()

    with cloud.storage_server.hold("POST", f"jobs/{first.id}/{hung}"):
        ticks = threading.Thread(target=two_ticks, daemon=True)
        ticks.start()
        wait_until(lambda: second.record.lease_until > before, "the other job's claim", SOON_SECONDS)
        wait_until(lambda: not ticks.is_alive(), "the tick after it", SOON_SECONDS)
    heartbeat.tick()
    assert all(services.checkpoints.load(job.id) for job in jobs)


def test_an_end_whose_word_of_the_cost_hangs_costs_no_other_job_its_claim(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    """Beats write the same object, and wait for who writes it."""
    jobs, billing = RunningJobs(capacity=2), Billing(Meter(time.monotonic()), services)
    for name in ("ends.opus", "runs.opus"):
        _, item = queue_job(services, cloud, name)
        jobs.add(running_job(claim(services, item).claimed))
        billing.open(jobs.all()[-1])
    heartbeat, (ends, runs) = Heartbeat(services, jobs, billing), jobs.all()
    leases, is_over = set(), threading.Event()

    def beat() -> None:
        while not is_over.is_set():
            heartbeat.tick()
            leases.add(runs.record.lease_until)

    threads = [threading.Thread(target=do, daemon=True) for do in (lambda: billing.name_job(ends), beat)]
    with cloud.storage_server.hold("POST", "open-executions/"):
        for thread in threads:
            thread.start()
        # The first beats may be before the end's word.
        wait_until(lambda: len(leases) >= 3, "beats behind it", SOON_SECONDS)
        is_over.set()
    for thread in threads:
        thread.join()


def test_a_checkpoint_that_is_stored_behind_the_jobs_last_step_does_not_stay(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    services = replace(services, settings=services.settings.model_copy(update={"lease_seconds": 600.0}))
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    heartbeat, before = heartbeat_of(services, job), job.record.lease_until
    with cloud.storage_server.hold("POST", f"jobs/{job.id}/parts/"):
        tick = threading.Thread(target=heartbeat.tick, daemon=True)
        tick.start()
        wait_until(lambda: job.record.lease_until > before, "the record, and then the checkpoint")
        job.end_attempt_once()
        services.finisher.finish(job.record, rejected(DropscribeError("No sound.")))
    tick.join()
    assert not job.unstored.take()
    assert cloud.names(STATE, f"jobs/{job.id}/parts/") == []


def test_a_job_is_not_finished_before_the_checkpoint_that_is_being_stored(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    """A worker that is killed behind the job's last step would leave one that comes later, and nobody deletes it."""
    services = replace(services, settings=services.settings.model_copy(update={"lease_seconds": 600.0}))
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    heartbeat, before = heartbeat_of(services, job), job.record.lease_until
    end, result = attempt_end_of(cloud, services, job), rejected(DropscribeError("No sound."))
    with cloud.storage_server.hold("POST", f"jobs/{job.id}/parts/"):
        threads = [threading.Thread(target=heartbeat.tick, daemon=True)]
        threads[0].start()
        wait_until(lambda: job.record.lease_until > before, "the record, and then the checkpoint")
        threads.append(threading.Thread(target=end.finish_job, args=(job, result), daemon=True))
        threads[1].start()
        threads[1].join(0.5)
        assert services.jobs.outcome(job.id) is None
    for thread in threads:
        thread.join()
    assert services.jobs.outcome(job.id) is not None
    assert cloud.names(STATE, f"jobs/{job.id}/parts/") == []


def test_no_checkpoint_is_stored_of_a_job_that_is_being_finished_but_where_that_fails(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    heartbeat = heartbeat_of(services, job)
    job.unstored.begin_finishing()
    heartbeat.tick()
    assert cloud.names(STATE, f"jobs/{job.id}/parts/") == []
    job.unstored.finishing_failed()
    heartbeat.tick()
    assert len(services.checkpoints.load(job.id)) == 1


def test_a_beat_says_how_far_the_job_is_without_a_further_call(cloud: LoopbackCloud, services: JobServices) -> None:
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    heartbeat = heartbeat_of(services, job)
    with cloud.storage_server.counted() as calls:
        heartbeat.tick()
    assert [call.method for call in calls if call.name.startswith(f"jobs/{job.id}/")] == ["POST"]
    progress = read_progress(services.jobs, job.job_id)
    assert progress is not None
    assert (progress.stage, progress.executions, progress.x_real_time) == (Stage.STARTED, 1, None)
    assert progress.at == job.record.progress_at


def test_what_a_worker_has_taken_counts_by_the_speed_of_its_model(
    services: JobServices, cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = services.settings.shape.device
    own = services.settings.initial_speeds(services.settings.shape.gpu).of(device).x_real_time
    for _ in range(9):
        assert services.speeds.observe({f"x_real_time/{device}/slow": own / 100})
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    heartbeat = heartbeat_of(services, job)
    heartbeat.hold_slot()

    def taken() -> float:
        heartbeat.tick()
        return services.own_slots.view().running.audio_seconds

    usual = taken()
    assert usual == pytest.approx(job.untranscribed_seconds()) != 0
    monkeypatch.setattr(RunningJob, "model_name", "slow")
    assert taken() == pytest.approx(100 * usual)


@pytest.mark.parametrize(
    ("model", "shards", "is_heard"),
    [
        ("built-in", (Shard(0, 0, 1), Shard(1, 1, None)), True),
        ("sortformer", (Shard(0, 0, 1), Shard(1, 1, None)), False),
        ("sortformer", (), True),
    ],
)
def test_of_a_shard_no_speakers_are_left_to_hear_where_the_whole_is_needed(
    services: JobServices, cloud: LoopbackCloud, model: SpeakerModelName, shards: tuple[Shard, ...], is_heard: bool
) -> None:
    options = parse_upload_options({"transcribe-speakers": "2-4"})
    _, item = queue_job(services, cloud, options=options, shards=shards)
    job = running_job(claim(services, item.model_copy(update={"shard": 0 if shards else None})).claimed)
    settings = services.settings.model_copy(update={"speaker_model": model})
    heartbeat = heartbeat_of(replace(services, settings=settings), job)
    heartbeat.hold_slot()
    heartbeat.tick()
    assert services.own_slots.view().running.speakers_seconds == (job.audio_seconds if is_heard else 0.0)
    assert job.audio_seconds > 0


@pytest.mark.parametrize("model", [None, "slow"])
def test_speeds_are_read_where_they_are_needed_and_cost_no_claim(
    services: JobServices, cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch, model: str | None
) -> None:
    _, item = queue_job(services, cloud)
    job = running_job(claim(services, item).claimed)
    monkeypatch.setattr(RunningJob, "model_name", model)
    heartbeat, before = heartbeat_of(services, job), job.record.lease_until
    heartbeat.hold_slot()
    began = time.monotonic()
    with cloud.storage_server.counted() as calls, cloud.storage_server.hold("GET", "speeds.json"):
        heartbeat.tick()
    assert time.monotonic() - began < SOON_SECONDS
    assert job.record.lease_until > before
    assert len([call for call in calls if call.name == "speeds.json"]) == (0 if model is None else 1)
