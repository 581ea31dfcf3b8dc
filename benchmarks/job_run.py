"""What a run of the whole job took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpu_job.worker.billing.meter import PhaseSeconds
from shared.costs.bill import Bill, LineItemKind, Phase


@dataclass(frozen=True)
class JobRun:
    """One execution of the job, from its process's start to its last message."""

    audio_seconds: float
    wall_seconds: float
    spent: PhaseSeconds
    """Seconds of the instance on the bills, by what they went to."""

    @property
    def start_up_seconds(self) -> float:
        """Until the first batch."""
        return self.spent.get(Phase.START_UP, 0.0)

    @property
    def waited(self) -> float:
        """Share of the time after the start-up in which no batch ran."""
        running = self.spent.get(Phase.TRANSCRIPTION, 0.0)
        idle = self.spent.get(Phase.WAITING, 0.0)
        return idle / (running + idle)


def spent(bills: Sequence[Bill]) -> PhaseSeconds:
    """Seconds by phase, from bills of instances with 1 GiB of memory."""
    lines = [item for bill in bills for item in bill.items]
    memory = [item for item in lines if item.kind is LineItemKind.MEMORY]
    return {phase: sum(item.quantity for item in memory if item.phase is phase) for phase in Phase}
