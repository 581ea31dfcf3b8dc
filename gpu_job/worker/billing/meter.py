"""Metering: one execution's time, shared out over the jobs it served, start-up and idle time included. Pure.

The clock's whole range is cut into intervals. Time the model spent on a batch belongs to the jobs in it, by their
audio; all other time lands in a pool. A job that ends takes its own time and its share of the pool; what is left when
the worker ends is shared out over all jobs. So the shares always add up to the execution's time.

A heartbeat writes into a job's record what the job would take by then, and its worker may be killed at any moment
behind that. So that much is promised: the job takes no less when it ends, and nobody else takes any of it. Only time
before the last mark is promised, of which no batch can take anything any more. What is taken and what is promised is
never more than that.
"""

from __future__ import annotations

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
    _promised: dict[str, PhaseSeconds] = field(default_factory=dict)
    """What records of jobs in progress have, perhaps. It only grows: whoever ends a job may have read its record
    before."""
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
        """The job ends: its own time and its share of the pool, by its share of the audio in progress; no less than was
        promised to it, and nothing of what was promised to others."""
        self.pass_time(at)
        taken = self._due(job_id)
        self._pool = {phase: max(0.0, seconds - taken.get(phase, 0.0)) for phase, seconds in self._pool.items()}
        self._own.pop(job_id, None)
        self._promised.pop(job_id, None)
        self._ended[job_id] = self._ended.get(job_id, 0.0) + self._audio.pop(job_id, 1.0)
        return taken

    def promise(self, job_id: str) -> PhaseSeconds | None:
        """What the job would take, had it ended at the last mark, for its record; None where it is not in progress."""
        if job_id not in self._audio:
            return None
        self._promised[job_id] = self._due(job_id)
        return dict(self._promised[job_id])

    def _due(self, job_id: str) -> PhaseSeconds:
        audio = self._audio.get(job_id, 1.0)
        share = audio / (audio + sum(other for of, other in self._audio.items() if of != job_id))
        own, others = self._promised.get(job_id, {}), [one for of, one in self._promised.items() if of != job_id]
        due = PhaseSeconds()
        for phase, seconds in self._pool.items():
            free = seconds - sum(one.get(phase, 0.0) for one in others)
            due[phase] = max(own.get(phase, 0.0), min(seconds * share, free))
        taken = {phase: seconds for phase, seconds in due.items() if seconds > 0}
        return {**taken, Phase.TRANSCRIPTION: self._own.get(job_id, 0.0)}

    def share_out_rest(self, at: float) -> dict[str, float]:
        """The worker ends: seconds that no job took yet and that are promised to none, over the jobs that ended, by
        their audio.

        Empty where no job ended: then nobody can be billed, and the whole time is the caller's to report.
        """
        self.pass_time(at)
        left = sum(self._pool.values()) + sum(self._own.values())
        # A thread may still end a job: it takes what was promised.
        self._own = {job_id: promised[Phase.TRANSCRIPTION] for job_id, promised in self._promised.items()}
        self._pool = {
            phase: sum(promised.get(phase, 0.0) for promised in self._promised.values()) for phase in self._pool
        }
        rest = max(0.0, left - sum(self._pool.values()) - sum(self._own.values()))
        whole = sum(self._ended.values())
        return {job_id: rest * audio / whole for job_id, audio in self._ended.items()}

    def _add(self, phase: Phase, at: float) -> None:
        self._pool[phase] = self._pool.get(phase, 0.0) + self._advance(at)

    def _advance(self, at: float) -> float:
        spent, self._last = max(0.0, at - self._last), max(at, self._last)
        return spent
