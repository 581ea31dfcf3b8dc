"""One upload in a worker's hands: its record, its receipts, its parts as they arrive, and their audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from opentelemetry.trace import INVALID_SPAN, Span

from gpu_job.assembly.assemble import Assembly, ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.audit.runner import AuditRunner
from shared.costs.bill import Bill
from shared.costs.quotes import Limit
from shared.enums import Engine, Method
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.jobs import Job
from shared.telemetry import tracing
from shared.transcript.model import Gap

MONEY = frozenset({Limit.BUDGET, Limit.MAX_COST})
"""Limits of what an upload may cost."""


def _raised(error: Exception) -> None:
    raise error


@dataclass
class RunningJob:
    """Shared by the preparing thread, which cuts, and the engine's threads, which answer; hence the lock."""

    job: Job
    media: Media
    decision: Decision
    ack_ids: list[str]
    stored: dict[tuple[int, int, int], ChunkResult]
    """Parts from an earlier attempt's checkpoints, by channel, first and last sample."""
    spent_before: Bill = field(init=False)
    """What earlier attempts cost. The record's sum takes in this one, too, with every heartbeat."""
    audits: Sequence[AuditRunner] = ()
    """One for each channel that is heard alone."""
    assembly: Assembly = field(default_factory=Assembly)
    lock: threading.Lock = field(default_factory=threading.Lock)
    deepgram_samples: int = 0
    """Audio that Deepgram transcribed in this attempt, windows of the audit included: for the bill."""
    on_trouble: Callable[[Exception], None] = _raised
    """Told of what must not happen, on the thread of an engine."""
    span: Span = INVALID_SPAN
    """Around this attempt, from the claim until the upload leaves the worker."""
    _unsaved: list[ChunkResult] = field(default_factory=list)
    _cut_seconds: float = 0.0
    """Audio in all chunks, of all channels heard alone."""
    _cut_until: float = 0.0
    """Where the last chunk ends."""
    _ended: bool = False

    def __post_init__(self) -> None:
        self.spent_before = self.job.record.spent

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def upload(self) -> Upload:
        """The upload itself."""
        return self.job.record.upload

    @property
    def split(self) -> bool:
        """Whether each channel is heard alone, as one speaker."""
        return self.job.record.options.streams(self.media) > 1

    @property
    def may_leave(self) -> bool:
        """Whether its audio may go to Deepgram: neither privacy nor money forbade that when the upload was routed."""
        if self.job.record.options.is_private:
            return False
        if self.decision.method is Method.HYBRID:
            return True
        quotes = [quote for quote in self.decision.quotes if quote.method is Method.DEEPGRAM]
        return not any(refusal.limit in MONEY for quote in quotes for refusal in quote.refusals)

    def about(self) -> AbstractContextManager[None]:
        """What is logged and traced inside concerns the upload."""
        return tracing.job_span_context(self.id, self.span)

    def cut(self, channel: int, chunk: Chunk) -> bool:
        """A chunk was cut; False where an earlier attempt has its words already."""
        with self.lock:
            self.assembly.expect()
            self._cut_seconds += seconds(len(chunk.samples))
            self._cut_until = max(self._cut_until, seconds(chunk.end))
            known = self.stored.get((channel, chunk.start, chunk.end))
        self.audits[channel].cut(chunk)
        if known is not None:
            self._take(known)
        return known is None

    def arrive(self, part: ChunkResult) -> None:
        """An engine's answer for one chunk. What goes wrong here is this upload's trouble, not the engine's."""
        try:
            if part.failure is None:
                # A failure is not kept: the next attempt may have a sounder engine.
                with self.lock:
                    self._unsaved.append(part)
                    self._count_deepgram(part)
            self._take(part)
        except Exception as error:
            self.on_trouble(error)

    def _take(self, part: ChunkResult) -> None:
        with self.lock:
            self.assembly.add(part)
        self.audits[part.channel].heard(part.start, part.tokens, failed=part.failure is not None)

    def heard_again(self, window: ChunkResult) -> None:
        """An engine's answer for a window of the audit: its words are the audit's, its price is the upload's."""
        with self.lock:
            self._count_deepgram(window)

    def _count_deepgram(self, part: ChunkResult) -> None:
        if part.engine is Engine.DEEPGRAM and part.failure is None:
            self.deepgram_samples += part.end - part.start

    def hole(self, gap: Gap) -> None:
        """A stretch of audio that could not be read."""
        with self.lock:
            self.assembly.hole(gap)

    def end(self, samples: int) -> None:
        """The last chunk was cut; the upload has so many samples."""
        with self.lock:
            self.assembly.end(samples)
        for audit in self.audits:
            audit.end()

    @property
    def has_ended(self) -> bool:
        """Whether somebody ends or ended the job: nothing more is to be added to it."""
        return self._ended

    def is_complete(self) -> bool:
        """Whether every chunk has its answer, no more will be cut, and the audit is done."""
        with self.lock:
            assembled = self.assembly.is_complete
        return assembled and all(audit.is_settled for audit in self.audits)

    def unsaved(self) -> list[ChunkResult]:
        """Parts that no checkpoint holds; each is given out once."""
        with self.lock:
            parts, self._unsaved = self._unsaved, []
        return parts

    def save_later(self, parts: Sequence[ChunkResult]) -> None:
        """Take parts back that could not be stored: the next checkpoint has them."""
        with self.lock:
            self._unsaved.extend(parts)

    def expected_seconds(self) -> float:
        """Audio that engines will have heard in the end: what was cut, and of the rest as large a part as of that."""
        with self.lock:
            if self.assembly.is_cut:
                return self._cut_seconds
            streams = max(1, len(self.audits))
            share = min(1.0, self._cut_seconds / (streams * self._cut_until)) if self._cut_until else 1.0
            return self._cut_seconds + share * streams * max(0.0, self.media.duration_seconds - self._cut_until)

    def answered_seconds(self, of: Callable[[ChunkResult], bool]) -> float:
        """Audio of some of the parts that arrived, each channel heard alone for itself."""
        with self.lock:
            return seconds(sum(part.end - part.start for part in self.assembly.parts() if of(part)))

    def is_stored(self, part: ChunkResult) -> bool:
        """Whether an earlier attempt heard it."""
        return (part.channel, part.start, part.end) in self.stored

    def transcribed_seconds(self) -> float:
        """Audio that has its answer; heard channel by channel, each counts its part."""
        return self.answered_seconds(lambda _: True) / max(1, len(self.audits))

    def end_once(self) -> bool:
        """True for the first caller only: it ends the job."""
        with self.lock:
            first, self._ended = not self._ended, True
        return first
