"""Progress as events on Pub/Sub: for who wants to see it, and never at the job's expense."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from google.api_core.retry import Retry
from google.cloud import pubsub_v1

from shared.errors import best_effort
from shared.progress.model import Progress, Stage

_log = logging.getLogger(__name__)

PUBLISH_SECONDS = 20.0
"""After which an event is given up: the next one says more."""

FLUSH_SECONDS = 1.0
"""Longest that a process waits for its last events."""

MAX_JOBS = 1000
"""Jobs of which is remembered what was published last; of one that was forgotten an event may come too early."""


class ProgressEvents:
    """Publishes a job's progress when its stage changes, else at most every so many seconds. Used from any thread.

    Nothing here raises or waits. Events may be lost, come twice, or come in another order: each is whole, and says when
    it was so. They have no ordering key: a job's events come from function, workers and reconciler, between which a key
    orders nothing, and after a failed publish a key would hold back all later ones.
    """

    def __init__(
        self,
        publisher: pubsub_v1.PublisherClient,
        topic: str | None,
        every_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`topic`: its full name; None: nothing is published."""
        self._publisher = publisher
        self._topic = topic
        self._every_seconds = every_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._published: OrderedDict[str, tuple[int, Stage, float]] = OrderedDict()
        self._pending: set[Future[Any]] = set()

    @property
    def is_on(self) -> bool:
        """Whether anything is published."""
        return self._topic is not None

    @property
    def every_seconds(self) -> float:
        """Least time between two events of one job at the same stage."""
        return self._every_seconds

    def publish(self, current: Callable[[], Progress]) -> None:
        """Publish what `current` gives, unless an event of the job at the same stage was published just now.

        It is called only where events are published; what it raises is logged."""
        if self._topic is None:
            return
        with best_effort("an event of a job's progress was not published"):
            progress = current()
            if not self._is_due(progress):
                return
            # By its type the client's own future is no Future; it is one.
            sent: Any = self._publisher.publish(
                self._topic,
                progress.model_dump_json().encode(),
                retry=Retry(deadline=PUBLISH_SECONDS),
                timeout=PUBLISH_SECONDS,
                **progress.attributes(),
            )
            with self._lock:
                self._pending.add(sent)
            sent.add_done_callback(self._sent)

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until what was published is sent, but no longer than that: a function has no CPU between its events."""
        with self._lock:
            pending = tuple(self._pending)
        if pending:
            wait(pending, timeout=seconds)

    def _is_due(self, progress: Progress) -> bool:
        at, job_id = self._clock(), progress.job_id
        with self._lock:
            run, stage, published_at = self._published.get(job_id, (0, None, 0.0))
            is_new = (run, stage) != (progress.run, progress.stage)
            if run == progress.run and stage is Stage.DONE and is_new:
                return False  # as somebody still saw it who does not know yet
            if not is_new and at - published_at < self._every_seconds:
                return False
            self._published[job_id] = (progress.run, progress.stage, at)
            self._published.move_to_end(job_id)
            if len(self._published) > MAX_JOBS:
                self._published.popitem(last=False)
        return True

    def _sent(self, sent: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(sent)
        if (error := sent.exception()) is not None:
            _log.warning("an event of a job's progress was not published", exc_info=error)
