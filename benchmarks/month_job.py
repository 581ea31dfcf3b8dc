"""A job in the simulation: one execution at a time, started, shared, idle and ended as the real one.

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
from shared.costs.speeds import PRIOR_WEIGHT, WINDOW

BATCH_AUDIO_SECONDS = 640.0
"""Default of the job's setting of that name on a GPU."""
BATCH_SECONDS = 0.15
"""Of each batch on a GPU, whatever is in it: launches, decoding of the transducer's longest row, hand-over. An
assumption."""
IN_FLIGHT = 4
"""Default of UPLOADS_IN_FLIGHT."""
TASK_SECONDS = 3_600.0 - 60.0
"""A task's time less STOP_MARGIN_SECONDS; then another execution takes over."""


@dataclass
class _Queued:
    number: int
    left: float
    """Audio without words, in seconds."""
    began: float | None = None


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
    spent: Spent = field(default_factory=Spent)
    _dues: list[float] = field(default_factory=list)
    """When each of the uploads that gather has waited long enough; empty where none does."""
    _company: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """Audio that had gathered at the last starts, beside the first upload's."""
    _queue: deque[_Queued] = field(default_factory=deque)
    _begun: float = 0.0
    """When the running execution's task began."""
    _free: float = 0.0
    """Until when the running execution is busy; from then on it is idle."""
    _live: bool = False

    def is_live(self, at: float) -> bool:
        """Whether an execution runs at this moment."""
        return self._live and at <= self._free + self.idle_seconds

    def queue(self, at: float) -> Queue:
        """What an upload finds that arrives now; everything up to now must have been run."""
        if self.is_live(at):
            return Queue(running=True)
        most = self.gather.audio_seconds
        company = median([most] * PRIOR_WEIGHT + list(self._company)) if self.gather.longest_seconds else 0.0
        due = max(0.0, min(self._dues) - at) if self._dues else None
        return Queue(waiting_seconds=self._waiting_seconds, due_seconds=due, company_seconds=company)

    def add(self, at: float, number: int, audio_seconds: float, wait_seconds: float = 0.0) -> None:
        """An upload arrives, which may wait for company; everything up to now must have been run."""
        is_live = self.is_live(at)
        if not is_live:
            self._end()
        elif at > self._free:
            self.spent.idle += at - self._free
            self._free = at
        self._queue.append(_Queued(number, audio_seconds))
        if is_live:
            return
        if wait_seconds > 0 and self._waiting_seconds < self.gather.audio_seconds:
            self._dues.append(at + wait_seconds)
        else:
            self._start(at)

    @property
    def _waiting_seconds(self) -> float:
        return sum(one.left for one in self._queue)

    def run(self, until: float) -> Iterator[Done]:
        """Work until this moment; a batch that has begun is ended."""
        if self._dues:
            # Where nobody comes, the reconciler's next call starts an execution.
            tick = self.gather.tick_seconds
            at = math.ceil(min(self._dues) / tick) * tick
            if at >= until:
                return
            self._start(at)
        while self._queue and self._free < until:
            if self._free - self._begun > TASK_SECONDS:
                self._start(self._free)
            yield from self._batch()

    def finish(self) -> Iterator[Done]:
        """Work until the queue is empty, and leave."""
        yield from self.run(float("inf"))
        self._end()

    def _start(self, at: float) -> None:
        if self._dues:
            self._company.append(self._waiting_seconds - self._queue[0].left)
            self._dues.clear()
        self._live, self._begun, self._free = True, at, at + self.start_up_seconds
        self.spent.start_up += self.start_up_seconds
        self.spent.executions += 1

    def _end(self) -> None:
        if self._live:
            self.spent.idle += self.idle_seconds
        self._live = False

    def _batch(self) -> Iterator[Done]:
        taken, begins = 0.0, self._free
        in_flight = list(self._queue)[:IN_FLIGHT]
        for one in in_flight:
            part = min(one.left, BATCH_AUDIO_SECONDS - taken)
            if part > 0 and one.began is None:
                one.began = begins
            one.left -= part
            taken += part
        seconds = self.batch_seconds + max(taken / self._peak, taken / self.decode_x_real_time)
        self._free += seconds
        self.spent.transcription += seconds
        for one in in_flight:
            if one.left <= 0:
                self._queue.remove(one)
                yield Done(one.number, one.began if one.began is not None else begins, self._free)

    @property
    def _peak(self) -> float:
        """Speed beside the fixed time, so that full batches reach `x_real_time`."""
        return BATCH_AUDIO_SECONDS / (BATCH_AUDIO_SECONDS / self.x_real_time - self.batch_seconds)
