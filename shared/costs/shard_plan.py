"""The shard plan: into which time ranges a long upload is divided, so that several executions work on it. Pure.

A shard has the chunks that begin in its range; the last one goes on to the file's end, wherever that turns out to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_SHARDS = 60
"""Of one upload, whatever its header states: each costs a record and a pass of decoding."""


@dataclass(frozen=True)
class Shard:
    """A time range of an upload: unit of queueing, retry and resume."""

    number: int
    """From 0, in order of time."""
    start: int
    """Seconds from the upload's start."""
    end: int | None
    """None: to the file's end."""

    def seconds_of(self, duration_seconds: float) -> float:
        """How much of an upload of this length lies in it."""
        end = duration_seconds if self.end is None else min(self.end, duration_seconds)
        return max(0.0, end - self.start)


def shards_folder(job_id: str, run: int) -> str:
    """Under which the shards of a job's run have their names."""
    return f"{job_id}/shards" if run == 1 else f"{job_id}/shards-{run}"


def shard_work_id(job_id: str, number: int, run: int) -> str:
    """The name of a shard among all work: of its record, its claim and its place in engines."""
    return f"{shards_folder(job_id, run)}/{number}"


def job_of_work(work_id: str) -> str:
    """The upload's job id, of which the work is: itself, or that of the shard."""
    return work_id.partition("/")[0]


@dataclass(frozen=True)
class ShardRules:
    """How long a shard may be, in hours of audio."""

    hours: float
    """Where several executions could be started; 0: no upload is divided, whatever `busy_hours` says."""
    busy_hours: float
    """Where at most one could; 0: none is divided then."""

    @property
    def undivided_hours(self) -> float:
        """No upload with as little audio is divided, however many executions could be started."""
        return min(self.hours, self.busy_hours or math.inf) if self.hours > 0 else math.inf


NEVER_DIVIDED = ShardRules(0.0, 0.0)


def plan_shards(duration_seconds: float, streams: int, free_slots: int, rules: ShardRules) -> tuple[Shard, ...]:
    """An upload's shards, about equally long and at whole seconds; none where it is one work item.

    `streams`: channels that are transcribed separately, each of which counts. `free_slots`: executions that could be
    started now. With more shards than these, their number is a multiple of it, so that all end together.
    """
    hours = rules.hours if free_slots > 1 else rules.busy_hours
    if rules.hours <= 0 or hours <= 0:
        return ()
    count = math.ceil(min(duration_seconds * streams / (hours * 3600), MAX_SHARDS))
    if count > free_slots > 1:
        count = math.ceil(count / free_slots) * free_slots
    length = math.ceil(duration_seconds / min(count, MAX_SHARDS)) if count > 1 else 0
    starts = list(range(0, math.ceil(duration_seconds), length)) if length else []
    if len(starts) < 2:
        return ()
    ends = [*starts[1:], None]
    return tuple(Shard(number, start, end) for number, (start, end) in enumerate(zip(starts, ends, strict=True)))
