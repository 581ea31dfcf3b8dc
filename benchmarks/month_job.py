"""A job in the simulation: executions started by the launch plan, sharing a queue, idle and ended as the real ones.

A batch of up to BATCH_AUDIO_SECONDS, of all uploads in flight, takes a time by its audio and, on a GPU, a fixed time:
a lone short file runs far below the speed that full batches reach there. On a CPU no fixed time is worth naming.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from shared.costs.gathering import GatherRules, Queue
from shared.costs.launch_plan import Backlog, LaunchRules, RunningExecutions, executions_to_launch, queue_ahead
from shared.costs.speeds import PRIOR_WEIGHT, WINDOW, DeviceSpeed

BATCH_AUDIO_SECONDS = 640.0
"""Default of the job's setting of that name on a GPU."""
BATCH_SECONDS = 0.15
"""Of each batch on a GPU, whatever is in it: launches, decoding of the transducer's longest row, hand-over. An
assumption."""
IN_FLIGHT = 4
"""Default of UPLOADS_IN_FLIGHT."""
TASK_SECONDS = 3_600.0 - 60.0
"""A task's time less STOP_MARGIN_SECONDS; then another execution takes over."""


LOOK_SECONDS = 30.0
"""Between two looks of a worker at the backlog."""


@dataclass
class _Queued:
    number: int
    arrived: float
    left: float
    """Audio without words, in seconds."""
    began: float | None = None


@dataclass
class _Execution:
    begun: float
    """When its task began."""
    free: float
    """Until when it starts or is busy; from then on it is idle."""
    in_flight: list[_Queued] = field(default_factory=list)


@dataclass
class Spent:
    """Seconds of instances by what they went to."""

    start_up: float = 0.0
    transcription: float = 0.0
    idle: float = 0.0
    executions: int = 0

    @property
    def total(self) -> float:
        return self.start_up + self.transcription + self.idle


@dataclass(frozen=True)
class Done:
    """The job ended its part of an upload."""

    number: int
    began: float
    at: float


@dataclass
class SimulatedJob:
    """Executions over the month. All times in seconds since it began; audio in seconds."""

    start_up_seconds: float
    x_real_time: float
    """Of full batches, as a whole job reaches it."""
    decode_x_real_time: float
    idle_seconds: float
    batch_seconds: float = BATCH_SECONDS
    """Of each batch, whatever is in it."""
    gather: GatherRules = field(default_factory=GatherRules)
    launch: LaunchRules = field(default_factory=lambda: LaunchRules(max_executions=1, drain_seconds=600.0))
    spent: Spent = field(default_factory=Spent)
    most_at_once: int = 0
    """Executions that ran at the same time, at most."""
    _dues: list[float] = field(default_factory=list)
    """When each of the uploads that gather has waited long enough; empty where none does."""
    _company: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """Audio that had gathered at the last starts, beside the first upload's."""
    _queue: deque[_Queued] = field(default_factory=deque)
    """Uploads that no execution has taken."""
    _running: list[_Execution] = field(default_factory=list)
    _queued_seconds: float = 0.0
    """Audio of the queue."""
    _looked: float = 0.0

    def is_live(self, at: float) -> bool:
        """Whether an execution runs at this moment; everything up to now must have been run."""
        self._leave(at)
        return bool(self._running)

    @property
    def _speed(self) -> DeviceSpeed:
        return DeviceSpeed(self.start_up_seconds, self.x_real_time)

    def queue(self, at: float) -> Queue:
        """What an upload finds that arrives now; everything up to now must have been run."""
        if self.is_live(at):
            return queue_ahead(self._backlog, self._executions(at), self._missing(at), self._speed)
        most = self.gather.audio_seconds
        company = median([most] * PRIOR_WEIGHT + list(self._company)) if self.gather.longest_seconds else 0.0
        due = max(0.0, min(self._dues) - at) if self._dues else None
        return Queue(waiting_seconds=self._backlog.audio_seconds, due_seconds=due, company_seconds=company)

    def add(self, at: float, number: int, audio_seconds: float, wait_seconds: float = 0.0) -> None:
        """An upload arrives, which may wait for company; everything up to now must have been run."""
        is_live = self.is_live(at)
        self._queue.append(_Queued(number, at, audio_seconds))
        self._queued_seconds += audio_seconds
        if not is_live and wait_seconds > 0 and self._backlog.audio_seconds < self.gather.audio_seconds:
            self._dues.append(at + wait_seconds)
        else:
            self._launch_missing(at)

    def run(self, until: float) -> Iterator[Done]:
        """Work until this moment; a batch that has begun is ended."""
        if self._dues:
            # Where nobody comes, the reconciler's next call starts an execution.
            tick = self.gather.tick_seconds
            at = math.ceil(min(self._dues) / tick) * tick
            if at >= until:
                return
            self._launch_missing(at)
        while (execution := self._next()) is not None:
            begins = self._begins(execution)
            if begins >= until:
                return
            self._leave(begins)
            if begins - execution.begun > TASK_SECONDS:
                self._running.remove(execution)
                execution = self._start(begins, execution.in_flight)
                continue
            yield from self._batch(execution, begins)
            if execution.free - self._looked >= LOOK_SECONDS:
                self._launch_missing(execution.free)

    def finish(self) -> Iterator[Done]:
        """Work until the queue is empty, and leave."""
        yield from self.run(math.inf)
        self._leave(math.inf)

    @property
    def _backlog(self) -> Backlog:
        return Backlog(len(self._queue), self._queued_seconds if self._queue else 0.0)

    def _executions(self, at: float) -> RunningExecutions:
        return RunningExecutions(
            count=len(self._running),
            starting=sum(at < one.begun + self.start_up_seconds for one in self._running),
            audio_seconds=sum(upload.left for one in self._running for upload in one.in_flight),
        )

    def _missing(self, at: float) -> int:
        free = self.launch.max_executions - len(self._running)
        return executions_to_launch(self._backlog, self._executions(at), self._speed, self.launch, free)

    def _launch_missing(self, at: float) -> None:
        self._looked = at
        if self._dues:
            self._company.append(self._backlog.audio_seconds - self._queue[0].left)
            self._dues.clear()
        for _ in range(self._missing(at)):
            self._start(at, [])

    def _start(self, at: float, in_flight: list[_Queued]) -> _Execution:
        execution = _Execution(at, at + self.start_up_seconds, in_flight)
        self._running.append(execution)
        self.most_at_once = max(self.most_at_once, len(self._running))
        self.spent.start_up += self.start_up_seconds
        self.spent.executions += 1
        return execution

    def _leave(self, at: float) -> None:
        """End the executions that have found nothing for long enough by now."""
        for execution in [*self._running]:
            if not execution.in_flight and execution.free + self.idle_seconds < at:
                self._running.remove(execution)
                self.spent.idle += self.idle_seconds

    def _next(self) -> _Execution | None:
        """The execution whose turn it is; None where nobody has anything to do."""
        able = [one for one in self._running if one.in_flight or self._queue]
        return min(able, key=self._begins) if able else None

    def _begins(self, execution: _Execution) -> float:
        """When it can begin its next batch."""
        return execution.free if execution.in_flight else max(execution.free, self._queue[0].arrived)

    def _batch(self, execution: _Execution, begins: float) -> Iterator[Done]:
        self.spent.idle += begins - execution.free
        while self._queue and len(execution.in_flight) < IN_FLIGHT and self._queue[0].arrived <= begins:
            execution.in_flight.append(self._queue.popleft())
            self._queued_seconds -= execution.in_flight[-1].left
        taken = 0.0
        for one in execution.in_flight:
            part = min(one.left, BATCH_AUDIO_SECONDS - taken)
            if part > 0 and one.began is None:
                one.began = begins
            one.left -= part
            taken += part
        seconds = self.batch_seconds + max(taken / self._peak, taken / self.decode_x_real_time)
        execution.free = begins + seconds
        self.spent.transcription += seconds
        ended = [one for one in execution.in_flight if one.left <= 0]
        execution.in_flight = [one for one in execution.in_flight if one.left > 0]
        for one in ended:
            yield Done(one.number, one.began if one.began is not None else begins, execution.free)

    @property
    def _peak(self) -> float:
        """Speed beside the fixed time, so that full batches reach `x_real_time`."""
        return BATCH_AUDIO_SECONDS / (BATCH_AUDIO_SECONDS / self.x_real_time - self.batch_seconds)
