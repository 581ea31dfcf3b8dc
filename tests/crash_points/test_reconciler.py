"""The reconciler, killed before each of its effects in turn: the next ticks bring every job to its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from infra.recordings import recording
from shared.clock import now
from shared.enums import Method, Outcome
from shared.errors import Rejected
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.execution_costs import TaskCosts
from shared.state.job_result import completed, rejected
from shared.state.jobs.record import JobState
from shared.state.ledger_entry import EntryState, month_of
from tests.support.agreeing_outcomes import disagreements
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.later_attempts import ONE_FORMAT, all_work_ends, one_word
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
ROUTED = {
    "state": JobState.QUEUED,
    "media": Media(
        container="wav", codec="pcm_s16le", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=len(AUDIO)
    ),
    "decision": Decision(method=Method.PARAKEET, rule="small", reason="1.0 min: Parakeet."),
}
LONG_AGO = timedelta(days=2)

Leave = Callable[[Services, Upload, pytest.MonkeyPatch], None]
"""Leaves an upload as an earlier process did that is gone."""


def _record(services: Services, upload: Upload, **changes: Any) -> None:
    job = services.jobs.claim(upload, "function/gone", timedelta())
    assert job is not None
    services.jobs.save(job, **{"lease_until": now(), **changes})


def _marker_alone(services: Services, upload: Upload, _: pytest.MonkeyPatch) -> None:
    services.jobs.markers.create(upload, now() - LONG_AGO)


def _claimed(services: Services, upload: Upload, _: pytest.MonkeyPatch) -> None:
    _record(services, upload)


def _queued(services: Services, upload: Upload, _: pytest.MonkeyPatch) -> None:
    _record(services, upload, **ROUTED)


def _worker_killed(services: Services, upload: Upload, _: pytest.MonkeyPatch) -> None:
    changes = {**ROUTED, "state": JobState.RUNNING, "holder": "gpu-x7k2p/0", "attempts": 1, "started_at": now()}
    _record(services, upload, **changes)


def _no_attempt_left(services: Services, upload: Upload, _: pytest.MonkeyPatch) -> None:
    _record(services, upload, **ROUTED, attempts=3, started_at=now())


def _outcome_not_published(services: Services, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    _record(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    with killed_at(2, monkeypatch=monkeypatch):
        services.finisher.finish(job.record, rejected(Rejected("No.")))


def _transcript_stored(services: Services, upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_attempt_left(services, upload, monkeypatch)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    with killed_at(2, monkeypatch=monkeypatch):
        services.finisher.finish(job.record, completed(one_word(upload)))


@pytest.mark.parametrize(
    ("leave", "outcome"),
    [
        pytest.param(_marker_alone, Outcome.COMPLETED, id="marker alone"),
        pytest.param(_claimed, Outcome.COMPLETED, id="claimed"),
        pytest.param(_queued, Outcome.COMPLETED, id="queued"),
        pytest.param(_worker_killed, Outcome.COMPLETED, id="worker killed"),
        pytest.param(_no_attempt_left, Outcome.FAILED, id="no attempt left"),
        pytest.param(_outcome_not_published, Outcome.REJECTED, id="outcome not published"),
        pytest.param(_transcript_stored, Outcome.COMPLETED, id="transcript stored"),
    ],
)
def test_killed_before_any_effect(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    monkeypatch: pytest.MonkeyPatch,
    leave: Leave,
    outcome: Outcome,
) -> None:
    # However often nobody comes, it launches.
    services = make_services(GPU_BREAKER_FAILURES="1000", RESULT_FORMATS=ONE_FORMAT)
    uploads = []
    for effect in count(1):
        uploads.append(cloud.drop(AUDIO, f"calls/{effect}.wav"))
        leave(services, uploads[-1], monkeypatch)
        cloud.forget_executions()
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            reconcile_all(services)
        if not kill.happened:
            break
        # Before the next one: a tick looks after all that is open.
        all_work_ends(cloud, services, monkeypatch)
    all_work_ends(cloud, services, monkeypatch)
    assert disagreements(cloud, services, uploads) == []
    standing = [services.jobs.outcome(upload.job_id) for upload in uploads]
    assert [one and one.outcome for one in standing] == [outcome] * len(uploads)
    assert effect > 1


def test_killed_while_it_books_what_a_killed_execution_cost(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for effect in count(1):
        costs = TaskCosts(
            execution=f"transcribe-{effect}",
            index=0,
            attempt=0,
            began_at=now(),
            updated_at=now(),
            alive_until=now(),
            spent_usd=2.0,
            on_bills_usd=0.5,
            usd_per_second=0.0,
        )
        services.execution_costs.update(costs)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            reconcile_all(services)
        reconcile_all(services)
        assert [*services.execution_costs.running()] == []
        if not kill.happened:
            break
    entries = [*services.ledger.entries(month_of(now()))]
    assert [(entry.state, entry.usd) for entry in entries] == [(EntryState.OVERHEAD, 1.5)] * effect
    assert effect > 1
