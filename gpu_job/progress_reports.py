"""A worker's events of its jobs' progress, where a deployment publishes any."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpu_job.periodic import PeriodicTask
from shared.progress.events import ProgressEvents
from shared.progress.model import Progress


class ProgressReports(PeriodicTask):
    """Publishes the progress of every job at work, on a thread of its own while it is entered: what takes long here
    holds up no heartbeat."""

    def __init__(self, events: ProgressEvents, jobs: Callable[[], Iterable[Callable[[], Progress]]]) -> None:
        """`jobs`: for each job at work, what gives its progress."""
        super().__init__("progress", events.every_seconds)
        self._events = events
        self._jobs = jobs

    def tick(self) -> None:
        """Publish what is due; the events see to it that none comes too often."""
        if self._events.is_on:
            for current in self._jobs():
                self._events.publish(current)
