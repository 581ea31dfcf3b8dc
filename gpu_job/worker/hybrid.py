"""Hybrid: Deepgram takes chunks from the back while Parakeet comes from the front, as many as the deadline takes.

Both see chunks cut at the same silences, so no word is lost or doubled where they meet. What either fails on goes to
the other one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpu_job.audio.samples import seconds
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.engines.task import Task
from gpu_job.periodic import PeriodicTask
from gpu_job.worker.build_engines import Engines
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from shared.clock import now
from shared.enums import Engine, Method

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often progress is looked at."""

RANGE_SECONDS = 300.0
"""Most audio in one call: fewer seams between engines, and a call's answer within seconds."""


@dataclass(frozen=True)
class Progress:
    """How far an upload is. In seconds, of audio where nothing else is said."""

    audio: float
    by_parakeet: float
    """Answered by Parakeet."""
    measured: float
    """Of that, what was answered within `elapsed`; the rest an earlier attempt had."""
    given: float
    """Answered by Deepgram, or on its way there."""
    elapsed: float
    """Time since Parakeet turned to the upload; while it loads, since the upload came."""
    left: float | None
    """Time until the deadline; None where the whole is wanted as soon as can be."""

    @property
    def rest(self) -> float:
        """What Deepgram has not got and Parakeet has not answered."""
        return max(0.0, self.audio - self.by_parakeet - self.given)


def seconds_for_deepgram(progress: Progress) -> float:
    """How much more audio Deepgram is to take now: what Parakeet, at its measured speed, will not have in time.

    Without a deadline all of it, from Parakeet's first words on: the start-up is paid for, and quotes count on it.
    """
    if progress.left is None:
        return progress.rest if progress.measured > 0 else 0.0
    if progress.measured == 0 and progress.elapsed < progress.left / 4:
        return 0.0  # too early to tell how fast it is
    in_time = progress.measured * max(0.0, progress.left) / progress.elapsed if progress.elapsed > 0 else 0.0
    return max(0.0, progress.rest - in_time)


class Hybrid(PeriodicTask):
    """Looks at the uploads now and then, on a thread of its own while it is entered."""

    def __init__(
        self,
        jobs: RunningJobs,
        engines: Engines,
        max_minutes: float | None,
    ) -> None:
        """`max_minutes`: deadline of uploads that bring none, from their event on."""
        super().__init__("hybrid", LOOK_SECONDS)
        self._jobs = jobs
        self._engines = engines
        self._max_minutes = max_minutes
        self._came: dict[str, datetime] = {}
        self._since: dict[str, datetime] = {}

    def tick(self) -> None:
        """Check every hybrid job once."""
        jobs = self._jobs.all()
        for times in (self._came, self._since):
            for ended in times.keys() - {job.id for job in jobs}:
                del times[ended]
        for job in jobs:
            if job.decision.method is Method.HYBRID and job.may_use_deepgram:
                with job.log_context():
                    try:
                        self._move_to_deepgram(job)
                    except Exception:
                        # Whatever it is, Parakeet goes on, only later.
                        _log.exception("hybrid failed")

    def _move_to_deepgram(self, job: RunningJob) -> None:
        deepgram = self._engines.deepgram
        if deepgram is None:
            return
        want = seconds_for_deepgram(self._progress(job, deepgram))
        while want > 0 and deepgram.has_capacity:
            tasks = self._take_last(job, min(want, RANGE_SECONDS))
            if not tasks:
                return
            taken = sum(seconds(len(task.chunk.samples)) for task in tasks)
            want -= taken
            self._engines.chain.ensure_started(deepgram)
            deepgram.submit_range(tasks)
            _log.info("deepgram takes a range", extra={"fields": {"seconds": round(taken, 1)}})

    def _take_last(self, job: RunningJob, max_seconds: float) -> list[Task]:
        """From whichever local engine has some queued."""
        taken = (engine.take_last(job.id, max_seconds, Engine.DEEPGRAM) for engine in self._engines.local)
        return next((tasks for tasks in taken if tasks), [])

    def _progress(self, job: RunningJob, deepgram: DeepgramEngine) -> Progress:
        record = job.record
        minutes = record.options.deadline_minutes or self._max_minutes
        left = record.received_at + timedelta(minutes=minutes) - now() if minutes else None
        since = self._came.setdefault(job.id, now())
        if any(engine.is_loaded for engine in self._engines.local):
            since = self._since.setdefault(job.id, now())
        # In this order: what Deepgram answers in between is counted twice for a moment, rather than not at all.
        pending = deepgram.pending_seconds(job.id)
        by_deepgram = job.transcribed_seconds_by(lambda result: result.engine is Engine.DEEPGRAM)
        by_parakeet = job.transcribed_seconds_by(lambda result: result.engine is not Engine.DEEPGRAM)
        return Progress(
            audio=job.transcription.expected_seconds(),
            by_parakeet=by_parakeet,
            measured=job.transcribed_seconds_by(
                lambda result: result.engine is not Engine.DEEPGRAM and not job.transcription.is_stored(result)
            ),
            given=pending + by_deepgram,
            elapsed=(now() - since).total_seconds(),
            left=left.total_seconds() if left is not None else None,
        )
