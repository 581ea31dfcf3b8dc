"""A job that runs in a worker: its record, its acknowledgement ids, its transcription and what is not stored of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from opentelemetry.trace import Span

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import seconds
from gpu_job.pipeline import FileTranscription
from gpu_job.transcription.listener import TranscriptionListener
from gpu_job.transcription.opinions.second_opinions import OpinionLimits
from gpu_job.transcription.setup import AUDIT_THREADS, FileRequest, Pipeline
from gpu_job.transcription.shards.found import PackedFound
from gpu_job.worker.jobs.attempt_progress import AttemptProgress
from gpu_job.worker.jobs.claimed_job import ClaimedJob
from gpu_job.worker.jobs.stored_opinions import OpinionLimitsOf, no_opinions
from gpu_job.worker.jobs.unstored_results import UnstoredResults
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.quote import Limit, Quote
from shared.costs.shard_plan import Shard
from shared.enums import Method
from shared.media import Upload
from shared.options.speaker_count import SpeakerModelName, speakers_need_the_whole
from shared.progress.speed import MeasuredSpeed
from shared.state.jobs.record import JobRecord
from shared.telemetry import tracing

_LASTING_LIMITS = frozenset({Limit.BUDGET, Limit.MAX_COST, Limit.LANGUAGE})
"""What forbade Deepgram at routing and does so for good: what an upload may cost, and its language."""


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

    def __init__(
        self,
        claimed: ClaimedJob,
        pipeline: Pipeline,
        owner: JobOwner,
        span: Span,
        opinions_of: OpinionLimitsOf = no_opinions,
    ) -> None:
        """`span`: around this attempt, from the claim until the attempt ends. `opinions_of`: limits of second
        opinions."""
        self.stored = claimed.job
        """The record as this worker last read or wrote it."""
        self.media = claimed.media
        self.decision = claimed.decision
        self.ack_ids: list[str] = []
        self.spent_before: Bill = claimed.job.record.spent
        """What earlier attempts cost. The record's sum takes in this one, too, with every heartbeat."""
        self.record_lock = threading.Lock()
        """Held by whoever writes the record: the heartbeat, or a call to Deepgram that begins."""
        self.recorded_calls = 0
        """Calls to Deepgram whose price the record has."""
        self.unstored = UnstoredResults(has_parts=not claimed.is_first)
        """Its results that no checkpoint holds yet."""
        self.span = span
        self.cancelled = threading.Event()
        """Set once the attempt has ended."""
        self.is_fed = False
        """Whether all of its chunks are with the engines."""
        self._shards_usd = claimed.shards_usd
        self.transcription = FileTranscription(
            pipeline,
            self.id,
            self,
            FileRequest(
                media=self.media,
                asked=claimed.job.record.options,
                stays_local=not self.may_use_deepgram,
                stored=claimed.stored,
                shard=claimed.job.record.shard,
                shards=claimed.shards,
                missing=claimed.missing,
                span=span,
                cancelled=self.cancelled,
                opinions=self._opinion_limits(opinions_of),
            ),
        )
        self._owner = owner
        self._lock = threading.Lock()
        self._speed = MeasuredSpeed()
        self._ended = False
        self._progress = AttemptProgress()
        self._is_assembling = False

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
    def run(self) -> int:
        """The upload's run that this is of."""
        return self.record.run

    @property
    def audio_seconds(self) -> float:
        """Length of the upload, or of the shard, by the upload's header."""
        whole = self.media.duration_seconds
        return whole if self.shard is None else self.shard.seconds_of(whole)

    @property
    def speakers_seconds(self) -> float:
        """Time in which its speakers were told apart until now, all threads at once; 0 where nobody asks."""
        # Windows are heard on the audit's threads, which share the cores with everything else.
        return (self.transcription.speakers.busy_seconds or 0.0) / AUDIT_THREADS

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
        """Whether its audio may be sent to Deepgram: neither privacy, cost nor the language forbade that when it was
        routed, and Deepgram has not heard all of it before."""
        if not self._may_be_sent:
            return False
        if self.decision.method is Method.HYBRID:
            return True
        limit, spent = self.record.options.max_cost_usd, self.spent_before.usd + self._shards_usd
        if limit is not None and self.shard is not None:
            return False  # none of the shards knows what the others spend
        return limit is None or all(spent + quote.surely_usd <= limit for quote in self._deepgram_quotes)

    @property
    def _may_be_sent(self) -> bool:
        """The same, whatever else the upload costs."""
        if self.record.options.is_private or self.record.has_first_transcript:
            return False
        refused = (refusal.limit for quote in self._deepgram_quotes for refusal in quote.refusals)
        return self.decision.method is Method.HYBRID or not any(limit in _LASTING_LIMITS for limit in refused)

    @property
    def _deepgram_quotes(self) -> list[Quote]:
        return [quote for quote in self.decision.quotes if quote.method is Method.DEEPGRAM]

    def _opinion_limits(self, limits_of: OpinionLimitsOf) -> OpinionLimits | None:
        if self.shard is not None:
            # It keeps what the whole upload's first attempt may send.
            return limits_of(self.record, self.decision, Bill(), self.unstored) if self._may_be_sent else None
        if not self.may_use_deepgram:
            return None
        return limits_of(self.record, self.decision, self.spent_before, self.unstored)

    def log_context(self) -> AbstractContextManager[None]:
        """What is logged and traced inside belongs to the job."""
        return tracing.job_span_context(self.job_id, self.span)

    # What its transcription reports.

    def chunk_transcribed(self, result: ChunkResult) -> None:
        """Keep the result for the next checkpoint."""
        self.unstored.add(result)
        self._progress.has_result = True

    def complete(self) -> None:
        """Have the owner end the job."""
        self._owner.job_complete(self)

    def broke(self, error: Exception) -> None:
        """Have the owner give the job back."""
        self._owner.job_broke(self, error)

    # What its redaction reports.

    def redaction_advanced(self) -> None:
        """Some of its redacted recording was written, or listened to."""
        self._progress.advance()

    # What the heartbeat finds.

    def claim_lost(self) -> None:
        """Another process has the job, or ended it: end this attempt at once."""
        if self.end_attempt_once():
            self._owner.claim_lost(self)

    # What others need of it.

    def part(self) -> list[ChunkResult] | None:
        """All results of a shard that is done; None where they are of a file that was not found right."""
        results = self.transcription.results()
        if not all(map(self.unstored.may_be_stored, results)):
            return None
        return [one for one in results if one.failure is None]

    def part_found(self) -> PackedFound | None:
        """What else a shard found; None where that says nothing."""
        found = self.transcription.shard_facts()
        return None if found is None or not found.is_transcribed else found.packed()

    @property
    def is_surely_ours(self) -> bool:
        """Whether nobody else can have ended the job by now: the claim holds, and no call of the function's to Deepgram
        may still be answered."""
        return self.record.lease_until > now() and not self.record.deepgram_calls

    def is_stuck(self, batch_timeout_seconds: float) -> bool:
        """Whether the attempt has nothing new, and got no further for as long as a batch may take."""
        new_seconds = self._new_seconds()
        to_assemble_seconds = self.audio_seconds if self.transcription.has_results else None
        with self._lock:
            self._progress.look(self.transcription.decoded_seconds(), new_seconds)
            return self._progress.is_stuck(batch_timeout_seconds, to_assemble_seconds)

    def _new_seconds(self) -> float:
        """Audio that this attempt transcribed: what an earlier one left takes no time now."""
        return self.transcribed_seconds_by(lambda result: not self.transcription.is_stored(result))

    def transcribed_seconds_by(self, is_counted: Callable[[ChunkResult], bool]) -> float:
        """Audio of some of the results, the sum of all channels."""
        results = self.transcription.results()
        return seconds(sum(result.end - result.start for result in results if is_counted(result)))

    def progress(self) -> dict[str, Any]:
        """How far it is, for its record."""
        new_seconds = self._new_seconds()
        with self._lock:
            self._progress.look(self.transcription.decoded_seconds(), new_seconds)
            self._speed.add(time.monotonic(), new_seconds / self.record.options.streams(self.media))
            x_real_time, advanced_at = self._speed.x_real_time, self._progress.advanced_at
        return {
            "decoded_seconds": self._decoded_seconds(),
            "transcribed_seconds": self.transcription.transcribed_seconds(),
            "x_real_time": x_real_time,
            "progress_at": now(),
            "advanced_at": advanced_at or self.record.advanced_at,
        }

    def _decoded_seconds(self) -> float:
        """Of the upload, or of the shard's range: what is decoded before that is no part of it."""
        until = self.transcription.decoded_seconds()
        return until if self.shard is None else self.shard.seconds_of(max(until, self.shard.start))

    def unheard_speakers_seconds(self, model: SpeakerModelName) -> float:
        """Audio of which is still to be found out who speaks: they are heard as fast as it is decoded, beside that."""
        options = self.record.options
        if not options.tells_speakers_apart:
            return 0.0
        if self.shard is not None and speakers_need_the_whole(model, options.speakers):
            return 0.0
        return max(0.0, self.audio_seconds - self.transcription.transcribed_seconds())

    @property
    def model_name(self) -> str | None:
        """Of another model that hears it than the deployment's own; None: that one, or none was chosen yet."""
        model = self.transcription.speech_model
        return None if model is None else model.name

    def untranscribed_seconds(self) -> float:
        """Audio that is still to be transcribed, the sum of all channels."""
        left_seconds = max(0.0, self.audio_seconds - self.transcription.transcribed_seconds())
        return left_seconds * self.record.options.streams(self.media)

    @property
    def is_ended(self) -> bool:
        """Whether somebody ends or ended this attempt: nothing more is to be added to it."""
        return self._ended

    def begin_assembling_once(self) -> bool:
        """True for the first caller only: it puts the transcript together, or a shard's part."""
        with self._lock:
            first, self._is_assembling = not self._is_assembling, True
        return first

    def end_attempt_once(self) -> bool:
        """True for the first caller only: it ends this attempt."""
        with self._lock:
            first, self._ended = not self._ended, True
        self.cancelled.set()
        return first
