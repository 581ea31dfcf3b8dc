"""The launch plan: how many executions of a job are started for what waits on its queue. Pure.

A lone upload starts one execution. More are started where those that run would not end in time, so many that all work
is done within `drain_seconds`, or by the earliest deadline where that is sooner. They end by themselves as the queue
empties. A start is billed by the same second as the work, so its price is counted in seconds: no execution is started
beside others that would spend more than MAX_START_SHARE of its time starting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.costs.gathering import Queue
from shared.costs.speeds import DeviceSpeed

MAX_START_SHARE = 0.5
"""Of the time an execution is billed for until the queue is empty, where others run: then its start-up at most doubles
the price of its audio."""


@dataclass(frozen=True)
class Backlog:
    """Work items on a job's queue that no execution has taken."""

    items: int = 0
    """Uploads, and the shards of those that are divided."""
    audio_seconds: float = 0.0
    """That is to be transcribed. Of uploads for another model, as much as the deployment's own transcribes in the time
    that one takes."""
    due_seconds: float | None = None
    """Until the earliest deadline that can still be met; None: no upload has one."""
    speakers_seconds: float = 0.0
    """Audio of which is to be found out who speaks."""


@dataclass(frozen=True)
class RunningExecutions:
    """Executions of a job that take work from its queue, or were launched and have still to start."""

    count: int = 0
    starting: int = 0
    """Of these, how many have still to start: each of them will take an item."""
    audio_seconds: float = 0.0
    """Audio that they have taken from the queue and not transcribed yet, counted as that of the backlog."""
    speakers_seconds: float = 0.0
    """Of what they have taken, audio of which is still to be found out who speaks."""
    quota_refused: bool = False
    """Whether Cloud Run refused another one for want of quota a short while ago."""


@dataclass(frozen=True)
class LaunchRules:
    """What a deployment sets for one of its jobs."""

    max_executions: int
    drain_seconds: float
    """Time within which a backlog is to be transcribed."""


def executions_to_launch(
    backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules, free_slots: int
) -> int:
    """How many executions to start now. None where nothing waits; one at least where something does and none runs.

    `free_slots`: of `rules.max_executions`, those that nobody holds.
    """
    if not backlog.items or (running.quota_refused and running.count):
        return 0
    needed = _more_needed(backlog, running, speed, rules.drain_seconds)
    # With more executions than work items some would find nothing to do.
    wanted = min(needed if running.count else max(1, needed), backlog.items - running.starting)
    return max(0, min(wanted, rules.max_executions - running.count, free_slots))


def _more_needed(backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed, drain_seconds: float) -> int:
    """Executions beside those that run for everything to be done in time."""
    in_time = drain_seconds if backlog.due_seconds is None else min(drain_seconds, backlog.due_seconds)
    in_time = max(in_time, speed.startup_seconds / MAX_START_SHARE)
    left_seconds = _work_seconds(backlog, running, speed) - running.count * in_time
    return max(0, math.ceil(left_seconds / (in_time - speed.startup_seconds)))


def _work_seconds(backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed) -> float:
    """Of one execution, for everything: side by side, of several uploads, too, it transcribes and hears who speaks."""
    transcribing = (backlog.audio_seconds + running.audio_seconds) / speed.x_real_time
    return max(transcribing, (backlog.speakers_seconds + running.speakers_seconds) / speed.speakers_x_real_time)


def drain_seconds(backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed) -> float:
    """Time that the executions that run need for everything."""
    return speed.startup_seconds + _work_seconds(backlog, running, speed) / max(1, running.count)


def queue_ahead(backlog: Backlog, running: RunningExecutions, launches: int, speed: DeviceSpeed) -> Queue:
    """The queue that the next upload finds where executions run, `launches` more of which are about to start.

    What they have taken is transcribed side by side with it; what waits comes before it: as much audio as is
    transcribed in the time that it takes.
    """
    executions = running.count + launches
    waiting_seconds = _work_seconds(backlog, RunningExecutions(), speed) * speed.x_real_time
    return Queue(running=executions > 0, waiting_seconds=waiting_seconds / max(1, executions))
