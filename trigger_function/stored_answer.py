"""Deepgram's answer in the state bucket, written down before anything is made of it: what comes after, the results
bucket's refusal included, may fail and be repeated without a second call."""

from __future__ import annotations

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.costs.bill import Bill
from shared.deepgram import DeepgramResult
from shared.state.jobs import parts_folder


class StoredAnswer(BaseModel):
    """An answer, and its call's lines in the record's `spent`, which the answer's own lines replace."""

    model_config = ConfigDict(frozen=True)

    result: DeepgramResult
    price: Bill


class AnswerStore:
    """One object a job, from the answer to the job's outcome."""

    def __init__(self, state: Bucket) -> None:
        self._state = state

    def store(self, job_id: str, answer: StoredAnswer) -> StoredAnswer:
        """Keep the answer unless there is one; the one that stands."""
        stored = objects.create_once(self._state, _name(job_id), answer.model_dump_json().encode())
        return StoredAnswer.model_validate_json(stored.data)

    def load(self, job_id: str) -> StoredAnswer | None:
        """The answer of an earlier attempt."""
        stored = objects.read(self._state, _name(job_id))
        return StoredAnswer.model_validate_json(stored.data) if stored else None


def _name(job_id: str) -> str:
    return f"{parts_folder(job_id)}deepgram-answer.json"
