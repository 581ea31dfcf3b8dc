"""The execution lease: which job execution takes work from a queue now, so that 20 uploads start one and not 20.

One object for each job, `executions/gpu-lease.json` and `executions/cpu-lease.json`. A launcher takes it before it
starts an execution; the worker takes it over, renews it while it runs, and gives it up *before* its last look at the
queue. So an upload queued while the lease stood is seen by that last look, and one queued later finds no lease and
launches.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.clock import now
from shared.enums import JobDevice
from shared.errors import StateConflict

LAUNCHER = "launcher"
"""Prefix of the holders that launch an execution and expect its worker to take the lease over."""


class _Lease(BaseModel):
    model_config = ConfigDict(frozen=True)

    holder: str
    until: datetime


@dataclass(frozen=True)
class HeldLease:
    """A lease that this process holds, as it last wrote it."""

    holder: str
    generation: int


class ExecutionLease:
    """The lease object of one job, in the state bucket."""

    def __init__(self, bucket: Bucket, device: JobDevice, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each write; None: the storage client's own limits."""
        self._bucket = bucket
        self._name = f"executions/{device}-lease.json"
        self._deadline_seconds = deadline_seconds

    def is_live(self) -> bool:
        """Whether an execution runs, or was launched and has still to start."""
        stored = objects.read(self._bucket, self._name)
        return stored is not None and _parse(stored).until > now()

    def take(self, holder: str, term: timedelta) -> HeldLease | None:
        """Take the lease if nobody holds it; None where an execution runs or another launcher was faster."""
        stored = objects.read(self._bucket, self._name)
        if stored is not None and _parse(stored).until > now():
            return None
        return self._write(holder, term, stored.generation if stored else 0)

    def take_over(self, holder: str, term: timedelta) -> HeldLease | None:
        """Take the lease that a launcher, or our own killed predecessor, holds; None where another execution has it."""
        stored = objects.read(self._bucket, self._name)
        if stored is not None:
            lease = _parse(stored)
            ours = lease.holder == holder or lease.holder.startswith(f"{LAUNCHER}/")
            if lease.until > now() and not ours:
                return None
        return self._write(holder, term, stored.generation if stored else 0)

    def renew(self, held: HeldLease, term: timedelta) -> HeldLease | None:
        """Prolong the lease; None where it was lost, because this process went silent for too long."""
        return self._write(held.holder, term, held.generation)

    def release(self, held: HeldLease) -> None:
        """Give the lease up; without effect where it was lost."""
        objects.delete(self._bucket, self._name, held.generation)

    def _write(self, holder: str, term: timedelta, generation: int) -> HeldLease | None:
        data = _Lease(holder=holder, until=now() + term).model_dump_json().encode()
        try:
            stored = objects.replace(
                self._bucket, self._name, data, generation, deadline_seconds=self._deadline_seconds
            )
        except StateConflict:
            return None
        return HeldLease(holder, stored.generation)


def _parse(stored: objects.Versioned) -> _Lease:
    return _Lease.model_validate_json(stored.data)
