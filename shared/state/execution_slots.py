"""Execution slots: each is the right to run one execution of a job, so that 20 uploads start one and not 20.

`executions/<device>/slot-N.json`, as many as the deployment's MAX_PARALLEL_TASKS. A launcher takes a free one before it
starts an execution. The worker takes over a launcher's slot, whichever one: a launcher's slot stands for an execution
that is on its way. It renews the slot while it takes work, and gives it up *before* its last look at the queue. So an
upload that was queued while a slot was held is seen by that last look, and one queued later finds fewer slots held and
launches.

What a slot says is in its object's custom metadata, too, so that one listing reads all slots of a job.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.launch_plan import RunningExecutions
from shared.enums import JobDevice
from shared.errors import StateConflict

_log = logging.getLogger(__name__)

HOLD_TRIES = 10
"""Slots that a worker tries to take while others are faster."""

MAX_LISTED_JOBS = 100
"""Jobs that a slot names; custom metadata has room for 8 KiB."""

_METADATA = "slot"


class SlotUse(StrEnum):
    """What a slot is held for."""

    LAUNCH = "launch"
    """An execution is being started, and its worker has not come yet."""
    WORK = "work"
    """A worker takes work from the queue."""
    QUOTA = "quota"
    """Nothing: Cloud Run refused an execution, and is not asked again before the slot lapses."""


@dataclass(frozen=True)
class TakenWork:
    """What a worker has taken from the queue."""

    jobs: tuple[str, ...] = ()
    audio_seconds: float = 0.0
    """Of these jobs, what is not transcribed yet, counted as in the backlog (`shared/costs/launch_plan.py`)."""
    speakers_seconds: float = 0.0
    """Of these, audio of which is still to be found out who speaks."""


class Slot(BaseModel):
    """What the object of a slot says."""

    model_config = ConfigDict(frozen=True)

    use: SlotUse
    holder: str
    until: datetime
    """When the slot lapses, unless it is renewed before."""
    jobs: tuple[str, ...] = ()
    """Jobs that the worker has taken, as of its last renewal."""
    audio_seconds: float = 0.0
    """Audio of these that is not transcribed yet."""
    speakers_seconds: float = 0.0
    """Of these, audio of which is still to be found out who speaks."""


@dataclass(frozen=True)
class HeldSlot:
    """A slot that this process holds, as it last wrote it."""

    number: int
    holder: str
    generation: int


@dataclass(frozen=True)
class StoredSlot:
    """A slot's object as it was listed."""

    slot: Slot
    generation: int


@dataclass(frozen=True)
class SlotsView:
    """All slots of a job at one moment."""

    stored: Mapping[int, StoredSlot]
    at: datetime

    @property
    def held(self) -> Mapping[int, StoredSlot]:
        """Those that have not lapsed."""
        return {number: one for number, one in self.stored.items() if one.slot.until > self.at}

    @property
    def is_running(self) -> bool:
        """Whether an execution takes work, or was launched and has still to start."""
        return self.running.count > 0

    @property
    def running(self) -> RunningExecutions:
        """The executions that the slots stand for."""
        slots = [one.slot for one in self.held.values()]
        executions = [slot for slot in slots if slot.use is not SlotUse.QUOTA]
        return RunningExecutions(
            count=len(executions),
            starting=sum(slot.use is SlotUse.LAUNCH for slot in executions),
            audio_seconds=sum(slot.audio_seconds for slot in executions),
            speakers_seconds=sum(slot.speakers_seconds for slot in executions),
            quota_refused=len(executions) < len(slots),
        )

    @property
    def taken_jobs(self) -> frozenset[str]:
        """Jobs that workers have taken from the queue, as of their last renewals."""
        return frozenset(job for one in self.held.values() for job in one.slot.jobs)

    def free(self, count: int) -> list[int]:
        """Numbers of the slots that nobody holds, of `count`."""
        return [number for number in range(count) if number not in self.held]

    def for_worker(self, holder: str, count: int) -> int | None:
        """The slot for a worker that starts: its killed predecessor's, a launcher's, or a free one; else None."""
        own = [number for number, one in self.held.items() if one.slot.holder == holder]
        launched = [number for number, one in self.held.items() if one.slot.use is SlotUse.LAUNCH]
        return next(iter([*own, *sorted(launched), *self.free(count)]), None)


class ExecutionSlots:
    """The slots of one job, in the state bucket."""

    def __init__(self, bucket: Bucket, device: JobDevice, count: int, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each write; None: the storage client's own limits."""
        self.count = count
        self._bucket = bucket
        self._prefix = f"executions/{device}/slot-"
        self._deadline_seconds = deadline_seconds

    def view(self) -> SlotsView:
        """All slots, by one listing."""
        stored: dict[int, StoredSlot] = {}
        for one in objects.list_metadata(self._bucket, self._prefix):
            number = one.name.removeprefix(self._prefix).removesuffix(".json")
            if number.isdecimal():
                stored[int(number)] = StoredSlot(_slot(one.name, one.metadata.get(_METADATA)), one.generation)
        return SlotsView(stored, now())

    def take(self, number: int, holder: str, term: timedelta, view: SlotsView) -> HeldSlot | None:
        """Take a slot that is free in `view`, to launch an execution; None where somebody was faster."""
        return self._write(
            number, Slot(use=SlotUse.LAUNCH, holder=holder, until=now() + term), _generation(view, number)
        )

    def hold(self, holder: str, term: timedelta) -> HeldSlot | None:
        """Take over a slot as a worker; None where workers hold them all: this one works without."""
        for _ in range(HOLD_TRIES):
            view = self.view()
            number = view.for_worker(holder, self.count)
            if number is None:
                return None
            slot = Slot(use=SlotUse.WORK, holder=holder, until=now() + term)
            held = self._write(number, slot, _generation(view, number))
            if held is not None:
                return held
        return None

    def renew(self, held: HeldSlot, term: timedelta, work: TakenWork | None = None) -> HeldSlot | None:
        """Prolong a worker's slot; None where it was lost, because its process went silent for too long."""
        work = work or TakenWork()
        slot = Slot(
            use=SlotUse.WORK,
            holder=held.holder,
            until=now() + term,
            jobs=work.jobs[:MAX_LISTED_JOBS],
            audio_seconds=work.audio_seconds,
            speakers_seconds=work.speakers_seconds,
        )
        return self._write(held.number, slot, held.generation)

    def release(self, held: HeldSlot) -> bool:
        """Give the slot up; False, and without effect, where it was lost."""
        return objects.delete(self._bucket, _name(self._prefix, held.number), held.generation)

    def launch_failed(self, held: HeldSlot) -> None:
        """Take one launcher's slot away: of the execution that could not be started.

        A worker that came meanwhile may have taken over this launcher's slot, and left another launcher's standing.
        """
        while not self.release(held):
            view = self.view()
            launched = [number for number, one in view.held.items() if one.slot.use is SlotUse.LAUNCH]
            if not launched:
                return
            held = HeldSlot(launched[0], "", view.held[launched[0]].generation)

    def refuse(self, held: HeldSlot, term: timedelta) -> bool:
        """Have nobody ask Cloud Run for another execution before `term` is over; False where the slot was lost."""
        slot = Slot(use=SlotUse.QUOTA, holder=held.holder, until=now() + term)
        return self._write(held.number, slot, held.generation) is not None

    def _write(self, number: int, slot: Slot, generation: int) -> HeldSlot | None:
        text = slot.model_dump_json(exclude_defaults=True)
        try:
            stored = objects.replace(
                self._bucket,
                _name(self._prefix, number),
                text.encode(),
                generation,
                metadata={_METADATA: text},
                deadline_seconds=self._deadline_seconds,
            )
        except StateConflict:
            return None
        return HeldSlot(number, slot.holder, stored.generation)


def _slot(name: str, text: str | None) -> Slot:
    try:
        return Slot.model_validate_json(text or "")
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        # Nobody can hold it: it has lapsed.
        return Slot(use=SlotUse.WORK, holder="", until=datetime.min.replace(tzinfo=UTC))


def _generation(view: SlotsView, number: int) -> int:
    """What the next write of a slot must match; 0 where there is no object."""
    return view.stored[number].generation if number in view.stored else 0


def _name(prefix: str, number: int) -> str:
    return f"{prefix}{number}.json"
