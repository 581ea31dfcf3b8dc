"""Ending an upload in the job: its transcript and outcome, and its part of the execution's bill."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from google.cloud.storage import Bucket
from pydantic import BaseModel

from gpu_job.assembly import coverage
from gpu_job.audio import seconds
from gpu_job.metering import Meter, Share
from gpu_job.services import TaskIdentity
from gpu_job.waiting_room import Task
from gpu_job.work import Work
from shared import storage as objects
from shared.costs import Bill, JobShape, PriceBook, instance_bill, total
from shared.failures import EngineFailed
from shared.outcomes import Ending, failed, transcribed
from shared.speeds import SpeedStore, execution_figures
from shared.transcript import compose


def ending_of(work: Work, model: str, language: str) -> Ending:
    """A complete assembly -> its outcome, not yet billed. Where no chunk has an answer, the job failed."""
    findings = [audit.findings for audit in work.audits]
    with work.lock:
        parts, passages = work.assembly.parts(), work.assembly.passages(findings)
        gaps, decoded = work.assembly.gaps(findings), work.assembly.duration
    failures = [part.failure for part in parts if part.failure]
    if failures and len(failures) == len(parts):
        return failed(EngineFailed(failures[0]))
    transcript = compose(
        upload=work.upload,
        duration=max([decoded, *(gap.end for gap in gaps)]),
        language=language,
        model=model,
        passages=passages,
        coverage=coverage(passages, gaps, findings),
    )
    return transcribed(transcript, Bill())


class Settlement(BaseModel):
    """What an execution's task cost beyond the bills of its jobs, shared out over them when it ended."""

    execution: str
    task: str
    instance_seconds: float
    """The instance's whole life, start-up included."""
    settled_seconds: dict[str, float]
    """Job id -> seconds of the instance after its bill was written. Empty where no job ended: nobody is billed."""
    usd_per_second: float


class Billing:
    """The meter of this process with prices on it. Used from several threads."""

    def __init__(
        self,
        meter: Meter,
        shape: JobShape,
        prices: PriceBook,
        task: TaskIdentity,
        state: Bucket,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._shape = shape
        self._prices = prices
        self._task = task
        self._state = state
        self._clock = clock
        # Here, so that hardware without a price ends the process at once instead of every upload's ending.
        self._usd_per_second = instance_bill(shape, 1.0, prices, "idle").usd
        self._lock = threading.Lock()
        self._batch_began: float | None = None
        self._startup_seconds: float | None = None
        self._engine_seconds = 0.0
        self._audio_seconds = 0.0

    def open(self, work: Work) -> None:
        """A job is at work from now on."""
        with self._lock:
            self._meter.open(work.id, work.media.duration_seconds)

    def batch_begins(self) -> None:
        """Time until now went to no job."""
        with self._lock:
            self._batch_began = self._clock()
            self._meter.pass_time(self._batch_began)
            if self._startup_seconds is None:
                self._startup_seconds = self._batch_began - self._meter.began

    def batch_done(self, tasks: Sequence[Task]) -> None:
        """Time since the batch began went to the jobs in it."""
        audio: dict[str, float] = {}
        for task in tasks:
            audio[task.job_id] = audio.get(task.job_id, 0.0) + seconds(len(task.chunk.samples))
        with self._lock:
            at = self._clock()
            self._meter.transcribed(at, audio)
            self._engine_seconds += at - (self._batch_began or at)
            self._audio_seconds += sum(audio.values())

    def close(self, work: Work, ending: Ending) -> Ending:
        """The job ends: its ending with its bill."""
        return replace(ending, bill=ending.bill + self.abandon(work), execution=self._task.execution)

    def abandon(self, work: Work) -> Bill:
        """The job leaves this worker: what it cost so far."""
        with self._lock:
            return self._bill(self._meter.close(work.id, self._clock()))

    def settle(self) -> None:
        """The worker ends: the rest of its time is shared out and written down, and what it showed of its speed."""
        with self._lock:
            at = self._clock()
            settlement = Settlement(
                execution=self._task.execution,
                task=self._task.holder,
                settled_seconds=self._meter.settle(at),
                instance_seconds=at - self._meter.began,
                usd_per_second=self._usd_per_second,
            )
        name = f"executions/{self._task.execution}/{self._task.index}-{self._task.attempt}.json"
        objects.create_once(self._state, name, settlement.model_dump_json().encode())
        figures = execution_figures(
            self._shape.device,
            startup_seconds=self._startup_seconds,
            audio_seconds=self._audio_seconds,
            engine_seconds=self._engine_seconds,
        )
        SpeedStore(self._state).observe(figures)

    def _bill(self, share: Share) -> Bill:
        return total(
            instance_bill(self._shape, spent, self._prices, phase.value) for phase, spent in share.items() if spent > 0
        )
