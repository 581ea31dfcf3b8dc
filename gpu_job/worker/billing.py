"""Billing: each upload's part of the execution's time with prices on it, and what of it was sent to Deepgram."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from gpu_job.asr.batch_fill import Fill
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import seconds
from gpu_job.engines.chunk_queue import Task
from gpu_job.worker.meter import Meter, PhaseSeconds
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, deepgram_bill, instance_bill, instance_second_usd
from shared.costs.speeds import execution_figures
from shared.enums import Engine
from shared.state.ledger import overhead
from shared.telemetry.metrics import STARTUP_TIME, UNBILLED

_log = logging.getLogger(__name__)

BYTES_PER_SAMPLE_SENT = 2
"""Chunks go to Deepgram as WAV."""


def api_bill_of(work: RunningJob, services: JobServices) -> Bill:
    """What Deepgram heard of an upload's chunks, earlier attempts' too, and the audio that was sent there."""
    with work.lock:
        return _bill_of_sent(work.assembly.parts(), services)


def _bill_of_windows(work: RunningJob, services: JobServices) -> Bill:
    """The same of what the audit had heard again here: no checkpoint holds it, so no later attempt can bill it."""
    with work.lock:
        return _bill_of_sent(work.windows, services)


def _bill_of_sent(parts: Sequence[ChunkResult], services: JobServices) -> Bill:
    samples = sum(part.end - part.start for part in parts if part.engine is Engine.DEEPGRAM and not part.failure)
    if not samples:
        return Bill()
    sent_bytes = samples * BYTES_PER_SAMPLE_SENT
    return deepgram_bill(services.settings.deepgram_model, seconds(samples), sent_bytes, services.prices)


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

    def __init__(self, meter: Meter, services: JobServices, clock: Callable[[], float] = time.monotonic) -> None:
        self._meter = meter
        self._services = services
        self._shape = services.settings.shape
        self._prices = services.prices
        self._task = services.task
        self._state = services.state
        self._ledger = services.ledger
        self._speeds = services.speeds
        self._clock = clock
        # Here, so that hardware without a price ends the process at once instead of every upload's ending.
        self._usd_per_second = instance_second_usd(self._shape, self._prices)
        self._lock = threading.Lock()
        self._billed_seconds = 0.0
        self._batch_began: float | None = None
        self._batch_engine: Engine | None = None
        self._own_engine = Engine.PARAKEET_GPU if self._shape.gpu else Engine.PARAKEET_CPU
        self._startup_seconds: float | None = None
        self._engine_seconds = 0.0
        """Of the shape's own engine, with the audio it did in them."""
        self._audio_seconds = 0.0
        self._fill = Fill()

    def open(self, work: RunningJob) -> None:
        """A job is at work from now on."""
        with self._lock:
            self._meter.open(work.id, work.media.duration_seconds)

    def batch_begins(self, engine: Engine) -> None:
        """Time until now went to no job."""
        with self._lock:
            self._batch_began, self._batch_engine = self._clock(), engine
            self._meter.pass_time(self._batch_began)
            if self._startup_seconds is None:
                self._startup_seconds = self._batch_began - self._meter.began
                STARTUP_TIME.record(self._startup_seconds, device=self._shape.device)

    def batch_done(self, engine: Engine, tasks: Sequence[Task]) -> None:
        """Time since the batch began went to the jobs in it."""
        audio: dict[str, float] = {}
        for task in tasks:
            audio[task.job_id] = audio.get(task.job_id, 0.0) + seconds(len(task.chunk.samples))
        with self._lock:
            at = self._clock()
            self._meter.transcribed(at, audio)
            self._fill += Fill.of([len(task.chunk.samples) for task in tasks])
            # Of two engines at once neither shows what it can.
            if engine is self._own_engine and self._batch_engine is engine:
                self._engine_seconds += at - (self._batch_began or at)
                self._audio_seconds += sum(audio.values())

    def answered_elsewhere(self) -> None:
        """An upload got words that no engine of this instance wrote."""
        with self._lock:
            if self._batch_began is None:
                self._meter.end_start_up(self._clock())

    def so_far(self, work: RunningJob) -> Bill | None:
        """What the job would cost if it left this worker now; None once it has left."""
        with self._lock:
            share = self._meter.accrued(work.id, self._clock())
        return None if share is None else self._bill(share) + _bill_of_windows(work, self._services)

    def leave(self, work: RunningJob) -> Bill:
        """The job leaves this worker, ended or not: what it cost here, but for what its checkpoints tell."""
        with self._lock:
            share = self._meter.close(work.id, self._clock())
            self._billed_seconds += sum(share.values())
        return self._bill(share) + _bill_of_windows(work, self._services)

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
        unbilled_usd = self._usd_per_second * max(0.0, settlement.instance_seconds - self._billed_seconds)
        UNBILLED.add(unbilled_usd)
        _log.info("execution settled", extra={"fields": self._figures(settlement.instance_seconds, unbilled_usd)})
        name = f"executions/{self._task.execution}/{self._task.index}-{self._task.attempt}.json"
        objects.create_once(self._state, name, settlement.model_dump_json().encode())
        self._ledger.settle(overhead(name, now(), unbilled_usd))
        figures = execution_figures(
            self._shape.device,
            startup_seconds=self._startup_seconds,
            audio_seconds=self._audio_seconds,
            engine_seconds=self._engine_seconds,
        )
        self._speeds.observe(figures)

    def _figures(self, instance_seconds: float, unbilled_usd: float) -> dict[str, float | None]:
        """For the log. Metrics out of the logs read them by these names."""
        return {
            "instance_seconds": instance_seconds,
            "startup_seconds": self._startup_seconds,
            "engine_seconds": self._engine_seconds,
            "audio_seconds": self._audio_seconds,
            "batch_fill": self._fill.share,
            "unbilled_usd": unbilled_usd,
        }

    def _bill(self, seconds: PhaseSeconds) -> Bill:
        return instance_bill(self._shape, seconds, self._prices)
