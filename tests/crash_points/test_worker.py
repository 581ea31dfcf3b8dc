"""A worker, killed at each of its writes in turn: the task's next attempt ends the upload as if nothing had happened.

Uploads in shards: tests/crash_points/test_shards.py and test_kinds_of_writes.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from gpu_job.worker.services import TaskIdentity
from gpu_job.worker.subscription import WorkSubscription
from shared.enums import Outcome
from tests.support.agreeing_outcomes import disagreements
from tests.support.fixed_word_worker import FixedWordServices, fixed_word_services, item_of, queued, worker
from tests.support.killed_worker import worker_killed_at
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import as_task

RESULTS_AND_OUTCOME = 10
"""Writes that any upload takes, whatever else the worker writes down."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


@pytest.mark.parametrize(
    ("before", "step"), [pytest.param(True, 1, id="before each"), pytest.param(False, 3, id="behind every third")]
)
def test_killed_at_any_write(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch, *, before: bool, step: int
) -> None:
    """Behind a write is before the next one, but for what goes to Pub/Sub between them."""
    uploads = []
    for write in count(1, step):
        # Its slot and its costs are those of its execution, one for each death.
        task = TaskIdentity(f"transcribe-{write}", 0, 0)
        job = queued(cloud, services, f"calls/{write}.opus")
        uploads.append(job.record.upload)
        with fixed_word_services(task) as killed:
            happened = worker_killed_at(write, cloud, killed, before=before, monkeypatch=monkeypatch).happened
        # The item comes again once its deadline is over.
        cloud.work_items()
        services.publisher.publish(
            services.publisher.topic_path(PROJECT, WORK_TOPIC), item_of(job).model_dump_json().encode()
        ).result(timeout=PATIENCE)
        again = as_task(services, task.execution, attempt=1)
        assert worker(again, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
        outcome = services.jobs.outcome(job.id)
        assert outcome is not None
        assert outcome.outcome is Outcome.COMPLETED, (write, outcome.reason)
        if not happened:
            break
    assert disagreements(cloud, services, uploads) == []
    assert write > RESULTS_AND_OUTCOME
