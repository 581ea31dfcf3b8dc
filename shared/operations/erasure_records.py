"""What erasures leave in the state bucket: what is still to go, and receipts without names."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.media import Upload
from shared.unreadable import NewerVersion, parsed

_log = logging.getLogger(__name__)

PENDING_FOLDER = "erasures/pending/"
RECEIPTS_FOLDER = "erasures/"

KEPT = (
    "Messages that were delivered: Pub/Sub, BigQuery, whoever subscribed.",
    "Logs, which name uploads, as long as Cloud Logging keeps them.",
    "Deleted objects, as long as the buckets' soft delete keeps them.",
    "Answers to requests with an Idempotency-Key, for two days at most.",
    "Dollars, dates and a hash of the folder, in the ledger.",
)
"""What no erasure reaches; docs/security.md says how long each is there."""


class Erased(BaseModel):
    """Some objects that are gone."""

    model_config = ConfigDict(frozen=True)

    objects: Annotated[int, Field(ge=0)] = 0
    bytes: Annotated[int, Field(ge=0)] = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(objects=self.objects + other.objects, bytes=self.bytes + other.bytes)


class ErasureReceipt(BaseModel):
    """What was erased of a job. It names nothing but the job's id, a hash."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    job_id: str
    requested_at: datetime
    complete: bool
    """False: a process had the job, and what it may still store is deleted after `again_after`."""
    completed_at: datetime | None = None
    again_after: datetime | None = None
    upload: Erased
    """One object, or none where it was gone."""
    results: Erased
    """Transcripts and receipts, of every run, and those of before redaction."""
    state: Erased
    """Checkpoints, records, outcomes, answers of Deepgram."""
    voices: Annotated[int, Field(ge=0)] = 0
    """Samples of kept voices that were heard in the job."""
    ledger_lines: Annotated[int, Field(ge=0)]
    """Lines of the ledger that had a folder's name."""
    kept: tuple[str, ...] = KEPT


class PendingErasure(BaseModel):
    """An erasure that goes on."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    upload: Upload
    requested_at: datetime
    run: int
    """The last one."""
    lines: tuple[tuple[date, str], ...]
    """Day and id of what may be the job's lines in the ledger."""
    again_after: datetime | None = None
    """When whoever had the job cannot have it any more."""
    upload_found: Erased = Erased()
    results_found: Erased = Erased()
    state_found: Erased = Erased()
    voices_forgotten: int = 0
    """What was there at the first look, and so is counted also where a process is killed between."""


def erasure_receipt(state: Bucket, job_id: str) -> ErasureReceipt | None:
    """What an erasure has left of a job; None: it was not erased."""
    stored = objects.read(state, f"{RECEIPTS_FOLDER}{job_id}.json")
    return ErasureReceipt.model_validate_json(stored.data) if stored else None


def pending_erasures(state: Bucket, at: datetime) -> Iterator[str]:
    """Jobs whose erasure is to go on now: it was interrupted, or whoever had the job cannot have it any more."""
    for one in objects.list_metadata(state, PENDING_FOLDER):
        job_id = one.name.removeprefix(PENDING_FOLDER).removesuffix(".json")
        try:
            pending = pending_erasure(state, job_id)
        except NewerVersion as error:
            _log.warning(error.reason)
            continue
        # One that is damaged is begun anew.
        if pending is None or pending.again_after is None or pending.again_after <= at:
            yield job_id


def pending_erasure(state: Bucket, job_id: str) -> PendingErasure | None:
    """That of a job; None: there is none, or it cannot be read. Raises NewerVersion."""
    name = pending_name(job_id)
    stored = objects.read(state, name)
    return None if stored is None else parsed(stored.data, PendingErasure, name)


def store_pending(state: Bucket, job_id: str, pending: PendingErasure) -> None:
    """Write down what is to go."""
    objects.write(state, pending_name(job_id), pending.model_dump_json().encode())


def store_receipt(state: Bucket, receipt: ErasureReceipt) -> None:
    """Leave it."""
    objects.write(state, f"{RECEIPTS_FOLDER}{receipt.job_id}.json", receipt.model_dump_json().encode())


def pending_name(job_id: str) -> str:
    """Of the object that says what is to go of a job."""
    return f"{PENDING_FOLDER}{job_id}.json"
