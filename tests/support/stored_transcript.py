"""The transcript that a job's results hold, as tests compare it between attempts and with another job's."""

from __future__ import annotations

from shared.state.jobs.record import Job
from shared.transcript.model import Transcript
from tests.support.loopback_cloud import RESULTS, LoopbackCloud


def stored_transcript(cloud: LoopbackCloud, job: Job) -> Transcript:
    """transcript.json of an upload."""
    upload = job.record.upload
    blob = cloud.storage.bucket(RESULTS).blob(f"{upload.name}/{upload.generation}/transcript.json")
    return Transcript.model_validate_json(blob.download_as_bytes())


def content(cloud: LoopbackCloud, job: Job) -> tuple[object, ...]:
    """What a transcript says, but for whose it is."""
    found = stored_transcript(cloud, job)
    # A sum, which rounds by the order in which windows are heard.
    coverage = found.coverage.model_copy(update={"repaired_seconds": round(found.coverage.repaired_seconds, 6)})
    return found.words, found.segments, found.speakers, coverage, found.duration
