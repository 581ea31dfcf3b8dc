"""Ending a job: a complete transcription -> its result."""

from __future__ import annotations

from gpu_job.worker.running_job import RunningJob
from shared.errors import EngineFailed
from shared.state.finisher import JobResult, completed, failed


def result_of(job: RunningJob) -> JobResult:
    """The transcript of a complete job; failed where every chunk failed."""
    try:
        transcript = job.transcription.assemble(job.upload.uri)
    except EngineFailed as error:
        return failed(error)
    fallbacks = sum(result.is_fallback for result in job.transcription.results())
    return completed(transcript, fallbacks=fallbacks)
