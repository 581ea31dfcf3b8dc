"""A worker with a re-run of a job that failed, killed before each of its effects in turn: the run ends once, goes on
with what the run before had stored, and is billed beside it.

How a re-run begins: tests/shared/operations/test_rerun.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.enums import Outcome
from shared.errors import DropscribeError
from shared.messages import Receipt, TerminalMessage
from shared.objects import bucket_and_name
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.state.job_result import failed
from shared.state.jobs.record import Job, JobState
from shared.state.ledger_entry import month_of
from tests.support.fixed_word_worker import item_of, queued
from tests.support.killed_process import killed_at
from tests.support.later_attempts import ONE_FORMAT
from tests.support.loopback_cloud import STATE, LoopbackCloud
from tests.support.stepped_worker import SteppedWorker, end_killed_work
from tests.support.worker_services import worker_services

RESULTS_AND_OUTCOME = 4
"""Effects at the least."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "0.001")
    monkeypatch.setenv("RESULT_FORMATS", ONE_FORMAT)
    with worker_services() as made:
        yield made


def run_again(cloud: LoopbackCloud, services: JobServices, name: str) -> Job:
    """A job whose first run failed with a checkpoint stored, and whose second one is queued."""
    job = queued(cloud, services, name)
    first = SteppedWorker(cloud, services, f"first-{job.id}")
    running = first.claim(item_of(job))
    assert running is not None
    first.beat()
    record = running.record
    services.finisher.finish(record, failed(DropscribeError("Every chunk failed.")))
    first.close()
    began = begin_rerun(services.storage, services.jobs, job.id, RerunRequest())
    return services.jobs.save(began, state=JobState.QUEUED, media=record.media, decision=record.decision)


def test_killed_before_any_effect(cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch) -> None:
    for effect in count(1):
        job = run_again(cloud, services, f"again/{effect}.opus")
        killed = SteppedWorker(cloud, services, f"transcribe-{effect}")
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            running = killed.claim(item_of(job))
            assert running is not None
            assert running.unstored.has_parts
            killed.beat()
            killed.end(running)
            killed.close()
        end_killed_work(cloud, services, f"transcribe-{effect}", item_of(job))
        check(cloud, services, job, effect)
        if not kill.happened:
            break
    assert effect > RESULTS_AND_OUTCOME


def check(cloud: LoopbackCloud, services: JobServices, job: Job, effect: int) -> None:
    first, second = (services.jobs.outcome(job.id, run) for run in (1, 2))
    assert first is not None
    assert second is not None, effect
    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.COMPLETED), effect
    assert second.earlier_usd == first.bill.usd
    assert all(message in (first, second) for message in messages(cloud, job))
    bucket, name = bucket_and_name(second.results["receipt.json"])
    receipt = Receipt.model_validate_json(cloud.storage.bucket(bucket).blob(name).download_as_bytes())
    assert receipt.bill == second.bill
    entries = {entry.id: entry.usd for entry in services.ledger.entries(month_of(now()))}
    assert (entries[job.id], entries[f"{job.id}.2"]) == (first.bill.usd, second.bill.usd)
    assert [name for name in cloud.names(STATE) if name.startswith("open") or f"jobs/{job.id}/parts/" in name] == []


def messages(cloud: LoopbackCloud, job: Job) -> list[TerminalMessage]:
    return [message for message in cloud.terminal_messages() if message.job_id == job.id]
