"""A worker whose job another process has, or ended, stops it at once; what it cost until then is overhead."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from gpu_job.engines.api_call import ApiCall
from gpu_job.settings import JobSettings
from gpu_job.worker.billing.bills import Billing, UnbilledTime
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices, job_services
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from shared.clock import now
from shared.enums import Outcome
from shared.errors import DropscribeError
from shared.state.job_result import failed
from shared.state.jobs.record import Job, JobState
from shared.state.ledger_entry import EntryState, month_of
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from tests.support.sounds import make, noise, raw, silence
from tests.support.waiting import PATIENCE, wait_until
from tests.support.worker_services import MEDIA, TASK, FakeModelServices, IdleOwner, queue_job, running_job

BURSTS, APART_SECONDS = 40, 10
"""Each burst is a chunk, and four are a batch."""
OTHER = "transcribe-y8/0"


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModelServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("HEARTBEAT_SECONDS", "0.1")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "0.1")
    made = FakeModelServices(**vars(job_services(JobSettings(), TASK)))
    yield made
    made.recognizer.gate.set()
    made.publisher.stop()


def queued(cloud: LoopbackCloud, services: JobServices, sound: Path) -> Job:
    media = MEDIA.model_copy(update={"duration_seconds": BURSTS * APART_SECONDS})
    job, item = queue_job(services, cloud, "bursts.wav", data=sound.read_bytes(), media=media)
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    data = item.model_copy(update={"media": media}).model_dump_json().encode()
    services.publisher.publish(path, data).result(timeout=PATIENCE)
    return job


def loaded(services: JobServices, job: Job) -> Job:
    stored = services.jobs.load(job.id)
    assert stored is not None
    return stored


def taken(services: JobServices, job: Job) -> None:
    """By another worker, which found the claim lapsed."""
    until = now() + timedelta(minutes=5)
    wait_until(
        lambda: services.jobs.try_save(loaded(services, job), holder=OTHER, state=JobState.RUNNING, lease_until=until),
        "another worker's claim",
    )


def ended(services: JobServices, job: Job) -> None:
    """By the function, which had a late answer."""
    record = loaded(services, job).record
    services.finisher.finish(record, failed(DropscribeError("Ended elsewhere.")), record.spent)


@pytest.mark.parametrize("lose", [taken, ended])
def test_a_job_that_another_process_has_is_stopped_and_its_cost_is_overhead(
    cloud: LoopbackCloud,
    services: FakeModelServices,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    lose: Callable[[JobServices, Job], None],
) -> None:
    caplog.set_level(logging.INFO)
    burst = np.concatenate([noise(APART_SECONDS - 3.0, -20), silence(3.0)])
    sound = make(tmp_path / "bursts.wav", *raw(tmp_path / "bursts.raw", np.tile(burst, BURSTS)))
    job = queued(cloud, services, sound)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    worker = Worker(services, subscription, Billing(Meter(time.monotonic()), services))
    run = threading.Thread(target=worker.run, daemon=True)
    run.start()
    services.recognizer.begun.get(timeout=PATIENCE)
    wait_until(lambda: loaded(services, job).record.spent.usd, "a heartbeat")
    lose(services, job)
    wait_until(lambda: "a claim was lost" in caplog.messages or not run.is_alive(), "the worker to notice")
    assert "a claim was lost" in caplog.messages
    services.recognizer.gate.set()
    run.join(PATIENCE)
    assert not run.is_alive()
    # What was ready is not begun, nor what was queued or would have been cut.
    assert services.recognizer.begun.qsize() == 0
    outcome, record = services.jobs.outcome(job.id), loaded(services, job).record
    assert (record.holder == OTHER) is (lose is taken)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.FAILED] * (lose is ended)
    name = f"executions/{TASK.execution}/0-0"
    unbilled = UnbilledTime.model_validate_json(services.state.blob(f"{name}.json").download_as_bytes())
    entries = list(services.ledger.entries(month_of(now())))
    (entry,) = [entry for entry in entries if entry.state is EntryState.OVERHEAD]
    billed_usd = record.spent.usd if outcome is None else outcome.bill.usd
    assert 0 < billed_usd < entry.usd + billed_usd
    assert entry.usd + billed_usd == pytest.approx(unbilled.instance_seconds * unbilled.usd_per_second, rel=0.01)


def test_a_call_to_deepgram_finds_that_the_claim_is_lost(cloud: LoopbackCloud, services: FakeModelServices) -> None:
    """The record, in which a call's price is written before the call, says whose the job is."""
    _, item = queue_job(services, cloud)
    owner, jobs = IdleOwner(), RunningJobs(1)
    job = running_job(claim(services, item).claimed, owner=owner)
    jobs.add(job)
    billing = Billing(Meter(time.monotonic()), services)
    billing.open(job)
    heartbeat = Heartbeat(services, jobs, billing)
    services.jobs.save(job.stored, holder=OTHER)
    call = ApiCall(job.id, chunks=1, sent_samples=16000)
    billing.call_started(call)
    heartbeat.record_costs(job.id)
    assert owner.lost == [job.id]
    assert job.is_ended
