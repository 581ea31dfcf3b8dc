"""The ledger: what each job of a month cost, or may cost, as one small object a job; a listing is the sum.

`ledger/2026-11/<id>` is empty; its figures are its custom metadata. Nobody reads, adds and writes a common counter, so
no crash and no race can lose a dollar: a job reserved twice has one entry, and the bill takes the reservation's place.
A job belongs to the month in which its upload was received, whenever it ends.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import objects
from shared.costs.bill import LineItemKind, Phase
from shared.enums import JobDevice, Method
from shared.messages import TerminalMessage
from shared.state.jobs import JobRecord

_log = logging.getLogger(__name__)

_SHARDS = "0123456789abcdef"
"""First letters of the ids, which are hashes: a page of a listing holds 1000 objects, and pages come one by one."""

_PARALLEL_LISTINGS = 8
"""Below the ten connections that Google's client keeps."""

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EntryState(StrEnum):
    """What an entry's dollars are."""

    RESERVED = "reserved"
    """An estimate, held until the bill is there."""
    BILLED = "billed"
    OVERHEAD = "overhead"
    """Time of a job execution that is on no upload's bill."""


class Entry(BaseModel):
    """One line of the ledger. All sums are US dollars."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The job's id; of a re-run `<job>.2`, so that each run is a line."""
    state: EntryState
    day: date
    """When the upload was received, or the execution's task began, in UTC."""
    usd: Dollars
    folder: str = ""
    """First folder of the upload's name; empty at the bucket's top."""
    method: Method | None = None
    device: JobDevice | None = None
    """Of the job that was decided; None: Deepgram alone."""
    execution: str | None = None
    audio_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Audio that was transcribed."""
    deepgram_usd: Dollars = 0.0
    """The same audio at Deepgram's price."""
    start_up_usd: Dollars = 0.0
    waiting_usd: Dollars = 0.0
    """Of the instance, while no batch ran: idle, or waiting for decoders."""
    cpu_usd: Dollars = 0.0
    api_usd: Dollars = 0.0
    """Paid to Deepgram."""
    possibly_usd: Dollars = 0.0
    """Of `usd`: calls to Deepgram whose answer did not come, and seconds of killed executions that nobody saw."""
    fallbacks: Annotated[int, Field(ge=0)] = 0
    """How often another engine had to step in: for the whole upload, or for a chunk of it."""

    def metadata(self) -> dict[str, str]:
        """The figures as custom metadata of an object."""
        figures = self.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
        return {key: str(value) for key, value in figures.items()}


@dataclass(frozen=True)
class MonthSums:
    """A month's ledger in two numbers."""

    usd: float
    """Billed and reserved."""
    jobs: int


def month_of(at: datetime) -> str:
    """`2026-11`: the month a job received at this time is booked in."""
    return at.astimezone(UTC).strftime("%Y-%m")


def reservation(record: JobRecord, usd: float) -> Entry:
    """A job that may cost so much."""
    return Entry(
        id=_entry_id(record.upload.job_id, record.run),
        state=EntryState.RESERVED,
        day=record.received_at.astimezone(UTC).date(),
        usd=usd,
        folder=folder_of(record.upload.name),
        method=record.decision.method if record.decision else None,
        device=record.decision.device if record.decision else None,
        audio_seconds=record.media.duration_seconds if record.media else 0.0,
    )


def billed(message: TerminalMessage) -> Entry:
    """A job that ended, whatever its outcome: what was spent was spent."""
    saving = message.saving
    return Entry(
        id=_entry_id(message.job_id, message.run),
        state=EntryState.BILLED,
        day=message.received_at.astimezone(UTC).date(),
        usd=message.bill.usd,
        folder=folder_of(message.upload.name),
        method=message.decision.method if message.decision else None,
        device=message.decision.device if message.decision else None,
        execution=message.execution,
        audio_seconds=message.media.duration_seconds if saving and message.media else 0.0,
        deepgram_usd=saving.deepgram_usd if saving else 0.0,
        start_up_usd=message.bill.usd_of(phase=Phase.START_UP),
        waiting_usd=message.bill.usd_of(phase=Phase.WAITING),
        cpu_usd=message.bill.usd_of(kind=LineItemKind.CPU),
        api_usd=message.bill.usd_of(kind=LineItemKind.DEEPGRAM),
        possibly_usd=message.bill.possibly_usd,
        fallbacks=_fallbacks(message),
    )


def overhead(task: str, began_at: datetime, usd: float, *, possibly_usd: float = 0.0) -> Entry:
    """What an execution's task cost beyond the bills of its uploads. `task` names it: execution, index and attempt.

    `possibly_usd`: what it may have cost besides. An entry belongs to the month in which the task began.
    """
    return Entry(
        id=hashlib.sha256(task.encode()).hexdigest()[:24],
        state=EntryState.OVERHEAD,
        day=began_at.astimezone(UTC).date(),
        usd=usd + possibly_usd,
        execution=task,
        possibly_usd=possibly_usd,
    )


def _entry_id(job_id: str, run: int) -> str:
    return job_id if run == 1 else f"{job_id}.{run}"


def folder_of(name: str) -> str:
    """First folder of an upload's name: `calls/2026/a.mp3` -> `calls`."""
    return name.partition("/")[0] if "/" in name else ""


def _fallbacks(message: TerminalMessage) -> int:
    rerouted = message.decision is not None and message.decision.rule.endswith("-fallback")
    return rerouted + message.fallbacks


class Ledger:
    """The ledger's objects in the state bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def reserve(self, entry: Entry) -> None:
        """Write a reservation. A newer estimate replaces an older one; a bill stays."""
        # Nearly always there is none: then one call does it.
        if self._put(entry, if_generation_match=0):
            return
        blob = self._bucket.get_blob(_name(entry))
        if blob is not None and (blob.metadata or {}).get("state") == EntryState.RESERVED:
            self._put(entry, if_generation_match=int(blob.generation))

    def book(self, entry: Entry) -> None:
        """Write a bill in the reservation's place, or an overhead. A job's outcome is decided once, so every writer
        writes the same."""
        self._put(entry)

    def book_once(self, entry: Entry) -> None:
        """The same, unless an entry is there: it knows better."""
        self._put(entry, if_generation_match=0)

    def withdraw(self, entry: Entry) -> None:
        """Take a reservation back; a bill stays."""
        blob = self._bucket.get_blob(_name(entry))
        if blob is not None and (blob.metadata or {}).get("state") == EntryState.RESERVED:
            objects.delete(self._bucket, _name(entry), int(blob.generation))

    def entries(self, month: str) -> Iterator[Entry]:
        """Every entry of a month (`2026-11`). One that cannot be read is logged and left out."""
        for item in self._list(month, "items(name,metadata)"):
            name = str(item["name"])
            try:
                yield Entry.model_validate({**item.get("metadata", {}), "id": name.rpartition("/")[2]})
            except ValidationError:
                _log.exception("unreadable ledger entry", extra={"fields": {"object": name}})

    def month_sums(self, month: str) -> MonthSums:
        """Sums of a month's entries. One that cannot be read is logged and left out: it must not stop uploads."""
        usd, jobs = 0.0, 0
        for item in self._list(month, "items(name,metadata(usd,state))"):
            figures = item.get("metadata", {})
            try:
                usd += _dollars(figures["usd"])
            except (KeyError, ValueError):
                _log.exception("unreadable ledger entry", extra={"fields": {"object": item["name"]}})
                continue
            jobs += figures.get("state") != EntryState.OVERHEAD
        return MonthSums(usd, jobs)

    def _put(self, entry: Entry, **precondition: int) -> bool:
        """False where another entry stands."""
        blob = self._bucket.blob(_name(entry))
        blob.metadata = entry.metadata()
        # Lost to a bill, or to the same job's other process, or to our own write whose answer was lost: one of them
        # stands, and none of them may be overwritten by an estimate.
        try:
            blob.upload_from_string(b"", content_type="application/x-empty", **precondition)
        except PreconditionFailed:
            _log.info("ledger entry stands", extra={"fields": {"object": blob.name}})
            return False
        return True

    def _list(self, month: str, fields: str) -> Iterator[Mapping[str, Any]]:
        """Names and metadata of a month's objects, as the API lists them: a Blob for each takes five times as long."""

        def shard(letter: str) -> list[Mapping[str, Any]]:
            prefix = f"ledger/{month}/{letter}"
            pages = self._bucket.list_blobs(prefix=prefix, fields=f"{fields},nextPageToken").pages
            return [item for page in pages for item in _items(page)]

        with ThreadPoolExecutor(_PARALLEL_LISTINGS, thread_name_prefix="ledger") as pool:
            for items in pool.map(shard, _SHARDS):
                yield from items


def _dollars(text: str) -> float:
    """Raises ValueError for what is no sum of money: one such entry would make the month's sum none."""
    usd = float(text)
    if not 0 <= usd < math.inf:
        raise ValueError(f"{text} is no sum of money")
    return usd


def _items(page: Any) -> Iterable[Mapping[str, Any]]:
    items: Iterable[Mapping[str, Any]] = page.raw_page.get("items", ())
    return items


def _name(entry: Entry) -> str:
    return f"ledger/{entry.day:%Y-%m}/{entry.id}"
