"""A worker, killed before each of its effects in turn: the task's next attempt ends the upload as if nothing had
happened.

Its steps are taken one after the other, without a decoder and an engine; with both, and its threads, it is killed at an
effect of each kind: tests/crash_points/test_kinds_of_effects.py. Uploads in shards: test_shards.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from gpu_job.worker.services import JobServices
from shared.enums import Outcome
from tests.support.agreeing_outcomes import disagreements
from tests.support.fixed_word_worker import item_of, queued
from tests.support.killed_process import killed_at
from tests.support.later_attempts import ONE_FORMAT
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.stepped_worker import SteppedWorker, end_killed_work
from tests.support.worker_services import worker_services

EFFECTS = 3 + 9
"""At the least: three results; the claim, a heartbeat, a checkpoint and its deletion, the outcome, the message, the
ledger's line, the marker, and what the execution costs."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "0.001")
    monkeypatch.setenv("RESULT_FORMATS", ONE_FORMAT)
    with worker_services() as made:
        yield made


def test_killed_before_any_effect(cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = []
    for effect in count(1):
        job = queued(cloud, services, f"calls/{effect}.opus")
        cloud.work_items()
        uploads.append(job.record.upload)
        killed = SteppedWorker(cloud, services, f"transcribe-{effect}")
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            running = killed.claim(item_of(job))
            assert running is not None
            killed.beat()
            killed.end(running)
            killed.close()
        end_killed_work(cloud, services, f"transcribe-{effect}", item_of(job))
        outcome = services.jobs.outcome(job.id)
        assert outcome is not None, effect
        assert outcome.outcome is Outcome.COMPLETED, (effect, outcome.reason)
        if not kill.happened:
            break
    assert disagreements(cloud, services, uploads) == []
    assert [*services.execution_costs.running()] == []
    assert effect > EFFECTS
