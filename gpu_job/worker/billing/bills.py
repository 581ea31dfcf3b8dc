"""Billing: what each job costs in the worker, put together in one place: `Billing.final_bill`. The function's own calls
to Deepgram: `trigger_function/deepgram_call.py`.

Earlier attempts, as the job's record has them; this attempt's part of the instance's time, from the meter; and the
audio that this attempt sent to Deepgram. Heartbeats write the sum so far into the record, so the bill of an
attempt that is killed is on the next one's.

Whatever an execution cost that is neither in a record nor on a bill is its overhead, in the ledger: idle time, what a
job that was lost to another process had cost by then, a bill that could not be stored. Who books what of it when:
`shared/state/execution_costs.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel

from gpu_job.audio.samples import seconds
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.task import Task
from gpu_job.worker.billing.costs_on_bills import BilledWork, CostsOnBills
from gpu_job.worker.billing.deepgram_calls import DeepgramCalls
from gpu_job.worker.billing.meter import Meter, PhaseSeconds
from gpu_job.worker.billing.shown_speeds import ShownSpeeds
from gpu_job.worker.services import JobServices
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, Phase, instance_bill, instance_second_usd
from shared.enums import Engine
from shared.errors import best_effort
from shared.state.execution_costs import TaskCosts
from shared.telemetry.metrics import STARTUP_TIME, UNBILLED

_log = logging.getLogger(__name__)


class BilledJob(BilledWork, Protocol):
    """What a bill takes of a job that runs here."""

    @property
    def audio_seconds(self) -> float:
        """Of the upload, or of the shard."""

    @property
    def spent_before(self) -> Bill:
        """What earlier attempts cost."""

    @property
    def speakers_seconds(self) -> float:
        """Time in which this attempt told speakers apart until now, all threads at once; 0 where nobody asks."""


class UnbilledTime(BaseModel):
    """Time of an execution's task that is on no bill and in no record, shared out over its jobs when it ended."""

    execution: str
    task: str
    instance_seconds: float
    """The instance's whole life, start-up included."""
    unbilled_seconds: dict[str, float]
    """Job id -> its share of the instance's time behind its bill. Empty where no job ended: nobody is billed."""
    usd_per_second: float


class Billing:
    """The meter of this process with prices on it. Used from several threads."""

    def __init__(self, meter: Meter, services: JobServices, clock: Callable[[], float] = time.monotonic) -> None:
        self._meter = meter
        self._shape = services.settings.shape
        self._prices = services.prices
        self._lease = timedelta(seconds=services.settings.lease_seconds)
        self._deadline_seconds = services.claims_deadline_seconds
        self._task = services.task
        self._state = services.state
        self._costs = services.execution_costs
        self._speeds = services.speeds
        self._clock = clock
        # Here, so that hardware without a price ends the process at once instead of every upload's ending.
        self._usd_per_second = instance_second_usd(self._shape, self._prices)
        self._lock = threading.Lock()
        self._began_at = now() - timedelta(seconds=clock() - meter.began)
        self._on_bills = CostsOnBills(services.task.attempt_name)
        self._calls = DeepgramCalls(services.settings.deepgram_model, services.prices)
        self._shown = ShownSpeeds(services.settings.parakeet_model_name)
        self._writing = threading.Lock()
        """Of the object that says what this task cost: an older word never takes a newer one's place."""
        self._is_closed = False
        self._batch_began: float | None = None
        self._batch_engine: Engine | None = None
        self._in_batch: set[Engine] = set()
        """Engines that run one: the time since the last mark may be its jobs'."""
        self._own_engine = Engine.PARAKEET_GPU if self._shape.gpu else Engine.PARAKEET_CPU

    def open(self, job: BilledJob) -> None:
        """A job is in progress from now on."""
        with self._lock:
            self._meter.open(job.id, job.audio_seconds)
            self._on_bills.begin(job)
            self._calls.open(job.id)

    def batch_started(self, engine: Engine) -> None:
        """Time until now went to no job."""
        with self._lock:
            self._batch_began, self._batch_engine = self._clock(), engine
            self._meter.pass_time(self._batch_began)
            self._in_batch.add(engine)
            if self._shown.startup_seconds is None:
                self._shown.startup_seconds = self._batch_began - self._meter.began
                STARTUP_TIME.record(self._shown.startup_seconds, device=self._shape.device)

    def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
        """Time since the batch began went to the jobs in it."""
        audio: dict[str, float] = {}
        for task in tasks:
            audio[task.job_id] = audio.get(task.job_id, 0.0) + seconds(len(task.chunk.samples))
        with self._lock:
            at = self._clock()
            self._meter.transcribed(at, audio)
            self._in_batch.discard(engine)
            self._shown.fill(tasks)
            # Of two engines at once neither shows what it can.
            if engine is self._own_engine and self._batch_engine is engine:
                self._shown.batch(tasks[0].model, sum(audio.values()), at - (self._batch_began or at))

    def engine_failed(self, engine: Engine) -> None:
        """It runs nothing more: a batch that hangs in it takes no more time."""
        with self._lock:
            self._in_batch.discard(engine)

    def call_finished(self) -> None:
        """An API transcribed something: where no batch ran yet, the start-up ends with it."""
        with self._lock:
            if self._batch_began is None:
                self._meter.end_start_up(self._clock())

    def call_started(self, call: ApiCall) -> None:
        """The call's audio is about to be sent to Deepgram, which may bill it from now on."""
        with self._lock:
            self._calls.start(call)

    def calls_started(self, job_id: str) -> int:
        """How many calls to Deepgram were begun for the job; grows only."""
        with self._lock:
            return self._calls.started(job_id)

    def call_answered(self, call: ApiCall) -> None:
        """Deepgram transcribed the call's audio."""
        with self._lock:
            self._calls.answer(call)

    def call_not_billed(self, call: ApiCall) -> None:
        """A call that started failed before Deepgram can have done the work."""
        with self._lock:
            self._calls.fail_unbilled(call)

    def record_decoding(self, audio_seconds: float, wall_seconds: float) -> None:
        """An upload's decoder made `audio_seconds` of audio (of the upload's time, however many channels) in
        `wall_seconds`, while nothing else held it up."""
        with self._lock:
            self._shown.decoding(audio_seconds, wall_seconds)

    def record_speakers(self, audio_seconds: float, wall_seconds: float) -> None:
        """The speakers of an upload of `audio_seconds` were told apart in `wall_seconds` of all threads at once."""
        with self._lock:
            self._shown.speakers(audio_seconds, wall_seconds)

    def accrued_bill(self, job: BilledJob) -> Bill | None:
        """What the job would cost if this attempt ended now, for its record; None once its final bill was made.

        From now on that is the least it costs, for who finds this process killed bills what the record says. Without
        the time of a batch that runs: whose that is shows when it is over.
        """
        with self._lock:
            if not self._in_batch:
                self._meter.pass_time(self._clock())
            seconds_by_phase = self._meter.promise(job.id)
            return None if seconds_by_phase is None else self._bill(job, seconds_by_phase, self._calls.bill(job.id))

    def final_bill(self, job: BilledJob) -> Bill:
        """This attempt at the job ends, whatever its outcome: what the job cost, earlier attempts included. Once."""
        with self._lock:
            seconds_by_phase = self._meter.close(job.id, self._clock())
            return self._bill(job, seconds_by_phase, self._calls.end(job.id))

    def bill_recorded(self, job: BilledJob, bill: Bill) -> None:
        """The record of the job, or shard, says that it cost `bill`, with this attempt until now."""
        with self._lock:
            self._on_bills.record(job, bill)

    def bill_stored(self, job: BilledJob, standing: Bill) -> None:
        """The upload's outcome has this bill: ours, or another process's, which has of this task what the record had
        when that process read it, or nothing. What it lacks is the execution's overhead."""
        with self._lock:
            self._on_bills.decide(job, standing)

    def _bill(self, job: BilledJob, seconds_by_phase: PhaseSeconds, calls: Bill) -> Bill:
        # They are told apart beside the batches: what that took beyond them is part of the job's waiting.
        for_speakers = job.speakers_seconds - seconds_by_phase[Phase.TRANSCRIPTION]
        instance = instance_bill(self._shape, seconds_by_phase, self._prices, speakers_seconds=for_speakers)
        return job.spent_before + (instance + calls).signed(self._task.attempt_name)

    def task_costs(self) -> TaskCosts:
        """What this task cost until now, and what of that is in records and on bills."""
        with self._lock:
            return self._task_costs()

    def _task_costs(self) -> TaskCosts:
        wall, lived, calls_usd = now(), self._clock() - self._meter.began, self._calls.usd
        return TaskCosts(
            execution=self._task.execution,
            index=self._task.index,
            attempt=self._task.attempt,
            began_at=self._began_at,
            updated_at=wall,
            alive_until=wall + self._lease,
            spent_usd=lived * self._usd_per_second + calls_usd,
            calls_usd=calls_usd,
            on_bills_usd=self._on_bills.usd,
            on_bills_calls_usd=self._on_bills.calls_usd,
            usd_per_second=self._usd_per_second,
            recorded=tuple(self._on_bills.recorded),
        )

    def record_execution(self) -> None:
        """Write what this task cost by now, and which uploads it may have cost something, for whoever finds it killed;
        nothing where another thread's word hangs on its way: the renewal of claims waits for this. Raises what the
        storage client raises, within the deadline of claims.
        """
        with self._no_other_word(self._deadline_seconds) as is_free:
            if is_free:
                self._record_execution(self._deadline_seconds)

    def name_job(self, job: BilledJob, deadline_seconds: float | None = None) -> None:
        """Have that object name an upload, or a shard of it, before anything else says that it cost something here.

        `deadline_seconds`: for the storage client's call, and as long at most another thread is waited for that writes;
        None: that of claims, for the heartbeat waits for this object, too.
        """
        if self._is_named(job):
            return
        deadline_seconds = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        with self._no_other_word(deadline_seconds) as is_free:
            # Whoever wrote meanwhile named all that run.
            if is_free and not self._is_named(job):
                with best_effort("what the execution cost was not recorded"):
                    self._record_execution(deadline_seconds)

    @contextmanager
    def _no_other_word(self, within_seconds: float) -> Iterator[bool]:
        """Whether no other thread writes the object, within so long; until this is left none does."""
        is_free = self._writing.acquire(timeout=within_seconds)
        try:
            yield is_free
        finally:
            if is_free:
                self._writing.release()

    def for_record(self, job: BilledJob, bill: Bill) -> Bill:
        """What of a bill the job's record may have: nothing of this task's time where its own object could not name the
        job, for who finds this process killed counts all that as overhead. Its calls all the same: none may be lost."""
        return bill if self._is_named(job) else bill.without_time_of(self._task.attempt_name)

    def _is_named(self, job: BilledJob) -> bool:
        """Whether that object names it, as far as was written, or need not."""
        with self._lock:
            return self._on_bills.is_named(job)

    def _record_execution(self, deadline_seconds: float) -> None:
        if self._is_closed:
            return  # what was written then names every upload
        costs = self.task_costs()
        self._costs.update(costs, deadline_seconds)
        with self._lock:
            self._on_bills.named(costs)

    def close_execution(self) -> None:
        """The worker's last act, for what it does behind that is billed, too: report the speeds it showed, share out
        the rest of its time, and book what is on no bill."""
        self._speeds.observe(self._shown.figures(self._shape.device))
        with best_effort("the execution's unbilled time was not shared out"):
            self._share_out_rest()
        with self._writing:
            self._is_closed = True
            unbilled_usd = self._costs.close(self.task_costs).usd
        UNBILLED.add(unbilled_usd)
        lived = self._clock() - self._meter.began
        # Metrics out of the logs read them by these names.
        fields = {"instance_seconds": lived, **self._shown.log_fields(), "unbilled_usd": unbilled_usd}
        _log.info("execution ended", extra={"fields": fields})

    def _share_out_rest(self) -> None:
        with self._lock:
            at = self._clock()
            unbilled = UnbilledTime(
                execution=self._task.execution,
                task=self._task.holder,
                unbilled_seconds=self._meter.share_out_rest(at),
                instance_seconds=at - self._meter.began,
                usd_per_second=self._usd_per_second,
            )
        name = f"executions/{self._task.attempt_name}.json"
        objects.create_once(self._state, name, unbilled.model_dump_json().encode())
