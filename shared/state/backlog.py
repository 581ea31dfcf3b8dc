"""The backlog: what waits on the jobs' queues, summed from one listing of the open jobs' markers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.clock import now
from shared.costs.launch_plan import Backlog
from shared.costs.shard_plan import shard_work_id
from shared.enums import JobDevice
from shared.state.jobs.open_markers import OpenMarker, QueuedUpload
from shared.state.jobs.store import JobStore

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
        self._queued: dict[str, OpenMarker] = {}
        """By job id."""

    def add(self, job_id: str, queued: QueuedUpload, run: int = 1) -> None:
        """This process has queued an upload: it counts before the next listing shows it."""
        with self._lock:
            done = self._queued[job_id].done_shards if job_id in self._queued else frozenset[int]()
            self._queued[job_id] = OpenMarker(job_id, queued, run, done)

    def remove(self, job_id: str) -> None:
        """This process has taken an upload off its queue."""
        with self._lock:
            self._queued.pop(job_id, None)

    def waiting(self, device: JobDevice, taken: Collection[str]) -> Backlog:
        """What waits for one job, without what is `taken`: ids of jobs and names of shards. Raises what the storage
        client raises."""
        with self._lock:
            at = self._clock()
            if self._listed_at is None or at - self._listed_at > CACHE_SECONDS:
                listed = islice(self._jobs.markers.all(), MOST_LISTED)
                self._queued = {one.job_id: one for one in listed}
                self._listed_at = at
            waiting = [each for one in self._queued.values() for each in _waiting_items(one, device, taken)]
        return backlog_of(waiting, now())


@dataclass(frozen=True)
class WaitingItem:
    """An upload, or a shard of one, that no worker has."""

    audio_seconds: float
    due: datetime | None = None
    speakers_seconds: float = 0.0
    """As of `QueuedUpload`."""


def _waiting_items(marker: OpenMarker, device: JobDevice, taken: Collection[str]) -> list[WaitingItem]:
    queued, job_id = marker.queued, marker.job_id
    if queued is None or queued.device is not device or job_id in taken:
        return []
    if not queued.shards:
        return [WaitingItem(queued.audio_seconds, queued.due, queued.speakers_seconds)]
    left = set(range(queued.shards)) - marker.done_shards
    if not left:
        return [WaitingItem(0.0, queued.due)]  # to be assembled
    free = [number for number in left if shard_work_id(job_id, number, marker.run) not in taken]
    of_shard = queued.audio_seconds / queued.shards, queued.speakers_seconds / queued.shards
    return [WaitingItem(of_shard[0], queued.due, of_shard[1])] * len(free)


def backlog_of(waiting: Collection[WaitingItem], at: datetime) -> Backlog:
    """The sum of what waits. Deadlines that have passed hurry nobody any more."""
    dues = [(one.due - at).total_seconds() for one in waiting if one.due is not None]
    return Backlog(
        items=len(waiting),
        audio_seconds=sum(one.audio_seconds for one in waiting),
        speakers_seconds=sum(one.speakers_seconds for one in waiting),
        due_seconds=min((due for due in dues if due > 0), default=None),
    )
