"""One upload in a worker's hands: its record, its receipts, and its parts as they arrive."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpu_job.assembly import Assembly, Part
from gpu_job.audio import SAMPLE_RATE
from shared.jobs import Job
from shared.messages import Decision
from shared.upload import Media, Upload


@dataclass
class Work:
    """Shared by the preparing thread, which cuts, and the engine thread, which answers; hence the lock."""

    job: Job
    media: Media
    decision: Decision
    ack_ids: list[str]
    stored: dict[tuple[int, int], Part]
    """Parts from an earlier attempt's checkpoints."""
    assembly: Assembly = field(default_factory=Assembly)
    lock: threading.Lock = field(default_factory=threading.Lock)
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

    def cut(self, start: int, end: int) -> bool:
        """A chunk was cut; False where an earlier attempt has its words already."""
        with self.lock:
            self.assembly.expect()
            known = self.stored.get((start, end))
            if known is not None:
                self.assembly.add(known)
            return known is None

    def arrive(self, part: Part) -> None:
        """An engine's answer for one chunk."""
        with self.lock:
            self.assembly.add(part)
            if part.failure is None:
                # A failure is not kept: the next attempt may have a sounder engine.
                self._unsaved.append(part)

    def unsaved(self) -> list[Part]:
        """Parts that no checkpoint holds; each is given out once."""
        with self.lock:
            parts, self._unsaved = self._unsaved, []
        return parts

    def save_later(self, parts: Sequence[Part]) -> None:
        """Take parts back that could not be stored: the next checkpoint has them."""
        with self.lock:
            self._unsaved.extend(parts)

    def transcribed_seconds(self) -> float:
        """Audio that has its answer."""
        with self.lock:
            return sum(part.end - part.start for part in self.assembly.parts()) / SAMPLE_RATE

    def end_once(self) -> bool:
        """True for the first caller only: it ends the job."""
        with self.lock:
            first, self._ended = not self._ended, True
        return first

    def is_complete(self) -> bool:
        """Whether every chunk has its answer and no more will be cut."""
        with self.lock:
            return self.assembly.is_complete
