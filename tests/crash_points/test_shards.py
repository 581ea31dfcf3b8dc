"""A worker with an upload in shards, killed before each of its effects in turn: claims, checkpoints, parts and the end.

Its steps are taken one after the other, without a decoder and an engine; with both, and its threads, it is killed at an
effect of each kind: tests/crash_points/test_kinds_of_effects.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from gpu_job.worker.services import JobServices
from shared.costs.shard_plan import Shard
from shared.enums import Outcome
from shared.messages import WorkItem
from shared.state.jobs.shards import shards_progress
from tests.support.agreeing_outcomes import disagreements
from tests.support.fixed_word_worker import item_of, queued
from tests.support.killed_process import killed_at
from tests.support.later_attempts import ONE_FORMAT, book_what_is_left
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.stepped_worker import SteppedWorker
from tests.support.worker_services import worker_services

SHARDS = (Shard(0, 0, 8), Shard(1, 8, None))
"""Of a recording of 19 s."""

OF_EACH_SHARD = 6
"""Effects at the least: its record, its claim, a heartbeat, its part, that it is done, its mark."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "0.001")
    monkeypatch.setenv("RESULT_FORMATS", ONE_FORMAT)
    with worker_services() as made:
        yield made


def work_off(worker: SteppedWorker, items: list[WorkItem]) -> None:
    """One item after the other, each with a heartbeat in the middle, and the assembly where it is the worker's."""
    waiting = list(items)
    while waiting:
        job = worker.claim(waiting.pop(0))
        if job is not None:
            worker.beat()
            last = worker.end(job)
            waiting += [last] if last else []
    worker.close()


def test_killed_before_any_effect(cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = []
    for effect in count(1):
        job = queued(cloud, services, f"long/{effect}.opus")
        cloud.work_items()
        job = services.jobs.save(job, shards=SHARDS)
        items = [item_of(job).model_copy(update={"shard": shard.number}) for shard in SHARDS]
        uploads.append(job.record.upload)
        killed = SteppedWorker(cloud, services, f"transcribe-{effect}")
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            work_off(killed, items)
        again = SteppedWorker(cloud, services, f"transcribe-{effect}", attempt=1)
        again.book_killed()
        # Its items come again to the task's next attempt, and the one that assembles, perhaps.
        work_off(again, [*again.own_items(), *items, item_of(job)])
        outcome = services.jobs.outcome(job.id)
        assert outcome is not None, effect
        assert outcome.outcome is Outcome.COMPLETED, (effect, outcome.reason)
        progress = shards_progress(services.jobs, job.record)
        assert (progress.left, progress.missing) == ((), {}), effect
        if not kill.happened:
            break
    book_what_is_left(services)
    assert disagreements(cloud, services, uploads) == []
    assert effect > len(SHARDS) * OF_EACH_SHARD
