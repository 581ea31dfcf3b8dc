"""What follows where processes were killed: leases run out, the scheduler's tick comes, a queue is worked off."""

from __future__ import annotations

import pytest

from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Engine
from shared.media import Upload
from shared.state.deployment import Deployment
from shared.state.job_result import completed
from shared.state.jobs.shards import shards_progress
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, Word
from tests.support.loopback_cloud import STATE, LoopbackCloud
from tests.support.worker_services import worker_services
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

ONE_FORMAT = "transcript.txt"
"""RESULT_FORMATS where processes are killed before each of their effects: one file made of transcript.json is like
another, and the finisher is killed at each of them in a test of its own."""

ROUNDS = 10
WORK = Bill(items=(LineItem(kind=LineItemKind.CPU, resource="cpu", quantity=1, unit="usd", usd_per_unit=0.001),))


def all_work_ends(cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks, and claims of what is on the queue, until no job is open. TimeoutError after ten of them.

    Who claims an upload ends it at once, with one word and a bill.
    """
    with monkeypatch.context() as patched:
        patched.setenv("JOB_GPU", "none")
        patched.setenv("RESULT_FORMATS", ONE_FORMAT)
        with worker_services() as job_services:
            for _ in range(ROUNDS):
                let_leases_run_out(cloud, services)
                reconcile_all(services)
                _work_off(cloud, job_services)
                if not cloud.names(STATE, "open"):
                    return
    raise TimeoutError(f"open after {ROUNDS} ticks: {cloud.names(STATE, 'open')}")


def let_leases_run_out(cloud: LoopbackCloud, services: Services) -> None:
    """Of all that is open nobody is there any more, whoever said until when."""
    cloud.forget_executions()
    for marker in services.jobs.markers.all():
        job = services.jobs.load(marker.job_id)
        if job is not None:
            services.jobs.save(job, lease_until=now())
            for shard in shards_progress(services.jobs, job.record).records.values():
                services.jobs.try_save(shard, lease_until=now())
    for costs in services.execution_costs.running():
        services.execution_costs.update(costs.model_copy(update={"alive_until": now()}))


def book_what_is_left(services: Deployment) -> None:
    """What the reconciler's next tick does about workers that were killed, once their uploads have ended."""
    for costs in services.execution_costs.running():
        services.execution_costs.close_killed(costs, now())


def _work_off(cloud: LoopbackCloud, services: JobServices) -> None:
    while items := cloud.work_items():
        for item in items:
            claimed = claim(services, item).claimed
            if claimed is not None:
                record = claimed.job.record
                result = completed(one_word(record.upload))
                services.finisher.finish(record, result, record.spent + WORK, services.task.execution)


def one_word(upload: Upload) -> Transcript:
    """A transcript of a recording of a minute."""
    words = [Word(text="one", start=0, end=0.5)]
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=60,
        language="en",
        model="parakeet",
        passages=[Passage(Engine.PARAKEET_CPU, words)],
    )
