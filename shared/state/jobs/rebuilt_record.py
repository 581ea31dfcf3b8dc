"""A job's record in the place of one that was lost or cannot be read: what is certain, and what can still be read.

The job begins anew with it, and finds what earlier attempts stored. What bounds it stays: when it was received, how
often it was tried, how often Deepgram was called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pydantic_core
from pydantic import ValidationError

from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.shard_plan import Shard
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.state.jobs.record import JobRecord, JobState, new_holder
from shared.state.jobs.shard_record import first_shard_record

LOST = "Its record could not be read, and was made anew."

_KEPT = (
    *("run", "earlier_usd", "parts_run", "parts_options", "requested", "lease_until", "received_at", "started_at"),
    *("state", "attempts", "lost_attempts", "faults", "deepgram_calls", "has_first_transcript", "callbacks", "spent"),
    *("media", "options"),
)
"""Fields that are of use by themselves: of the last two see `rebuilt_record`."""


def readable_fields(data: bytes, upload: Upload) -> Mapping[str, Any]:
    """What of a damaged record can be read, of this upload; nothing where it does not name the upload."""
    found, kept = _whole_fields(data), {}
    if _upload(found) != upload:
        return {}
    least = {"upload": upload, "state": JobState.CLAIMED, "holder": "", "lease_until": now(), "received_at": now()}
    for name in _KEPT:
        try:
            kept[name] = getattr(JobRecord.model_validate({**least, name: found[name]}), name)
        except (KeyError, ValidationError):
            continue
    return kept


def readable_upload(data: bytes, job_id: str) -> Upload | None:
    """The upload that a damaged record of a job names, if it does."""
    upload = _upload(_whole_fields(data))
    return upload if upload is not None and upload.job_id == job_id else None


def _upload(found: Mapping[str, Any]) -> Upload | None:
    try:
        return Upload.model_validate(found.get("upload"))
    except ValidationError:
        return None


def _whole_fields(data: bytes) -> dict[str, Any]:
    """The fields of an object that may be cut."""
    try:
        found, is_whole = pydantic_core.from_json(data), True
    except ValueError:
        is_whole = False
        try:
            found = pydantic_core.from_json(data, allow_partial=True)
        except ValueError:
            return {}
    if not isinstance(found, dict):
        return {}
    if found and not is_whole:
        found.popitem()  # the last one may be cut
    return found


def rebuilt_record(
    upload: Upload, run: int, opened_at: datetime, kept: Mapping[str, Any], *, losses: int, spent: Bill, calls: int
) -> JobRecord:
    """The record of a job's run that nobody has.

    `opened_at`: when its marker was written. `kept`: `readable_fields` of what stood there. `losses`: how often its
    record was lost, each of which counts as an attempt. `spent`, `calls`: what it may have cost, and calls to Deepgram,
    where the record does not say.
    """
    received_at, callbacks = kept.get("received_at", opened_at), kept.get("callbacks", ())
    # What was found out about the upload is found out again. But an answer that is posted is of what was asked then,
    # and who takes it inspects nothing.
    options = kept.get("options") if callbacks else None
    media = None if options is None else kept.get("media")
    return JobRecord(
        upload=upload,
        run=run,
        earlier_usd=kept.get("earlier_usd", 0.0),
        parts_run=min(run, kept.get("parts_run", run)),
        parts_options=kept.get("parts_options"),
        requested=kept.get("requested"),
        state=JobState.CLAIMED,
        holder=new_holder("rebuilt"),
        # Where Deepgram's answer is to come by callback, it may still.
        lease_until=max(now(), kept.get("lease_until", received_at)) if callbacks else now(),
        received_at=received_at,
        # Something may be stored of it, and is looked for.
        started_at=kept.get("started_at") or received_at,
        attempts=_attempts(kept, losses),
        # Alone from now on.
        lost_attempts=max(1, kept.get("lost_attempts", 0)),
        faults=kept.get("faults", 0),
        deepgram_calls=kept.get("deepgram_calls", calls),
        has_first_transcript=kept.get("has_first_transcript", False),
        callbacks=callbacks,
        spent=kept.get("spent", spent),
        media=media,
        options=options or UploadOptions(),
        last_error=LOST,
    )


def half_record(data: bytes, job_id: str) -> JobRecord | None:
    """What can be read of a damaged record, as it would be made anew; None where it names no upload of this job."""
    upload = readable_upload(data, job_id)
    if upload is None:
        return None
    kept = readable_fields(data, upload)
    return rebuilt_record(upload, kept.get("run", 1), now(), kept, losses=1, spent=Bill(), calls=0)


def record_of_outcome(data: bytes, outcome: TerminalMessage) -> JobRecord:
    """The record of a job that has ended, of its outcome and what of the damaged one can be read."""
    upload, run = outcome.upload, outcome.run
    kept = readable_fields(data, upload)
    record = rebuilt_record(upload, run, outcome.received_at, kept, losses=0, spent=outcome.bill, calls=0)
    changes = {
        "media": outcome.media,
        "decision": outcome.decision,
        "earlier_usd": outcome.earlier_usd,
        "options": kept.get("options", UploadOptions()),
        "last_error": None,
    }
    if "options" not in kept:
        # Nobody knows what the parts were made for: the next run makes its own.
        changes["parts_run"] = run + 1
    return record.model_copy(update=changes)


def _attempts(kept: Mapping[str, Any], losses: int) -> int:
    attempts: int = kept.get("attempts", 0)
    # As `attempts_so_far` has it: whoever was at it is not at fault for sure.
    is_first_loss = kept.get("state") is JobState.RUNNING and not kept.get("lost_attempts")
    return max(losses, attempts - is_first_loss)


def rebuilt_shard_record(record: JobRecord, shard: Shard, kept: Mapping[str, Any], losses: int) -> JobRecord:
    """The record of a shard that nobody has. `record`: its upload's; the rest as `rebuilt_record` takes it."""
    return first_shard_record(
        record,
        shard,
        started_at=kept.get("started_at"),
        attempts=_attempts(kept, losses),
        lost_attempts=max(1, kept.get("lost_attempts", 0)),
        faults=kept.get("faults", 0),
        spent=kept.get("spent", Bill()),
        last_error=LOST,
    )
