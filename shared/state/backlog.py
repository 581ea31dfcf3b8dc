"""The backlog: what waits on the jobs' queues, summed from one listing of the open jobs' markers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from itertools import islice

from shared.clock import now
from shared.costs.launch_plan import Backlog
from shared.enums import JobDevice
from shared.state.jobs import JobStore, QueuedUpload

CACHE_SECONDS = 5.0
"""How long a process uses its last listing."""

MOST_LISTED = 5_000
"""Open jobs that are counted, by five calls: more of them would hardly call for more executions."""


class QueuedUploads:
    """The uploads on all queues of a deployment, listed at most every CACHE_SECONDS. Used from any thread."""

    def __init__(self, jobs: JobStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._clock = clock
        self._lock = threading.Lock()
        self._listed_at: float | None = None
        self._queued: dict[str, QueuedUpload] = {}

    def add(self, job_id: str, queued: QueuedUpload) -> None:
        """This process has queued an upload: it counts before the next listing shows it."""
        with self._lock:
            self._queued[job_id] = queued

    def remove(self, job_id: str) -> None:
        """This process has taken an upload off its queue."""
        with self._lock:
            self._queued.pop(job_id, None)

    def waiting(self, device: JobDevice, taken: Collection[str]) -> Backlog:
        """What waits for one job, without the jobs in `taken`. Raises what the storage client raises."""
        with self._lock:
            at = self._clock()
            if self._listed_at is None or at - self._listed_at > CACHE_SECONDS:
                listed = islice(self._jobs.open_markers(), MOST_LISTED)
                self._queued = {one.job_id: one.queued for one in listed if one.queued is not None}
                self._listed_at = at
            waiting = [one for job_id, one in self._queued.items() if one.device is device and job_id not in taken]
        return backlog_of(waiting, now())


def backlog_of(waiting: Collection[QueuedUpload], at: datetime) -> Backlog:
    """The sum of uploads that wait. Deadlines that have passed hurry nobody any more."""
    dues = [(one.due - at).total_seconds() for one in waiting if one.due is not None]
    return Backlog(
        uploads=len(waiting),
        audio_seconds=sum(one.audio_seconds for one in waiting),
        due_seconds=min((due for due in dues if due > 0), default=None),
    )
