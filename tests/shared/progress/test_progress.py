"""How far a job is: by its record and those of its shards, in numbers and in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.costs.bill import Bill
from shared.costs.quote import Quote
from shared.costs.shard_plan import Shard
from shared.enums import JobDevice, Method, Outcome
from shared.media import Media, Upload
from shared.messages import Decision, TerminalMessage, event_id
from shared.progress.describe import describe
from shared.progress.model import Progress, Stage, progress_of_outcome
from shared.progress.speed import MeasuredSpeed
from shared.state.jobs.progress import progress_of, read_progress
from shared.state.jobs.record import JobRecord, JobState
from shared.state.jobs.shard_record import BegunShard
from shared.state.jobs.store import JobStore
from tests.support.loopback_cloud import STATE, LoopbackCloud

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
HOUR = 3600.0
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=HOUR, sample_rate_hz=44100, channels=1, size_bytes=10**7)
QUOTE = Quote(method=Method.PARAKEET, device=JobDevice.GPU, bill=Bill(), completion_seconds=90)
DECISION = Decision(method=Method.PARAKEET, device=JobDevice.GPU, rule="best", reason="Why.", quotes=(QUOTE,))
DEEPGRAM = Decision(method=Method.DEEPGRAM, rule="best", reason="Why.")
LEASED = AT + timedelta(seconds=60)
OVER = AT - timedelta(seconds=1)
HALVES = (Shard(0, 0, 1800), Shard(1, 1800, None))


def record(state: JobState, **fields: Any) -> JobRecord:
    usual: dict[str, Any] = {"media": MEDIA, "decision": DECISION, "lease_until": LEASED, "received_at": AT}
    return JobRecord(upload=UPLOAD, state=state, holder="me", **{**usual, **fields})


def running(**fields: Any) -> JobRecord:
    return record(JobState.RUNNING, attempts=1, progress_at=AT, **fields)


def begun(state: JobState = JobState.RUNNING, **fields: Any) -> BegunShard:
    return BegunShard(**{"state": state, "lease_until": LEASED, "progress_at": AT, **fields})


@pytest.mark.parametrize(
    ("job", "stage", "text"),
    [
        (record(JobState.CLAIMED, media=None, decision=None), Stage.CLAIMED, "being inspected"),
        (record(JobState.CLAIMED), Stage.INSPECTED, "waiting, 2 min left"),
        (record(JobState.CLAIMED, decision=DEEPGRAM), Stage.TRANSCRIBING, "transcribed by Deepgram"),
        (record(JobState.QUEUED), Stage.QUEUED, "waiting, 2 min left"),
        (record(JobState.QUEUED, attempts=2), Stage.QUEUED, "waiting for another attempt"),
        (running(), Stage.STARTED, "starting, 2 min left"),
        (running(decoded_seconds=900.0), Stage.DECODING, "decoding 25%, 2 min left"),
        (
            running(decoded_seconds=2700.0, transcribed_seconds=1800.0, x_real_time=36.0),
            Stage.TRANSCRIBING,
            "transcribing 50%, decoded 75%, 36 x real time, 50 s left",
        ),
        (running(decoded_seconds=3599.9), Stage.TRANSCRIBING, "transcribing 0%, 2 min left"),
        (
            running(decoded_seconds=3599.9, transcribed_seconds=3599.9, x_real_time=5.0),
            Stage.ASSEMBLING,
            "checking that no words are missing, 5.0 x real time",
        ),
    ],
)
def test_each_stage_and_its_words(job: JobRecord, stage: Stage, text: str) -> None:
    progress = progress_of(job, at=AT)
    assert (progress.stage, describe(progress, AT)) == (stage, text)


def test_the_time_left_is_by_the_measured_speed_else_by_the_quote_else_unknown() -> None:
    measured = progress_of(running(transcribed_seconds=1800.0, x_real_time=100.0), at=AT + timedelta(seconds=5))
    assert measured.expected_at == AT + timedelta(seconds=18)  # counted from the heartbeat that measured it
    assert measured.seconds_left(AT + timedelta(seconds=10)) == 8
    assert progress_of(running(), at=AT).expected_at == AT + timedelta(seconds=90)
    assert progress_of(running(), at=AT + timedelta(seconds=91)).expected_at is None  # longer than quoted
    assert progress_of(record(JobState.QUEUED, decision=None), at=AT).expected_at is None
    assert progress_of(record(JobState.QUEUED, retry_at=LEASED), at=AT).expected_at is None
    assert progress_of(record(JobState.QUEUED, attempts=2), at=AT).expected_at is None  # parts of it are done


def test_a_worker_that_fell_silent_is_none_and_has_no_speed() -> None:
    silent = progress_of(running(transcribed_seconds=1800.0, x_real_time=100.0, lease_until=OVER), at=AT)
    assert (silent.executions, silent.x_real_time, silent.transcribed) == (0, None, 0.5)


def test_more_than_the_header_states_is_all_of_it() -> None:
    longer = progress_of(running(decoded_seconds=5000.0, transcribed_seconds=4000.0), at=AT)
    assert (longer.decoded, longer.transcribed, longer.stage) == (1.0, 1.0, Stage.ASSEMBLING)


def test_the_shards_of_an_upload_are_summed() -> None:
    divided = record(JobState.QUEUED, shards=HALVES)
    assert progress_of(divided, {}, AT).stage is Stage.QUEUED
    both = {
        0: begun(decoded_seconds=1800.0, transcribed_seconds=900.0, x_real_time=30.0),
        1: begun(decoded_seconds=900.0, transcribed_seconds=450.0, x_real_time=20.0),
    }
    progress = progress_of(divided, both, AT)
    assert (progress.stage, progress.executions, progress.shards, progress.shards_done) == (Stage.TRANSCRIBING, 2, 2, 0)
    assert (progress.decoded, progress.transcribed, progress.transcribed_seconds) == (0.75, 0.375, 1350.0)
    assert progress.expected_at == AT + timedelta(seconds=2250 / 50)
    assert describe(progress, AT) == "transcribing 38%, 0 of 2 parts done, 2 workers, 50 x real time, 45 s left"


def test_a_shard_that_is_done_is_done_whatever_its_worker_said_last() -> None:
    one_done = {0: begun(JobState.DONE, transcribed_seconds=10.0), 1: begun(lease_until=OVER)}
    progress = progress_of(record(JobState.QUEUED, shards=HALVES), one_done, AT)
    assert (progress.stage, progress.transcribed, progress.shards_done) == (Stage.TRANSCRIBING, 0.5, 1)
    assert progress.executions == 0
    both = {0: begun(JobState.DONE), 1: begun(JobState.DONE)}
    assert progress_of(record(JobState.QUEUED, shards=HALVES), both, AT).stage is Stage.ASSEMBLING
    # Assembled as an attempt of its own, which decodes once more.
    assembled = progress_of(running(shards=HALVES, decoded_seconds=10.0), {}, AT)
    assert (assembled.stage, assembled.transcribed, assembled.shards_done) == (Stage.ASSEMBLING, 1.0, 2)


def outcome(kind: Outcome, reason: str | None = None) -> TerminalMessage:
    return TerminalMessage(
        event_id=event_id(UPLOAD.job_id),
        job_id=UPLOAD.job_id,
        upload=UPLOAD,
        outcome=kind,
        reason=reason,
        media=MEDIA,
        received_at=AT,
        finished_at=LEASED,
    )


def test_an_outcome_is_the_last_stage() -> None:
    done = progress_of_outcome(outcome(Outcome.REJECTED, "No audio."))
    assert (done.stage, done.is_done, done.at, done.transcribed) == (Stage.DONE, True, LEASED, 0.0)
    assert describe(done, AT) == "rejected: No audio."


def test_it_is_read_from_the_bucket_until_the_outcome_is_there(cloud: LoopbackCloud) -> None:
    jobs = JobStore(cloud.storage.bucket(STATE))
    assert read_progress(jobs, UPLOAD.job_id) is None
    job = jobs.claim(UPLOAD, "me", timedelta(minutes=1))
    assert job is not None
    job = jobs.save(job, state=JobState.QUEUED, media=MEDIA, decision=DECISION, shards=HALVES)
    shard = jobs.open_shard(job.record, HALVES[1], state=JobState.RUNNING, lease_until=job.record.lease_until)
    jobs.save(shard, decoded_seconds=900.0, transcribed_seconds=900.0, x_real_time=9.0, progress_at=AT)
    with cloud.storage_server.counted() as calls:
        progress = read_progress(jobs, UPLOAD.job_id)
    assert progress is not None
    assert (progress.stage, progress.transcribed, progress.x_real_time) == (Stage.TRANSCRIBING, 0.25, 9.0)
    # Google's client looks at the bucket, too, unless it is connected as a deployment is.
    assert [call.method for call in calls if call.method != "BUCKET"] == ["GET", "GET", "LIST"]
    jobs.record_outcome(outcome(Outcome.FAILED, "Why."))
    done = read_progress(jobs, UPLOAD.job_id)
    assert done is not None
    assert (done.outcome, done.reason) == (Outcome.FAILED, "Why.")


def test_a_speed_is_measured_over_the_last_minute_and_falls_where_nothing_comes() -> None:
    speed = MeasuredSpeed()
    for second in range(8):
        speed.add(second, 10.0 * (second + 1))
    assert speed.x_real_time is None
    for second in range(8, 200):
        speed.add(second, 10.0 * (second + 1))
    assert speed.x_real_time == pytest.approx(10.0)
    speed.add(230, 2000.0)
    assert speed.x_real_time is not None
    assert 0 < speed.x_real_time < 6
    speed.add(300, 2000.0)
    speed.add(360, 2000.0)
    assert speed.x_real_time is None


def test_progress_survives_its_own_json() -> None:
    progress = progress_of(running(transcribed_seconds=1.0, x_real_time=2.0), at=AT)
    assert Progress.model_validate_json(progress.model_dump_json()) == progress
