"""An entry of the ledger: what one job cost, or may cost, or what an execution cost beside its jobs."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.costs.bill import LineItemKind, Phase
from shared.enums import JobDevice, Method
from shared.messages import TerminalMessage
from shared.state.jobs.record import JobRecord

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
    """Of the instance, while no batch ran: idle, waiting for decoders, or for who tells speakers apart."""
    cpu_usd: Dollars = 0.0
    api_usd: Dollars = 0.0
    """Paid to Deepgram."""
    possibly_usd: Dollars = 0.0
    """Of `usd`: calls to Deepgram whose answer did not come, and seconds of killed executions that nobody saw."""
    seen_at: datetime | None = None
    """Of an execution that is taken for killed: its last word, of which the entry was made. None: nobody guesses."""
    unseen_usd: Dollars = 0.0
    """Of such an execution: its time between that word and when it can have been killed at the latest."""
    fallbacks: Annotated[int, Field(ge=0)] = 0
    """How often another engine had to step in: for the whole upload, or for a chunk of it."""

    def metadata(self) -> dict[str, str]:
        """The figures as custom metadata of an object."""
        figures = self.model_dump(mode="json", exclude={"id"}, exclude_defaults=True)
        return {key: str(value) for key, value in figures.items()}


def month_of(at: datetime) -> str:
    """`2026-11`: the month a job received at this time is booked in."""
    return at.astimezone(UTC).strftime("%Y-%m")


def reservation(record: JobRecord, usd: float) -> Entry:
    """A job that may cost so much."""
    return Entry(
        id=entry_id(record.upload.job_id, record.run),
        state=EntryState.RESERVED,
        day=record.received_at.astimezone(UTC).date(),
        usd=usd,
        folder=folder_of(record.upload.name),
        method=record.decision.method if record.decision else None,
        device=record.decision.device if record.decision else None,
        audio_seconds=record.media.duration_seconds if record.media else 0.0,
        possibly_usd=record.spent.possibly_usd,
    )


def billed(message: TerminalMessage) -> Entry:
    """A job that ended, whatever its outcome: what was spent was spent."""
    saving = message.saving
    return Entry(
        id=entry_id(message.job_id, message.run),
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


def overhead(
    task: str,
    began_at: datetime,
    usd: float,
    *,
    possibly_usd: float = 0.0,
    seen_at: datetime | None = None,
    unseen_usd: float = 0.0,
) -> Entry:
    """What an execution's task cost beyond the bills of its uploads. `task` names it: execution, index and attempt.

    `possibly_usd`: what it may have cost besides. `seen_at`: its last word, where it is taken for killed; `unseen_usd`:
    its time behind that, on a bill or not. An entry belongs to the month in which the task began.
    """
    return Entry(
        id=hashlib.sha256(task.encode()).hexdigest()[:24],
        state=EntryState.OVERHEAD,
        day=began_at.astimezone(UTC).date(),
        usd=usd + possibly_usd,
        execution=task,
        possibly_usd=possibly_usd,
        seen_at=seen_at,
        unseen_usd=unseen_usd,
    )


def entry_id(job_id: str, run: int) -> str:
    """Of a run of a job."""
    return job_id if run == 1 else f"{job_id}.{run}"


def folder_of(name: str) -> str:
    """First folder of an upload's name: `calls/2026/a.mp3` -> `calls`."""
    return name.partition("/")[0] if "/" in name else ""


ERASED_FOLDER = "erased/"
"""Begins what stands for the folder of an upload that was erased; no folder's name has a slash."""


def erased_folder(folder: str) -> str:
    """What stands for a folder: the same for all of its uploads, so that costs and budgets by folder still add up."""
    return f"{ERASED_FOLDER}{hashlib.sha256(folder.encode()).hexdigest()[:12]}"


def _fallbacks(message: TerminalMessage) -> int:
    rerouted = message.decision is not None and message.decision.rule.endswith("-fallback")
    return rerouted + message.fallbacks
