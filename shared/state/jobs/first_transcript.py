"""What one engine made of an upload, kept while another one hears it because too little had words.

It lies among the parts of the unfinished job, and goes with them when the outcome stands.
"""

from __future__ import annotations

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.state.jobs.object_names import parts_folder
from shared.state.jobs.record import JobRecord
from shared.transcript.model import Transcript


class FirstTranscript(BaseModel):
    """As the job would have ended with it."""

    model_config = ConfigDict(frozen=True)

    transcript: Transcript
    unredacted: Transcript | None = Field(default=None, repr=False)
    """As it was before redaction, where that is kept."""


def keep_first_transcript(state: Bucket, record: JobRecord, first: FirstTranscript) -> None:
    """Store it, unless there is one."""
    objects.create_once(state, _name(record), first.model_dump_json(exclude_none=True).encode())


def first_transcript(state: Bucket, record: JobRecord) -> FirstTranscript | None:
    """The one that was stored, if any was."""
    stored = objects.read(state, _name(record))
    return FirstTranscript.model_validate_json(stored.data) if stored is not None else None


def _name(record: JobRecord) -> str:
    return f"{parts_folder(record.upload.job_id, record.parts_run)}first-transcript.json"
