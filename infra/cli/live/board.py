"""The jobs that the page shows, as they go: read once a second while somebody looks, whoever it is and however many."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from google.cloud.storage import Bucket
from pydantic import ValidationError

from shared.enums import Outcome
from shared.errors import SERVICE_UNAVAILABLE_ERRORS
from shared.messages import TerminalMessage
from shared.progress.describe import describe
from shared.progress.model import Progress, progress_of_outcome
from shared.state.jobs.progress import read_progress
from shared.state.jobs.store import JobStore

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two looks at the jobs: as often as workers on a laptop say how far they are."""

KEEPALIVE_SECONDS = 15.0
"""After which a line without content finds out whether the browser is still there."""

MAX_JOBS = 200
"""Jobs on the page, the newest; the report below has all."""

MAX_OPEN_READ = 50
"""Jobs that are not done whose records are read each time; those behind them wait in the queue anyway."""

_THREADS = 4


@dataclass(frozen=True)
class _Snapshot:
    """All jobs on the page at one moment."""

    version: int
    views: list[dict[str, object]]


class JobBoard:
    """What is known of the jobs. Used from any thread."""

    def __init__(self, state: Bucket) -> None:
        self._jobs = JobStore(state)
        self._changed = threading.Condition()
        self._known: dict[str, Progress] = {}
        self._watchers = 0
        self._version = 0
        self._is_closed = False
        self._poller: threading.Thread | None = None

    def add_outcome(self, message: TerminalMessage) -> None:
        """A job has ended."""
        self._show([progress_of_outcome(message)])

    def close(self) -> None:
        """End every stream of events."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            poller = self._poller
        if poller is not None:
            poller.join()

    def events(self) -> Iterator[str]:
        """Server-sent events: `jobs` with all jobs as JSON, at once and after each change, until `close()`."""
        with self._changed:
            self._watchers += 1
            if self._poller is None and not self._is_closed:
                self._poller = threading.Thread(target=self._poll, name="job-board", daemon=True)
                self._poller.start()
            self._changed.notify_all()
        try:
            seen = -1
            while (changed := self._next_change(seen)) is not None:
                is_new, seen = changed.version != seen, changed.version
                yield f"event: jobs\ndata: {json.dumps(changed.views)}\n\n" if is_new else ":\n\n"
        finally:
            with self._changed:
                self._watchers -= 1

    def _next_change(self, seen: int) -> _Snapshot | None:
        """All jobs as soon as they differ from version `seen`, or after a while; None after `close()`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._version != seen, KEEPALIVE_SECONDS)
            if self._is_closed:
                return None
            return _Snapshot(self._version, [_view(progress) for progress in self._newest()])

    def _newest(self) -> list[Progress]:
        return sorted(self._known.values(), key=lambda one: (one.received_at, one.job_id), reverse=True)[:MAX_JOBS]

    def _show(self, found: list[Progress]) -> None:
        with self._changed:
            before = dict(self._known)
            for one in found:
                known = self._known.get(one.job_id)
                # A reader may be late: what has ended goes on only as another run.
                if known is None or not known.is_done or one.is_done or one.run > known.run:
                    self._known[one.job_id] = one
            if self._known != before:
                self._version += 1
                self._changed.notify_all()

    def _poll(self) -> None:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="job-board") as threads:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed or self._watchers > 0)
                    if self._is_closed:
                        return
                with suppress(*SERVICE_UNAVAILABLE_ERRORS, OSError):
                    self._show([one for one in threads.map(self._read, self._open_jobs()) if one is not None])
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed, POLL_SECONDS)

    def _open_jobs(self) -> list[str]:
        """Jobs that have not ended, and those that were shown as such."""
        with self._changed:
            shown = [job_id for job_id, progress in self._known.items() if not progress.is_done]
        markers = (marker.job_id for marker in self._jobs.markers.all())
        return list(dict.fromkeys([*shown, *markers]))[:MAX_OPEN_READ]

    def _read(self, job_id: str) -> Progress | None:
        try:
            return read_progress(self._jobs, job_id)
        except ValidationError:
            _log.exception("unreadable job", extra={"fields": {"job_id": job_id}})
            return None


def _view(progress: Progress) -> dict[str, object]:
    """A job as live.js reads it."""
    return {
        "id": progress.job_id,
        "name": progress.upload.name,
        "says": describe(progress),
        "share": progress.transcribed,
        "done": progress.is_done,
        "failed": progress.outcome in (Outcome.FAILED, Outcome.REJECTED),
        "hasTranscript": progress.outcome in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS),
    }
