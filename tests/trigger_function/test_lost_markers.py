"""Marker and record that can both not be read: the upload is found and ends, on whatever day, and what it cost is on
one bill and in one line of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.recordings import recording
from shared import clock, objects
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Method, Outcome
from shared.errors import DropscribeError
from shared.media import Upload
from shared.messages import Decision
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.state.job_result import failed
from shared.state.jobs.object_names import marker_name, outcome_name, record_name
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.ledger_entry import Entry, EntryState, reservation
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from tests.support.quiet_jobs import quiet
from trigger_function.handle_upload import handle
from trigger_function.reconciler import sweep as sweeps
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.reconciler.sweep import request_sweep, sweep
from trigger_function.services import Services

MEMO = recording("memo.wav").path.read_bytes()
DEEPGRAM = Decision(method=Method.DEEPGRAM, rule="requested", reason="Because.")
CALL = LineItem(kind=LineItemKind.DEEPGRAM, resource="deepgram nova-3", quantity=1, unit="min", usd_per_unit=0.0043)
SECONDS = 60.0


class Time:
    """What the reconciler takes the time for; all else has the real one."""

    def __init__(self) -> None:
        self.later = timedelta(0)

    def now(self) -> datetime:
        return clock.now() + self.later


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """What cannot be read counts as damaged at once."""
    made = Time()
    for module in ("open_jobs", "sweep", "unreadable"):
        monkeypatch.setattr(f"trigger_function.reconciler.{module}.now", made.now)
    monkeypatch.setattr("trigger_function.reconciler.unreadable.UNREADABLE_AFTER", -timedelta(minutes=1))
    monkeypatch.setattr(sweeps, "LEAST_AGE", timedelta(0))
    return made


@pytest.fixture
def services(make_services: MakeServices) -> Services:
    return make_services(UPLOADS_BUCKET=UPLOADS, TRANSCRIPTION_METHOD="parakeet")


def damage(services: Services, *names: str) -> None:
    for name in names:
        objects.write(services.state, name, b"?")


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def called(services: Services, cloud: LoopbackCloud, **changes: Any) -> Job:
    """A job whose process was killed as it waited for Deepgram."""
    usual = {"state": JobState.CLAIMED, "decision": DEEPGRAM, "deepgram_calls": 1, "spent": Bill(items=(CALL,))}
    return quiet(services, cloud.drop(MEMO, "memo.wav"), **{**usual, **changes})


def line(services: Services, job: Job, at: datetime) -> Entry | None:
    return services.ledger.entry(at.astimezone(UTC).date(), job.id)


@pytest.mark.parametrize("was_cut_short", [False, True])
def test_what_an_upload_that_is_found_on_a_later_day_may_have_cost_is_on_its_bill_alone(
    cloud: LoopbackCloud, services: Services, time: Time, was_cut_short: bool
) -> None:
    job = called(services, cloud)
    before = reservation(job.record, 0.25)
    services.ledger.reserve(before)
    damage(services, record_name(job.id), marker_name(job.id, 1))
    time.later = timedelta(days=2)
    assert reconcile_all(services) == {"set aside": 1}
    assert sweep(services, SECONDS) == 1
    found_at = time.now()
    if was_cut_short:  # between the new line and the end of the old one
        services.ledger.reserve(before.model_copy(update={"day": found_at.astimezone(UTC).date()}))
    time.later += timedelta(hours=1)
    assert reconcile_all(services) == {"rebuilt": 1}
    record = record_of(services, job.record.upload)
    assert (record.deepgram_calls, record.spent.possibly_usd) == (1, 0.25)
    standing = line(services, job, record.received_at)
    assert standing is not None
    assert (standing.state, standing.usd, standing.method) == (EntryState.RESERVED, 0.25, Method.DEEPGRAM)
    assert line(services, job, job.record.received_at) is None
    assert reconcile_all(services) == {"restarted": 1}
    assert [item.upload for item in cloud.work_items()] == [job.record.upload]


def test_a_bill_of_another_day_is_no_reservation(cloud: LoopbackCloud, services: Services, time: Time) -> None:
    job = called(services, cloud)
    billed = reservation(job.record, 0.25).model_copy(update={"state": EntryState.BILLED})
    services.ledger.book(billed)
    damage(services, record_name(job.id), marker_name(job.id, 1))
    time.later = timedelta(days=2)
    assert reconcile_all(services) == {"set aside": 1}
    assert sweep(services, SECONDS) == 1
    time.later += timedelta(hours=1)
    assert reconcile_all(services) == {"rebuilt": 1}
    assert record_of(services, job.record.upload).spent == Bill()
    assert line(services, job, job.record.received_at) == billed


@pytest.mark.usefixtures("time")
def test_a_rerun_goes_on_whose_marker_and_record_are_damaged(cloud: LoopbackCloud, services: Services) -> None:
    job = called(services, cloud)
    services.finisher.finish(job.record, failed(DropscribeError("Once.")), Bill(items=(CALL,)))
    begin_rerun(services.storage, services.jobs, job.id, RerunRequest())
    damage(services, record_name(job.id), marker_name(job.id, 2))
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, job.record.upload)
    assert (found.run, found.earlier_usd, found.upload) == (2, CALL.usd, job.record.upload)
    assert reconcile_all(services) == {"restarted": 1}
    assert [item.upload for item in cloud.work_items()] == [job.record.upload]


@pytest.mark.usefixtures("time")
def test_a_job_ends_again_whose_outcome_is_damaged_and_whose_record_is_gone(
    cloud: LoopbackCloud, services: Services
) -> None:
    job = called(services, cloud)
    first = services.finisher.finish(job.record, failed(DropscribeError("Once.")), Bill(items=(CALL,)))
    services.jobs.markers.create(job.record.upload, clock.now() - timedelta(hours=1))
    objects.delete(services.state, record_name(job.id))
    damage(services, outcome_name(job.id, 1))
    assert reconcile_all(services) == {"rebuilt": 1}
    assert reconcile_all(services) == {"ended again": 1}
    again = services.jobs.outcome(job.id)
    assert again is not None
    assert (again.outcome, again.bill, again.event_id) == (Outcome.FAILED, first.bill, first.event_id)
    assert list(services.jobs.markers.all()) == []


@pytest.mark.usefixtures("time")
def test_a_sweep_that_is_asked_for_during_another_one_is_made(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = cloud.drop(MEMO, "a.wav")
    cloud.drop(MEMO, "b.wav")

    def and_lose_one(of: Services, upload: Upload) -> None:
        handle(of, upload)
        if upload == looked_up:
            return
        for name in cloud.names(services.state.name, f"jobs/{looked_up.job_id}/"):
            objects.delete(services.state, name)
        services.jobs.markers.close(looked_up.job_id)
        request_sweep(services.state)

    monkeypatch.setattr(sweeps, "handle", and_lose_one)
    assert sweep(services, SECONDS) == 2
    assert sweep(services, SECONDS) == 1
    assert record_of(services, looked_up).upload == looked_up
    assert sweep(services, SECONDS) == 0
