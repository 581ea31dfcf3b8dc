"""Advice: what a month's ledger says could have cost less, and how much less. Pure.

Each advice is computed from the month's own bills, as if it had been followed from the month's first day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.enums import Method
from shared.state.ledger_entry import Entry, EntryState

MIN_SAVING_SHARE = 0.01
"""Share of the month's bill below which an advice is not given."""

THRESHOLDS_MINUTES = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""Lengths that are tried as thresholds between the engines."""

MIN_PARAKEET_UPLOADS = 10
"""Uploads that Parakeet must have transcribed before its price is applied to others."""


@dataclass(frozen=True)
class Advice:
    """A change, and by how much it would have made the month cheaper."""

    action: str
    saving_usd: float


def advice(entries: Sequence[Entry]) -> list[Advice]:
    """What would have saved at least a hundredth of the month's bill, the largest saving first."""
    billed = [entry for entry in entries if entry.state is EntryState.BILLED]
    overhead = sum(entry.usd for entry in entries if entry.state is EntryState.OVERHEAD)
    min_saving_usd = MIN_SAVING_SHARE * (sum(entry.usd for entry in billed) + overhead)
    found = [
        one
        for one in (
            short_to_deepgram(billed),
            long_to_parakeet(billed),
            batch_more(billed, overhead),
            raise_shape(billed),
        )
        if one is not None and one.saving_usd > min_saving_usd
    ]
    return sorted(found, key=lambda one: -one.saving_usd)


def short_to_deepgram(billed: Sequence[Entry]) -> Advice | None:
    """Files under N minutes to Deepgram. An execution that served no others is saved whole, else its batches only."""
    executions: dict[str, list[Entry]] = {}
    for entry in _on_instances(billed):
        executions.setdefault(entry.execution or entry.id, []).append(entry)

    def saving(minutes: float) -> float:
        return sum(_saved(served, minutes * 60) for served in executions.values())

    return _best(saving, "Send files under {} min to Deepgram: for them an instance is dearer.")


def _saved(served: Sequence[Entry], longest_seconds: float) -> float:
    """What one execution would have cost less without its short files, Deepgram's price of them taken off."""
    moved = [entry for entry in served if 0 < entry.audio_seconds < longest_seconds]
    all_moved = len(moved) == len(served)
    gone = sum(entry.usd if all_moved else entry.usd - entry.start_up_usd - entry.waiting_usd for entry in moved)
    return gone - sum(entry.deepgram_usd for entry in moved)


def long_to_parakeet(billed: Sequence[Entry]) -> Advice | None:
    """Files of N minutes and more to Parakeet, at what its audio hours cost this month, start-up included."""
    parakeet = [entry for entry in _on_instances(billed) if entry.audio_seconds > 0]
    if len(parakeet) < MIN_PARAKEET_UPLOADS:
        return None
    per_second = sum(entry.usd for entry in parakeet) / sum(entry.audio_seconds for entry in parakeet)
    api = [entry for entry in billed if entry.method is Method.DEEPGRAM]

    def saving(minutes: float) -> float:
        moved = [entry for entry in api if entry.audio_seconds >= minutes * 60]
        return sum(entry.usd - per_second * entry.audio_seconds for entry in moved)

    return _best(saving, "Send files of {} min and more to Parakeet.")


def batch_more(billed: Sequence[Entry], overhead_usd: float) -> Advice | None:
    """Half as many executions: half of what starting and ending them cost."""
    served = list(_on_instances(billed))
    executions = {entry.execution for entry in served if entry.execution}
    if len(executions) < 2:
        return None
    per_execution = len(served) / len(executions)
    action = f"Drop files together: {per_execution:.1f} shared an execution; with twice as many start-up costs half."
    return Advice(action, (sum(entry.start_up_usd for entry in served) + overhead_usd) / 2)


def raise_shape(billed: Sequence[Entry]) -> Advice | None:
    """Twice the vCPUs: at best half the waiting for decoders, and every second dearer by the vCPUs' share."""
    served = list(_on_instances(billed))
    usd, cpu = sum(entry.usd - entry.api_usd for entry in served), sum(entry.cpu_usd for entry in served)
    if usd <= 0:
        return None
    after = (usd - sum(entry.waiting_usd for entry in served) / 2) * (1 + cpu / usd)
    return Advice("Double the job's vCPUs: instances wait for decoders; at best they wait half as long.", usd - after)


def _on_instances(billed: Sequence[Entry]) -> Iterator[Entry]:
    """Jobs that the GPU or CPU job did, at least in part."""
    return (entry for entry in billed if entry.usd > entry.api_usd and entry.method is not Method.DEEPGRAM)


def _best(saving: Callable[[float], float], action: str) -> Advice | None:
    """With the threshold that saves most."""
    saved, minutes = max((saving(minutes), -minutes) for minutes in THRESHOLDS_MINUTES)
    return Advice(action.format(-minutes), saved) if saved > 0 else None
