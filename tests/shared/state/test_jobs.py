"""The job record: one claimant of many, taken over when it fell silent, never reopened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared import objects
from shared.clock import now
from shared.costs.shard_plan import MAX_SHARDS
from shared.enums import JobDevice
from shared.errors import DropscribeError, StateConflict
from shared.media import Upload
from shared.state.job_result import failed
from shared.state.jobs.open_markers import OpenJob, OpenMarker, QueuedUpload
from shared.state.jobs.record import Job, JobState, new_holder
from shared.state.jobs.store import JobStore
from tests.support.loopback_cloud import STATE, LoopbackCloud
from trigger_function.services import Services

UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
LEASE = timedelta(minutes=10)
OVER = timedelta(minutes=-1)
"""A lease that has run out already."""


@pytest.fixture
def jobs(cloud: LoopbackCloud) -> JobStore:
    return JobStore(cloud.storage.bucket(STATE))


def test_a_claim_opens_the_job(jobs: JobStore) -> None:
    before = now()
    job = jobs.claim(UPLOAD, "me", LEASE)
    assert job is not None
    assert job.id == UPLOAD.job_id
    assert (job.record.state, job.record.holder, job.record.upload) == (JobState.CLAIMED, "me", UPLOAD)
    assert job.record.lease_until == job.record.received_at + LEASE
    assert before <= job.record.received_at <= now()
    assert jobs.load(job.id) == job
    assert list(jobs.markers.all()) == [OpenMarker(job.id, queued=None)]
    assert jobs.markers.read(job.id) == OpenJob(upload=UPLOAD, opened_at=job.record.received_at)


def test_of_sixteen_claimants_one_wins(jobs: JobStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda number: jobs.claim(UPLOAD, f"holder/{number}", LEASE), range(16)))
    (winner,) = [claim for claim in claims if claim is not None]
    assert jobs.load(UPLOAD.job_id) == winner


def test_of_sixteen_who_take_over_a_lost_claim_one_wins(jobs: JobStore) -> None:
    assert jobs.claim(UPLOAD, "gone", OVER)
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda number: jobs.claim(UPLOAD, f"holder/{number}", LEASE), range(16)))
    (winner,) = [claim for claim in claims if claim is not None]
    assert jobs.load(UPLOAD.job_id) == winner


def test_a_claim_whose_answer_was_lost_is_ours(cloud: LoopbackCloud, jobs: JobStore) -> None:
    cloud.storage_server.fail_next(1, method="POST", name_prefix="jobs/", before=False)
    job = jobs.claim(UPLOAD, "me", LEASE)
    assert job is not None
    assert job.record.holder == "me"


def test_the_holder_may_claim_again(jobs: JobStore) -> None:
    assert jobs.claim(UPLOAD, "me", LEASE) == jobs.claim(UPLOAD, "me", LEASE)


def test_a_standing_claim_is_respected(jobs: JobStore) -> None:
    jobs.claim(UPLOAD, "first", LEASE)
    assert jobs.claim(UPLOAD, "second", LEASE) is None


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_what_was_left_to_the_queue_is_not_claimed_even_after_its_lease(jobs: JobStore, state: JobState) -> None:
    job = jobs.claim(UPLOAD, "first", LEASE)
    assert job is not None
    jobs.save(job, state=state, lease_until=now() + OVER)
    assert jobs.claim(UPLOAD, "second", LEASE) is None


def test_a_job_that_ended_is_not_claimed_again(cloud: LoopbackCloud, services: Services) -> None:
    job = services.jobs.claim(UPLOAD, "first", OVER)
    assert job is not None
    services.finisher.finish(job.record, failed(DropscribeError("No.")))
    assert services.jobs.claim(UPLOAD, "second", LEASE) is None
    assert not services.jobs.markers.is_open(job.id)
    assert list(services.jobs.markers.all()) == []
    assert len(cloud.terminal_messages()) == 1


def test_a_write_over_another_process_write_is_a_conflict(jobs: JobStore) -> None:
    job = jobs.claim(UPLOAD, "me", LEASE)
    assert job is not None
    saved = jobs.save(job, state=JobState.QUEUED, attempts=1)
    with pytest.raises(StateConflict):
        jobs.save(job, state=JobState.RUNNING)
    assert jobs.try_save(job, state=JobState.RUNNING) is None
    assert jobs.load(job.id) == saved
    taken = jobs.try_save(saved, state=JobState.RUNNING)
    assert taken is not None
    assert (taken.record.state, taken.record.attempts) == (JobState.RUNNING, 1)


def test_jobs_are_open_until_they_are_closed(jobs: JobStore) -> None:
    uploads = [Upload(bucket="uploads", name="a", generation=number) for number in (1, 2, 3)]
    for upload in uploads:
        jobs.claim(upload, "me", LEASE)
    jobs.markers.close(uploads[1].job_id)
    jobs.markers.close(uploads[1].job_id)
    assert {one.job_id for one in jobs.markers.all()} == {uploads[0].job_id, uploads[2].job_id}
    assert [jobs.markers.is_open(upload.job_id) for upload in uploads] == [True, False, True]


def test_holders_have_different_names() -> None:
    assert len({new_holder("function") for _ in range(100)}) == 100
    assert new_holder("function").startswith("function/")


@pytest.mark.parametrize("is_over", [True, False], ids=["closed", "outcome not published"])
def test_an_event_that_was_held_up_does_not_reopen_what_was_closed_meanwhile(
    cloud: LoopbackCloud, services: Services, jobs: JobStore, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    load = jobs.load_stored

    def held_up(job_id: str) -> Job | None:
        """There was no job when the late process looked; before it goes on, another one does all the work."""
        monkeypatch.undo()
        assert load(job_id) is None
        first = services.jobs.claim(UPLOAD, "first", LEASE)
        assert first is not None
        if is_over:
            services.finisher.finish(first.record, failed(DropscribeError("Over.")))
        else:
            message = services.finisher.finish(first.record, failed(DropscribeError("Over.")))
            objects.write(services.state, f"open/{job_id}.json", b"{}")
            objects.delete(services.state, f"jobs/{job_id}/outcome.json")
            services.jobs.record_outcome(message)
        return None

    monkeypatch.setattr(jobs, "load_stored", held_up)
    assert jobs.claim(UPLOAD, "late", LEASE) is None
    assert jobs.markers.is_open(UPLOAD.job_id) == (not is_over)
    assert len(cloud.terminal_messages()) == 1


def test_an_unreadable_marker_hides_no_other(cloud: LoopbackCloud, jobs: JobStore) -> None:
    unreadable = cloud.storage.bucket(STATE).blob("open/000.json")
    unreadable.metadata = {"queued": "not a mark"}
    unreadable.upload_from_string(b"not a marker")
    assert jobs.claim(UPLOAD, "me", LEASE)
    assert list(jobs.markers.all()) == [OpenMarker("000", None), OpenMarker(UPLOAD.job_id, None)]


def test_the_longest_name_fits_into_a_markers_metadata(jobs: JobStore) -> None:
    """8 KiB of Cloud Storage, keys and values together; a control character takes six bytes in JSON."""
    upload = UPLOAD.model_copy(update={"name": "\x01" * 1024})
    jobs.markers.create(upload, now())
    queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=1e5 / 3, due=now(), queued_at=now(), seen_at=now())
    jobs.markers.mark_queued(upload.job_id, queued)
    for number in range(MAX_SHARDS):
        jobs.markers.mark_shard_done(upload.job_id, number, 1)
    blob = jobs.markers.stored(upload.job_id)
    assert blob is not None
    assert sum(len(key.encode()) + len(value.encode()) for key, value in blob.metadata.items()) < 8 * 1024
    found = jobs.markers.read(upload.job_id)
    assert found is not None
    assert found.upload == upload


def test_a_marker_says_what_is_queued_until_it_is_not(jobs: JobStore) -> None:
    jobs.claim(UPLOAD, "me", LEASE)
    queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=60.0, queued_at=now())
    jobs.markers.mark_queued(UPLOAD.job_id, queued)
    assert list(jobs.markers.all()) == [OpenMarker(UPLOAD.job_id, queued)]
    assert jobs.markers.read(UPLOAD.job_id) is not None
    jobs.markers.mark_queued(UPLOAD.job_id, None)
    assert list(jobs.markers.all()) == [OpenMarker(UPLOAD.job_id, None)]
    jobs.markers.close(UPLOAD.job_id)
    jobs.markers.mark_queued(UPLOAD.job_id, queued)
    assert list(jobs.markers.all()) == []
