"""What the state bucket knows of the jobs in a ledger, beside their sums."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from google.cloud.storage import Bucket
from pydantic import ValidationError

from infra.cli.report.data import Known
from shared.state.jobs.store import JobStore
from shared.state.ledger_entry import Entry, EntryState

_log = logging.getLogger(__name__)

_JOB = re.compile(r"([0-9a-f]{24})(?:\.(\d{1,9}))?")
"""The id of a ledger's line: a job, and the number of a re-run."""

_THREADS = 8
"""Below the ten connections that Google's client keeps."""


class KnownJobs:
    """Reads outcomes and records. An outcome never changes, so each is read once."""

    def __init__(self, state: Bucket) -> None:
        self._jobs = JobStore(state)
        self._ended: dict[str, Known] = {}

    def of(self, entries: Iterable[Entry]) -> dict[str, Known]:
        """By the id of the line. What is missing or cannot be read is left out, the latter with a line in the log.

        Raises what the storage client raises.
        """
        wanted = [entry for entry in entries if entry.state is not EntryState.OVERHEAD]
        new = [entry for entry in wanted if entry.id not in self._ended]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="outcomes") as threads:
            found = dict(zip((entry.id for entry in new), threads.map(self._read, new), strict=True))
        self._ended |= {job: known for job, known in found.items() if known is not None and known.outcome is not None}
        every = {entry.id: self._ended.get(entry.id) or found.get(entry.id) for entry in wanted}
        return {job: known for job, known in every.items() if known is not None}

    def _read(self, entry: Entry) -> Known | None:
        parts = _JOB.fullmatch(entry.id)
        if parts is None:
            return None
        job_id, run = parts[1], int(parts[2] or 1)
        try:
            outcome = self._jobs.outcome(job_id, run) if entry.state is EntryState.BILLED else None
            job = self._jobs.load(job_id) if outcome is None else None
        except ValidationError:
            _log.exception("unreadable job", extra={"fields": {"job_id": job_id, "run": run}})
            return None
        is_this_run = job is not None and job.record.run == run
        return Known(outcome, job.record if job is not None and is_this_run else None)
