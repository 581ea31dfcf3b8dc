"""The jobs that run in a worker: of each its record, its acknowledgement ids and its transcription."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from opentelemetry.trace import Span, SpanKind

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import seconds
from gpu_job.pipeline import FileTranscription, Pipeline
from gpu_job.transcription_listener import TranscriptionListener
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.quotes import Limit
from shared.costs.shard_plan import Shard
from shared.enums import Method
from shared.media import Media, Upload
from shared.messages import Decision, WorkItem
from shared.progress.speed import MeasuredSpeed
from shared.state.jobs.record import Job, JobRecord
from shared.telemetry import tracing

COST_LIMITS = frozenset({Limit.BUDGET, Limit.MAX_COST})
"""Limits of what an upload may cost."""

StoredResults = Mapping[tuple[int, int, int], ChunkResult]
"""Results from an earlier attempt's checkpoints, by channel, first and last sample."""


@dataclass(frozen=True)
class ClaimedJob:
    """A job that this worker has claimed, and what an earlier attempt left of it."""

    job: Job
    media: Media
    decision: Decision
    stored: StoredResults = field(default_factory=dict)
    is_first: bool = False
    """Whether no attempt was made before, by whatever engine."""
    missing_shards: Mapping[int, str] = field(default_factory=dict)
    """Shards of a job that is assembled which were given up, and why."""
    shards_usd: float = 0.0
    """What the shards of a job that is assembled cost."""

    def missing(self, start_seconds: float) -> str | None:
        """Why a chunk that begins at this time, and is not stored, is not transcribed; None: it is."""
        shards = self.job.record.shards
        if not self.missing_shards:
            return None
        return self.missing_shards.get(bisect_right([one.start for one in shards], start_seconds) - 1)


def attempt_span(claimed: ClaimedJob, traceparent: str | None, execution: str) -> Span:
    """From the claim until the attempt ends: in the upload's own trace, whatever attempt it is.

    `traceparent`: the span that queued the upload; without one it is the span that took its event.
    """
    record = claimed.job.record
    return tracing.start_span(
        "transcribe",
        tracing.context_of(traceparent or record.traceparent),
        SpanKind.CONSUMER,
        job_id=record.upload.job_id,
        shard=None if record.shard is None else record.shard.number,
        attempt=record.attempts,
        duration_seconds=claimed.media.duration_seconds,
        execution=execution,
    )


class JobOwner(Protocol):
    """The worker, as its jobs see it. Called on any thread, the engines' too, so it must be quick."""

    def job_complete(self, job: RunningJob) -> None:
        """Everything for the job's transcript is there. May be called more than once."""

    def job_broke(self, job: RunningJob, error: Exception) -> None:
        """The job needs another attempt: a result could not be taken, or no engine is left for it here (EngineFailed).
        May be called more than once."""

    def claim_lost(self, job: RunningJob) -> None:
        """Another process has the job, or ended it: nobody wants this attempt's words. It is ended already."""


class RunningJob(TranscriptionListener):
    """Shared by the feeding thread, the engines' threads and the heartbeat; hence the lock."""

    def __init__(self, claimed: ClaimedJob, pipeline: Pipeline, owner: JobOwner, span: Span) -> None:
        """`span`: around this attempt, from the claim until the attempt ends."""
        self.stored = claimed.job
        """The record as this worker last read or wrote it."""
        self.media = claimed.media
        self.decision = claimed.decision
        self.ack_ids: list[str] = []
        self.spent_before: Bill = claimed.job.record.spent
        """What earlier attempts cost. The record's sum takes in this one, too, with every heartbeat."""
        self.record_lock = threading.Lock()
        """Held by whoever writes the record: the heartbeat, or a call to Deepgram that begins."""
        self._checkpoint_lock = threading.Lock()
        self._is_finishing = False
        self.recorded_calls = 0
        """Calls to Deepgram whose price the record has."""
        self.span = span
        self.is_fed = False
        """Whether all of its chunks are with the engines."""
        self._shards_usd = claimed.shards_usd
        self.transcription = FileTranscription(
            pipeline,
            self.id,
            self,
            media=self.media,
            asked=claimed.job.record.options,
            stays_local=not self.may_use_deepgram,
            stored=claimed.stored,
            shard=claimed.job.record.shard,
            missing=claimed.missing,
            span=span,
        )
        self._owner = owner
        self._lock = threading.Lock()
        self._unsaved: list[ChunkResult] = []
        self._speed = MeasuredSpeed()
        self._is_arriving = False
        self._ended = False
        self._has_parts = not claimed.is_first
        self._claimed_at = time.monotonic()
        self._has_result = False

    @property
    def id(self) -> str:
        """The job's id, or the name of a shard of it: what claims, bills and engines know it by."""
        return self.stored.id

    @property
    def job_id(self) -> str:
        """The upload's job, whose part a shard is."""
        return self.upload.job_id

    @property
    def shard(self) -> Shard | None:
        """The shard that this is; None: the whole upload."""
        return self.record.shard

    @property
    def audio_seconds(self) -> float:
        """Length of the upload, or of the shard, by the upload's header."""
        whole = self.media.duration_seconds
        return whole if self.shard is None else self.shard.seconds_of(whole)

    @property
    def record(self) -> JobRecord:
        """Its record, as this worker last knew it."""
        return self.stored.record

    @property
    def upload(self) -> Upload:
        """The upload itself."""
        return self.record.upload

    @property
    def runs_alone(self) -> bool:
        """Whether its worker must run nothing else: an earlier attempt ended without a word."""
        return self.record.lost_attempts > 0

    @property
    def may_use_deepgram(self) -> bool:
        """Whether its audio may be sent to Deepgram: neither privacy nor cost forbade that when it was routed."""
        if self.record.options.is_private:
            return False
        if self.decision.method is Method.HYBRID:
            return True
        quotes = [quote for quote in self.decision.quotes if quote.method is Method.DEEPGRAM]
        if any(refusal.limit in COST_LIMITS for quote in quotes for refusal in quote.refusals):
            return False
        limit, spent = self.record.options.max_cost_usd, self.spent_before.usd + self._shards_usd
        if limit is not None and self.shard is not None:
            return False  # none of the shards knows what the others spend
        return limit is None or all(spent + quote.bill.usd <= limit for quote in quotes)

    def log_context(self) -> AbstractContextManager[None]:
        """What is logged and traced inside belongs to the job."""
        return tracing.job_span_context(self.job_id, self.span)

    # What its transcription reports.

    def chunk_transcribed(self, result: ChunkResult) -> None:
        """Keep the result for the next checkpoint."""
        with self._lock:
            self._unsaved.append(result)
            self._has_result = True

    def complete(self) -> None:
        """Have the owner end the job."""
        self._owner.job_complete(self)

    def broke(self, error: Exception) -> None:
        """Have the owner give the job back."""
        self._owner.job_broke(self, error)

    # What the heartbeat finds.

    def claim_lost(self) -> None:
        """Another process has the job, or ended it: end this attempt at once."""
        if self.end_attempt_once():
            self._owner.claim_lost(self)

    def file_arrives(self) -> None:
        """The upload is being fetched: none of its results is stored before its checksum was found right."""
        self._is_arriving = True

    def file_is_checked(self) -> None:
        """It is there, with its checksum."""
        self._is_arriving = False

    # What others need of it.

    def take_unsaved(self) -> list[ChunkResult]:
        """Results that no checkpoint holds; each is given out once. While the file arrives, only those that count for
        the same samples alone."""
        with self._lock:
            results = [one for one in self._unsaved if self._may_be_stored(one)]
            self._unsaved = [one for one in self._unsaved if not self._may_be_stored(one)]
        return results

    def _may_be_stored(self, result: ChunkResult) -> bool:
        return result.audio is not None or not self._is_arriving

    def part(self) -> list[ChunkResult] | None:
        """All results of a shard that is done; None where they are of a file that was not found right."""
        results = self.transcription.results()
        if self._is_arriving and not all(map(self._may_be_stored, results)):
            return None
        return [one for one in results if one.failure is None]

    def save_later(self, results: Sequence[ChunkResult]) -> None:
        """Take results back that could not be stored: the next checkpoint has them."""
        with self._lock:
            self._unsaved.extend(results)

    @property
    def has_parts(self) -> bool:
        """Whether something may be stored of this attempt, or an earlier one, that must be deleted in the end."""
        return self._has_parts

    @property
    def is_surely_ours(self) -> bool:
        """Whether nobody else can have ended the job by now: the claim holds, and no call of the function's to Deepgram
        may still be answered."""
        return self.record.lease_until > now() and not self.record.deepgram_calls

    def store_checkpoint(self, results: Sequence[ChunkResult], store: Callable[[], None]) -> None:
        """Call `store`, which stores `results`, if there are any. While the job is being finished they are taken back
        instead."""
        with self._checkpoint_lock:
            if self._is_finishing:
                self.save_later(results)
            elif results:
                self._has_parts = True
                store()

    def begin_finishing(self) -> None:
        """From now on no checkpoint is stored: behind the finisher's last step nobody would delete it. Returns once
        one that is being stored is there."""
        with self._checkpoint_lock:
            self._is_finishing = True

    def finishing_failed(self) -> None:
        """The job is to be given back: the next attempt needs the checkpoints."""
        self._is_finishing = False

    def seconds_without_result(self) -> float:
        """How long the attempt has been going on without a first new result; 0 once it has one."""
        return 0.0 if self._has_result else time.monotonic() - self._claimed_at

    def transcribed_seconds_by(self, is_counted: Callable[[ChunkResult], bool]) -> float:
        """Audio of some of the results, the sum of all channels."""
        results = self.transcription.results()
        return seconds(sum(result.end - result.start for result in results if is_counted(result)))

    def progress(self) -> dict[str, Any]:
        """How far it is, for its record."""
        # What an earlier attempt left takes no time now.
        new_seconds = self.transcribed_seconds_by(lambda result: not self.transcription.is_stored(result))
        with self._lock:
            self._speed.add(time.monotonic(), new_seconds / self.record.options.streams(self.media))
            x_real_time = self._speed.x_real_time
        return {
            "decoded_seconds": self._decoded_seconds(),
            "transcribed_seconds": self.transcription.transcribed_seconds(),
            "x_real_time": x_real_time,
            "progress_at": now(),
        }

    def _decoded_seconds(self) -> float:
        """Of the upload, or of the shard's range: what is decoded before that is no part of it."""
        until = self.transcription.decoded_seconds()
        return until if self.shard is None else self.shard.seconds_of(max(until, self.shard.start))

    def untranscribed_seconds(self) -> float:
        """Audio that is still to be transcribed, the sum of all channels."""
        left_seconds = max(0.0, self.audio_seconds - self.transcription.transcribed_seconds())
        return left_seconds * self.record.options.streams(self.media)

    @property
    def is_ended(self) -> bool:
        """Whether somebody ends or ended this attempt: nothing more is to be added to it."""
        return self._ended

    def end_attempt_once(self) -> bool:
        """True for the first caller only: it ends this attempt."""
        with self._lock:
            first, self._ended = not self._ended, True
        self.transcription.cancel()
        return first


class RunningJobs:
    """By id; used from any thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._jobs: dict[str, RunningJob] = {}
        self._changed = threading.Condition()
        self._woken = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    @property
    def free(self) -> int:
        """How many more jobs there is room for."""
        with self._changed:
            return self._free()

    def _free(self) -> int:
        is_one_alone = any(job.runs_alone for job in self._jobs.values())
        return 0 if is_one_alone or self._is_feeding_shard() else self._capacity - len(self._jobs)

    @property
    def is_feeding_shard(self) -> bool:
        """Whether a shard has chunks that are not with the engine yet: it is enough for one worker, and the others of
        its upload are for other workers."""
        with self._changed:
            return self._is_feeding_shard()

    def _is_feeding_shard(self) -> bool:
        return any(job.shard is not None and not job.is_fed for job in self._jobs.values())

    def get(self, job_id: str) -> RunningJob | None:
        """The job, where it is running here."""
        with self._changed:
            return self._jobs.get(job_id)

    def of(self, item: WorkItem) -> RunningJob | None:
        """What an item is for, where it is running here: its shard, or its whole job."""
        with self._changed:
            own = [job for job in self._jobs.values() if job.job_id == item.job_id]
        return next((job for job in own if job.shard is None or job.shard.number == item.shard), None)

    def add(self, job: RunningJob) -> None:
        """A job begins."""
        with self._changed:
            self._jobs[job.id] = job

    def fed(self, job: RunningJob) -> None:
        """All of a job's chunks are with the engines."""
        with self._changed:
            job.is_fed = True
            self._changed.notify_all()

    def remove(self, job: RunningJob) -> None:
        """The attempt at a job has ended."""
        with self._changed:
            self._jobs.pop(job.id, None)
            self._changed.notify_all()

    def wait_for_room(self, timeout_seconds: float) -> None:
        """Until there is room for a job, or `wake` is called, or the time is over."""
        self._wait_for(lambda: self._free() > 0, timeout_seconds)

    def wait_for_fewer(self, count: int, timeout_seconds: float) -> None:
        """Until fewer than `count` jobs run, or `wake` is called, or the time is over."""
        self._wait_for(lambda: len(self._jobs) < count, timeout_seconds)

    def wait_until_none(self, timeout_seconds: float) -> None:
        """Until no job runs, or `wake` is called, or the time is over."""
        self._wait_for(lambda: not self._jobs, timeout_seconds)

    def _wait_for(self, is_so: Callable[[], bool], timeout_seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._woken or is_so(), timeout_seconds)

    def wake(self) -> None:
        """End every wait, now and from now on."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def all(self) -> list[RunningJob]:
        """The jobs of this moment."""
        with self._changed:
            return list(self._jobs.values())
