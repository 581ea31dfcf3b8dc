"""What one engine made of an upload, kept while another one hears it because too little had words.

It lies among the parts of the unfinished job, and goes with them when the outcome stands.
"""

from __future__ import annotations

from typing import Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.costs.bill import Bill
from shared.state.jobs.object_names import parts_folder
from shared.state.jobs.record import JobRecord
from shared.transcript.model import Transcript
from shared.unreadable import parsed


class FirstTranscript(BaseModel):
    """As the job would have ended with it."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    transcript: Transcript
    unredacted: Transcript | None = Field(default=None, repr=False)
    """As it was before redaction, where that is kept."""
    predicted: Bill = Bill()
    """The call's lines in the job's record from before it was made, possibly billed."""
    price: Bill = Bill()
    """What the call cost, by its answer."""

    def priced(self, bill: Bill) -> Bill:
        """The job's bill with what the call cost, where it still has what was predicted: whoever has the job when the
        answer is late writes its record, and does not know the answer."""
        is_exact = bill.includes(self.price)
        return bill if is_exact or not bill.includes(self.predicted) else bill.replaced(self.predicted, self.price)


def keep_first_transcript(state: Bucket, record: JobRecord, first: FirstTranscript) -> None:
    """Store it, unless there is one that can be read. Raises NewerVersion."""
    data = first.model_dump_json(exclude_none=True).encode()
    stored = objects.create_once(state, _name(record), data)
    if stored.data != data and parsed(stored.data, FirstTranscript, _name(record)) is None:
        objects.write(state, _name(record), data)


def first_transcript(state: Bucket, record: JobRecord) -> FirstTranscript | None:
    """The one that was stored, if any was that can be read. Raises NewerVersion."""
    stored = objects.read(state, _name(record))
    return None if stored is None else parsed(stored.data, FirstTranscript, _name(record))


def _name(record: JobRecord) -> str:
    return f"{parts_folder(record.upload.job_id, record.parts_run)}first-transcript.json"
