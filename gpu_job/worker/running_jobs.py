"""The jobs that a worker has at the moment."""

from __future__ import annotations

import threading

from gpu_job.worker.running_job import RunningJob


class RunningJobs:
    """By id; used from any thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._jobs: dict[str, RunningJob] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    @property
    def free(self) -> int:
        """How many more jobs there is room for."""
        return self._capacity - len(self)

    def get(self, job_id: str) -> RunningJob | None:
        """The job, where it is running here."""
        with self._changed:
            return self._jobs.get(job_id)

    def add(self, job: RunningJob) -> None:
        """A job begins."""
        with self._changed:
            self._jobs[job.id] = job

    def remove(self, job: RunningJob) -> None:
        """A job was released."""
        with self._changed:
            self._jobs.pop(job.id, None)
            self._changed.notify_all()

    def wait_for_room(self, timeout_seconds: float) -> None:
        """Until there is room for a job, or `wake` is called, or the time is over."""
        with self._changed:
            if len(self._jobs) >= self._capacity:
                self._changed.wait(timeout_seconds)

    def wake(self) -> None:
        """End a `wait_for_room`."""
        with self._changed:
            self._changed.notify_all()

    def all(self) -> list[RunningJob]:
        """The jobs of this moment."""
        with self._changed:
            return list(self._jobs.values())
