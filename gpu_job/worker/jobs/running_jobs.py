"""Which jobs run in a worker, and how much room there is for more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gpu_job.worker.jobs.running_job import RunningJob
from shared.messages import WorkItem


class RunningJobs:
    """By id; used from any thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._jobs: dict[str, RunningJob] = {}
        self._changed = threading.Condition()
        self._woken = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    @property
    def free(self) -> int:
        """How many more jobs there is room for."""
        with self._changed:
            return self._free()

    def _free(self) -> int:
        is_one_alone = any(job.runs_alone for job in self._jobs.values())
        return 0 if is_one_alone or self._is_feeding_shard() else self._capacity - len(self._jobs)

    @property
    def is_feeding_shard(self) -> bool:
        """Whether a shard has chunks that are not with the engine yet: it is enough for one worker, and the others of
        its upload are for other workers."""
        with self._changed:
            return self._is_feeding_shard()

    def _is_feeding_shard(self) -> bool:
        return any(job.shard is not None and not job.is_fed for job in self._jobs.values())

    def get(self, job_id: str) -> RunningJob | None:
        """The job, where it is running here."""
        with self._changed:
            return self._jobs.get(job_id)

    def of(self, item: WorkItem) -> RunningJob | None:
        """What an item is for, where it is running here: its shard, or its whole job."""
        with self._changed:
            own = [job for job in self._jobs.values() if job.job_id == item.job_id]
        return next((job for job in own if job.shard is None or job.shard.number == item.shard), None)

    def add(self, job: RunningJob) -> None:
        """A job begins."""
        with self._changed:
            self._jobs[job.id] = job

    def fed(self, job: RunningJob) -> None:
        """All of a job's chunks are with the engines."""
        with self._changed:
            job.is_fed = True
            self._changed.notify_all()

    def remove(self, job: RunningJob) -> None:
        """The attempt at a job has ended."""
        with self._changed:
            self._jobs.pop(job.id, None)
            self._changed.notify_all()

    def wait_for_room(self, timeout_seconds: float) -> None:
        """Until there is room for a job, or `wake` is called, or the time is over."""
        self._wait_for(lambda: self._free() > 0, timeout_seconds)

    def wait_for_fewer(self, count: int, timeout_seconds: float) -> None:
        """Until fewer than `count` jobs run, or `wake` is called, or the time is over."""
        self._wait_for(lambda: len(self._jobs) < count, timeout_seconds)

    def wait_until_none(self, timeout_seconds: float) -> None:
        """Until no job runs, or `wake` is called, or the time is over."""
        self._wait_for(lambda: not self._jobs, timeout_seconds)

    def _wait_for(self, is_so: Callable[[], bool], timeout_seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._woken or is_so(), timeout_seconds)

    def wake(self) -> None:
        """End every wait, now and from now on."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def all(self) -> list[RunningJob]:
        """The jobs of this moment."""
        with self._changed:
            return list(self._jobs.values())
