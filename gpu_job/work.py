"""One upload in a worker's hands: its record, its receipts, its parts as they arrive, and their audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gpu_job.assembly import Assembly, Part
from gpu_job.audio import seconds
from gpu_job.chunking import Chunk
from gpu_job.repairing import Repairing
from shared.jobs import Job
from shared.messages import Decision
from shared.transcript import Gap
from shared.upload import Media, Upload
from shared.wishes import Channels


@dataclass
class Work:
    """Shared by the preparing thread, which cuts, and the engine's threads, which answer; hence the lock."""

    job: Job
    media: Media
    decision: Decision
    ack_ids: list[str]
    stored: dict[tuple[int, int, int], Part]
    """Parts from an earlier attempt's checkpoints, by channel, first and last sample."""
    audits: Sequence[Repairing] = ()
    """One for each channel that is heard alone."""
    assembly: Assembly = field(default_factory=Assembly)
    lock: threading.Lock = field(default_factory=threading.Lock)
    windows: list[Part] = field(default_factory=list)
    """What the audit had heard again."""
    _unsaved: list[Part] = field(default_factory=list)
    _ended: bool = False

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
        return self.job.record.wishes.channels is Channels.SPLIT and self.media.channels > 1

    def cut(self, channel: int, chunk: Chunk) -> bool:
        """A chunk was cut; False where an earlier attempt has its words already."""
        with self.lock:
            self.assembly.expect()
            known = self.stored.get((channel, chunk.start, chunk.end))
        self.audits[channel].cut(chunk)
        if known is not None:
            self._take(known)
        return known is None

    def arrive(self, part: Part) -> None:
        """An engine's answer for one chunk."""
        if part.failure is None:
            # A failure is not kept: the next attempt may have a sounder engine.
            with self.lock:
                self._unsaved.append(part)
        self._take(part)

    def _take(self, part: Part) -> None:
        with self.lock:
            self.assembly.add(part)
        self.audits[part.channel].heard(part.start, part.tokens, failed=part.failure is not None)

    def heard_again(self, window: Part) -> None:
        """An engine's answer for a window of the audit: its words are the audit's, its price is the upload's."""
        with self.lock:
            self.windows.append(window)

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

    def unsaved(self) -> list[Part]:
        """Parts that no checkpoint holds; each is given out once."""
        with self.lock:
            parts, self._unsaved = self._unsaved, []
        return parts

    def save_later(self, parts: Sequence[Part]) -> None:
        """Take parts back that could not be stored: the next checkpoint has them."""
        with self.lock:
            self._unsaved.extend(parts)

    def answered_seconds(self, of: Callable[[Part], bool]) -> float:
        """Audio of some of the parts that arrived, each channel heard alone for itself."""
        with self.lock:
            return seconds(sum(part.end - part.start for part in self.assembly.parts() if of(part)))

    def is_stored(self, part: Part) -> bool:
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
