"""How far the uploads are that a worker has, for events of their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from gpu_job.worker.jobs.running_jobs import RunningJobs
from shared.progress.model import Progress
from shared.state.jobs.progress import current_progress, progress_of
from shared.state.jobs.store import JobStore


def progress_of_jobs(running: RunningJobs, records: JobStore) -> Iterator[Callable[[], Progress]]:
    """Of each upload that this worker has, or a shard of it."""
    jobs = [job for job in running.all() if not job.is_ended]
    for job in jobs:
        if job.shard is None:
            yield partial(progress_of, job.record.model_copy(update=job.progress()))
    for job_id in {job.job_id for job in jobs if job.shard is not None}:
        yield partial(_divided_progress, records, job_id)


def _divided_progress(records: JobStore, job_id: str) -> Progress:
    job = records.load(job_id)
    if job is None:
        raise LookupError("a shard's job has no record")
    return current_progress(records, job.record)
