"""The launcher: reads a job's slots and backlog, plans, and starts the executions that are missing.

The function launches for each upload it queues, the reconciler for those that went quiet, and a worker that sees more
than it can do in time. All of them plan by the same rules, and whoever takes a slot first starts its execution.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from shared.clock import now
from shared.costs.gathering import Queue
from shared.costs.launch_plan import Backlog, LaunchRules, drain_seconds, executions_to_launch, queue_ahead
from shared.costs.speeds import DeviceSpeed
from shared.enums import JobDevice
from shared.errors import FailureKind, LaunchFailed, best_effort
from shared.state.backlog import QueuedUploads
from shared.state.cloud_run import short_name
from shared.state.execution_slots import ExecutionSlots, SlotsView
from shared.state.jobs.record import new_holder
from shared.telemetry.metrics import LAUNCHES, LAUNCHES_FAILED

_log = logging.getLogger(__name__)

QUOTA_PAUSE = timedelta(minutes=2)
"""After Cloud Run refused a further execution for want of quota, nobody asks it for another one for so long."""

VIEW_SECONDS = timedelta(seconds=5)
"""Age up to which quotes use a view of the slots."""


class Runner(Protocol):
    """Cloud Run, as a launcher needs it."""

    def run(self, job: str) -> str:
        """Start an execution of the job; its name. Raises LaunchFailed."""


@dataclass(frozen=True)
class LaunchResult:
    """What became of one look at a job."""

    started: tuple[str, ...] = ()
    """Names of the executions that were started."""
    running: int = 0
    """Executions that ran or were on their way before."""
    failure: LaunchFailed | None = None
    """Why an execution that was wanted was not started."""

    @property
    def is_running(self) -> bool:
        """Whether an execution takes the queue's work, or is on its way to do so."""
        return bool(self.started) or self.running > 0


class Launcher:
    """Launches executions of one job. Used from any thread."""

    def __init__(
        self,
        *,
        runner: Runner,
        job: str,
        device: JobDevice,
        slots: ExecutionSlots,
        queued: QueuedUploads,
        rules: LaunchRules,
        speed: Callable[[], DeviceSpeed],
        term: timedelta,
    ) -> None:
        """`job`: full name. `speed`: as learned by now. `term`: how long a launched execution has to take its slot."""
        self._runner = runner
        self._job = job
        self._device = device
        self._slots = slots
        self._queued = queued
        self._rules = rules
        self._speed = speed
        self._term = term
        self._viewed: SlotsView | None = None
        """The last view, for quotes: who launches looks anew."""

    def launch(self) -> LaunchResult:
        """Start what is missing for work that the caller has queued: one execution at least, where none runs.

        Raises what the storage client raises.
        """
        # The upload's mark may not be listed, or could not be written.
        return self._launch(least=Backlog(items=1))

    def launch_more(self) -> LaunchResult:
        """Start what is missing for the backlog, if there is one. Raises what the storage client raises."""
        return self._launch(least=Backlog())

    def _launch(self, least: Backlog) -> LaunchResult:
        view = self._viewed = self._slots.view()
        running, free = view.running, view.free(self._rules.max_executions)
        if running.count and not free:
            return LaunchResult(running=running.count)
        backlog = self._backlog(view)
        if not backlog.items:
            backlog = least
        count = executions_to_launch(backlog, running, self._speed(), self._rules, len(free))
        return self._start(free[:count], view, running.count)

    def queue(self) -> Queue:
        """The queue that the next upload finds where executions run, as of at most VIEW_SECONDS ago. Raises what the
        storage client raises."""
        view = self._viewed
        if view is None or now() - view.at > VIEW_SECONDS:
            view = self._viewed = self._slots.view()
        if not view.is_running:
            return Queue()
        backlog = self._backlog(view)
        free = len(view.free(self._rules.max_executions))
        launches = executions_to_launch(backlog, view.running, self._speed(), self._rules, free)
        return queue_ahead(backlog, view.running, launches, self._speed())

    def drain_seconds(self) -> float | None:
        """Time in which the executions that run will have done all that waits; None where none runs.

        Raises what the storage client raises.
        """
        view = self._slots.view()
        return drain_seconds(self._backlog(view), view.running, self._speed()) if view.is_running else None

    def _backlog(self, view: SlotsView) -> Backlog:
        return self._queued.waiting(self._device, view.taken_jobs)

    def _start(self, numbers: list[int], view: SlotsView, running: int) -> LaunchResult:
        """Start an execution for each slot that can be taken; where another launcher takes one, it starts that one."""
        started: list[str] = []
        for number in numbers:
            held = self._slots.take(number, new_holder("launcher"), self._term, view)
            if held is None:
                running += 1
                continue
            try:
                name = self._runner.run(self._job)
            except LaunchFailed as error:
                others = running + len(started)
                with best_effort("the slot of a launch that failed was not released"):
                    is_for_more = error.kind is FailureKind.QUOTA and others > 0
                    if not (is_for_more and self._slots.refuse(held, QUOTA_PAUSE)):
                        self._slots.launch_failed(held)
                self._report(error, others)
                return LaunchResult(tuple(started), running, error)
            LAUNCHES.add(1, job_name=short_name(self._job))
            _log.info("execution launched", extra={"fields": {"execution": name, "job": self._job}})
            started.append(name)
            self._viewed = None
        return LaunchResult(tuple(started), running)

    def _report(self, error: LaunchFailed, others: int) -> None:
        fields = {"kind": error.kind, "reason": error.reason, "running": others}
        if error.kind is FailureKind.QUOTA and others:
            # No failure: those that run do the work, later.
            _log.warning("no quota for another execution", extra={"fields": fields})
            return
        LAUNCHES_FAILED.add(1, job_name=short_name(self._job), kind=error.kind.value)
        _log.warning("launch failed", extra={"fields": fields})
