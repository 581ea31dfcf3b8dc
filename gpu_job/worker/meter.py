"""Metering: one execution's time, shared out over the jobs it served, start-up and idle time included. Pure.

The clock's whole range is cut into intervals. Time the model spent on a batch belongs to the jobs in it, by their
audio; all other time lands in a pool. A job that ends takes its own time and its share of the pool; what is left when
the worker ends is shared out over all jobs. So the shares always add up to the execution's time.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.costs.bill import Phase

PhaseSeconds = dict[Phase, float]
"""Seconds of an instance by phase."""


@dataclass
class Meter:
    """The time of one job instance. All times in seconds on one monotonic clock."""

    began: float
    """When the instance began to be billed."""
    _last: float = field(init=False)
    _pool: PhaseSeconds = field(default_factory=dict)
    _own: dict[str, float] = field(default_factory=dict)
    _audio: dict[str, float] = field(default_factory=dict)
    """Seconds of audio of the jobs in progress: how the pool is shared."""
    _ended: dict[str, float] = field(default_factory=dict)
    _started: bool = False

    def __post_init__(self) -> None:
        self._last = self.began

    def open(self, job_id: str, audio_seconds: float) -> None:
        """A job is in progress from now on."""
        self._audio[job_id] = max(1.0, audio_seconds)

    def pass_time(self, at: float) -> None:
        """The time since the last mark went to no job: start-up until the first batch, waiting after it."""
        self._add(Phase.WAITING if self._started else Phase.START_UP, at)

    def transcribed(self, at: float, audio_seconds: Mapping[str, float]) -> None:
        """The time since the last mark went to a batch with so much audio of each job."""
        self._started = True
        whole, spent = sum(audio_seconds.values()), self._advance(at)
        for job_id, part in audio_seconds.items():
            self._own[job_id] = self._own.get(job_id, 0.0) + (spent * (part / whole) if whole else 0.0)
        if not whole:
            self._pool[Phase.WAITING] = self._pool.get(Phase.WAITING, 0.0) + spent

    def end_start_up(self, at: float) -> None:
        """An engine outside this instance answered: the time until its first answer was start-up, too."""
        if not self._started:
            self.pass_time(at)
            self._started = True

    def close(self, job_id: str, at: float) -> PhaseSeconds:
        """The job ends: its own time and its share of the pool, by its share of the audio in progress."""
        self.pass_time(at)
        audio = self._audio.pop(job_id, 1.0)
        share = audio / (audio + sum(self._audio.values()))
        taken = {phase: seconds * share for phase, seconds in self._pool.items() if seconds > 0}
        self._pool = {phase: seconds * (1 - share) for phase, seconds in self._pool.items()}
        taken[Phase.TRANSCRIPTION] = self._own.pop(job_id, 0.0)
        self._ended[job_id] = self._ended.get(job_id, 0.0) + audio
        return taken

    def accrued(self, job_id: str, at: float) -> PhaseSeconds | None:
        """What the job would take if it ended now; None where it is not in progress."""
        return copy.deepcopy(self).close(job_id, at) if job_id in self._audio else None

    def share_out_rest(self, at: float) -> dict[str, float]:
        """The worker ends: seconds that no job took yet, over the jobs that ended, by their audio.

        Empty where no job ended: then nobody can be billed, and the whole time is the caller's to report.
        """
        self.pass_time(at)
        rest = sum(self._pool.values()) + sum(self._own.values())
        self._pool, self._own = {}, {}
        whole = sum(self._ended.values())
        return {job_id: rest * audio / whole for job_id, audio in self._ended.items()}

    def _add(self, phase: Phase, at: float) -> None:
        self._pool[phase] = self._pool.get(phase, 0.0) + self._advance(at)

    def _advance(self, at: float) -> float:
        spent, self._last = max(0.0, at - self._last), max(at, self._last)
        return spent
