"""What executions cost: their processes' time, as this machine saw it, beside what bills and ledger say of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from shared.costs.bill import LineItemKind, instance_second_usd
from shared.costs.prices import JobShape, price_book
from shared.messages import TerminalMessage
from shared.state.ledger_entry import Entry
from tests.chaos.servers import ChaosCloud, TaskAttempt

INSTANCE = frozenset({LineItemKind.GPU, LineItemKind.CPU, LineItemKind.MEMORY})

UNBILLED_SECONDS = 0.5
"""Of each process: between its start and its clock's, and between its last word and its end."""


@dataclass(frozen=True)
class Instances:
    """What a run's executions cost."""

    seconds: float
    usd: float
    booked_usd: float
    unseen_seconds: float
    problems: tuple[str, ...]


def judge_instances(cloud: ChaosCloud, messages: Iterable[TerminalMessage], overhead: Collection[Entry]) -> Instances:
    """Every second of an instance is on a bill or is overhead, and no more than that.

    Of a process that was killed the ledger has up to a lease more, for nobody saw when it ended, or less,
    where storage did not take its last words; one that was killed before it could write a word is nowhere.
    """
    second_usd, lease_seconds = _second_usd(cloud), float(cloud.environment["LEASE_SECONDS"])
    booked = {entry.execution for entry in overhead}
    seen = [one for one in cloud.attempts if _name(one) in booked]
    seconds = sum(_seconds(one) for one in cloud.attempts)
    unseen_seconds = seconds - sum(_seconds(one) for one in seen)
    killed = sum(one.exit_code is not None and one.exit_code < 0 for one in seen)
    booked_usd = sum(entry.usd for entry in overhead) + sum(
        item.usd for message in messages for item in message.bill.items if item.kind in INSTANCE
    )
    exact = seconds - unseen_seconds
    doubt = UNBILLED_SECONDS * len(seen) + lease_seconds * killed
    least, most = (exact - doubt) * second_usd, (exact + doubt) * second_usd
    problems = []
    if not least <= booked_usd <= most:
        problems.append(
            f"bills and overhead have ${booked_usd:.4f} for instances that cost ${least:.4f} to ${most:.4f}"
        )
    return Instances(seconds, seconds * second_usd, booked_usd, unseen_seconds, tuple(problems))


def _second_usd(cloud: ChaosCloud) -> float:
    vcpu, memory_gib = (float(cloud.environment[name]) for name in ("JOB_VCPU", "JOB_MEMORY_GIB"))
    return instance_second_usd(JobShape(gpu=None, vcpu=vcpu, memory_gib=memory_gib), price_book())


def _name(attempt: TaskAttempt) -> str:
    """What the ledger calls it."""
    return f"executions/{attempt.execution}/0-{attempt.number}"


def _seconds(attempt: TaskAttempt) -> float:
    return 0.0 if attempt.ended is None else attempt.ended - attempt.began
