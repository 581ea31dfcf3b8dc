"""Which jobs have ended: by when they did, by where their uploads lie, or by their ids."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from google.cloud.storage import Bucket
from pydantic import ValidationError

from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.state.jobs.object_names import outcome_of_object
from shared.state.jobs.store import JobStore

_log = logging.getLogger(__name__)

_SHARDS = "0123456789abcdef"
"""First letters of job ids: the pages of a listing come one by one."""

_THREADS = 8
"""Below the ten connections that Google's client keeps."""


def ended_since(state: Bucket, since: datetime, outcomes: Collection[Outcome]) -> Iterator[TerminalMessage]:
    """The last outcome of each job, where it was written since then and is one of `outcomes`.

    Every object of `jobs/` is listed, 1,000 with a call, and each outcome since then read. One that cannot be is logged
    and left out.
    """
    jobs = JobStore(state)

    def listed(letter: str) -> dict[str, int]:
        last: dict[str, int] = {}
        fields = "items(name,timeCreated),nextPageToken"
        for blob in state.list_blobs(prefix=f"jobs/{letter}", fields=fields):
            found = outcome_of_object(str(blob.name))
            if found is not None and blob.time_created >= since:
                job_id, run = found
                last[job_id] = max(run, last.get(job_id, 0))
        return last

    def read(job_and_run: tuple[str, int]) -> TerminalMessage | None:
        job_id, run = job_and_run
        try:
            return jobs.outcome(job_id, run)
        except ValidationError:
            _log.exception("unreadable outcome", extra={"fields": {"job_id": job_id, "run": run}})
            return None

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="outcomes") as threads:
        last = [one for found in threads.map(listed, _SHARDS) for one in found.items()]
        for message in threads.map(read, last):
            if message is not None and message.outcome in outcomes:
                yield message


def uploads_below(bucket: Bucket, prefix: str) -> Iterator[Upload]:
    """The uploads that are there, as their newest generations."""
    for blob in bucket.list_blobs(prefix=prefix, fields="items(name,generation),nextPageToken"):
        yield Upload(bucket=bucket.name, name=str(blob.name), generation=int(blob.generation))


def standing_of(jobs: JobStore, job_id: str) -> str:
    """What has become of a job, in a word or two: its outcome, or how far it is; `unknown` where there is no record of
    it, or none that can be read."""
    try:
        job = jobs.find(job_id)
        outcome = None if job is None else jobs.outcome(job_id, job.record.run)
    except ValidationError:
        _log.exception("unreadable job", extra={"fields": {"job_id": job_id}})
        return "unknown"
    if job is None:
        return "unknown"
    again = f" (run {job.record.run})" if job.record.run > 1 else ""
    return f"{job.record.state if outcome is None else outcome.outcome}{again}"


def standings_of(state: Bucket, job_ids: Collection[str]) -> dict[str, str]:
    """The same of several. Raises what the storage client raises."""
    jobs = JobStore(state)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="standings") as threads:
        return dict(zip(job_ids, threads.map(lambda job_id: standing_of(jobs, job_id), job_ids), strict=True))
