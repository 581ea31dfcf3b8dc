"""Kept voices at the end of a job: whom its speakers are compared with, and their own voices, which are stored so that
one of them can be kept. Nothing of both where KEPT_VOICES is off, or the upload or a rule says so."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.errors import best_effort
from shared.state.job_result import JobResult
from shared.voices.model import JobSpeaker, JobVoices, KeptVoice
from shared.voices.scope import voice_folder
from shared.voices.store import kept_voices, store_job_voices


def kept_voices_for(services: JobServices, job: RunningJob) -> Sequence[KeptVoice]:
    """Whom the job's speakers may be. None of them where they cannot be read: a transcript without names is one."""
    folder = _folder(services, job)
    if folder is None or not job.transcription.speakers.are_told_apart:
        return ()
    with best_effort("kept voices were not read"):
        return kept_voices(services.state, folder).voices
    return ()


def store_voices(services: JobServices, job: RunningJob, result: JobResult) -> None:
    """Store the voices of an assembled job's speakers, where there are any."""
    folder, transcript = _folder(services, job), result.transcript
    if folder is None or transcript is None or not job.transcription.speakers.voices:
        return
    names = {speaker.number: speaker.name for speaker in transcript.speakers}
    speakers = tuple(
        JobSpeaker(number=number, name=names[number], voice=voice)
        for number, voice in job.transcription.speakers.voices.items()
        if number in names
    )
    voices = JobVoices(run=job.record.run, folder=folder, speakers=speakers)
    with best_effort("the voices of a job's speakers were not stored"):
        store_job_voices(services.state, job.job_id, voices)


def _folder(services: JobServices, job: RunningJob) -> str | None:
    return voice_folder(job.record.options, job.upload.name) if services.settings.kept_voices else None
