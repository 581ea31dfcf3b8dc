"""What a record says of an attempt that gave its job back to the queue: whether it counts, and when the next one is
due. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from random import random
from typing import Any

from shared.state.jobs.record import JobRecord


class GivenBack(Enum):
    """Why an attempt gave its job back, and so how it counts."""

    COUNTED = "counted"
    FAULT = "fault"
    """Not counted, and tried again after a while: a service, the network or the disk failed."""
    TOLD_TO_STOP = "told to stop"
    """Not counted."""
    SUSPECTED = "suspected"
    """The job may have hung the worker or its engine, or another one beside it: as after a worker's death it runs alone
    from then on, and counts where it did already."""


def given_back(
    record: JobRecord,
    why: GivenBack,
    at: datetime,
    *,
    fault_backoff_seconds: float,
    longest_backoff_seconds: float,
    restart_seconds: float,
) -> tuple[float, dict[str, Any]]:
    """After how many seconds the item shall come again, and what changes in the record.

    `fault_backoff_seconds`, `longest_backoff_seconds`: of the pause after a fault; `restart_seconds`: how long the next
    worker may take to be there.
    """
    faults = record.faults + 1 if why is GivenBack.FAULT else 0
    pause = backoff_seconds(faults, fault_backoff_seconds, longest_backoff_seconds) if faults else 0.0
    again = at + timedelta(seconds=pause)
    is_suspected = why is GivenBack.SUSPECTED
    is_counted = why is GivenBack.COUNTED or (is_suspected and record.lost_attempts > 0)
    return pause, {
        # Until the next attempt can be there: before that, the reconciler must take it neither for lost nor for
        # failed. After a fault nobody may be left to make one.
        "lease_until": again if faults else again + timedelta(seconds=restart_seconds),
        "retry_at": again if faults else None,
        "faults": faults,
        "attempts": record.attempts - (not is_counted),
        "lost_attempts": record.lost_attempts + is_suspected,
    }


def backoff_seconds(
    faults: int, first_seconds: float, longest_seconds: float, random: Callable[[], float] = random
) -> float:
    """How long to wait after so many faults in a row, from 1 on: at most `first_seconds`, doubled with each further
    one, and at least half of that; never more than `longest_seconds`. `random`: from 0 to 1."""
    longest = min(longest_seconds, first_seconds * 2.0 ** min(faults - 1, 32))
    return longest * (1 + random()) / 2
