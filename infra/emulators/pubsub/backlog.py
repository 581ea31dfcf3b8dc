"""What one subscription still has to get across: messages that are ready, held, or resting after a failure."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.emulators.pubsub.messages import Message
    from infra.emulators.pubsub.subscriptions import RetryPolicy

Abandon = Callable[["Message", int], bool]
"""Asked after each failed attempt, with the message and its attempts so far; on True the message leaves the backlog."""

MAX_BATCH_MESSAGES = 1_000
MAX_BATCH_BYTES = 3_000_000
"""Google's client takes no response above gRPC's default of 4 MiB when PUBSUB_EMULATOR_HOST is set; a batch with its
attributes and ids must stay below, or all of it is lost until the ack deadline."""


@dataclass(slots=True)
class FlowWindow:
    """What one subscriber may hold at a time and holds now; a maximum of 0 is none."""

    max_messages: int = 0
    max_bytes: int = 0
    messages: int = 0
    bytes: int = 0

    @property
    def open(self) -> bool:
        """Whether one more message may be held, be it larger than what is left of the bytes."""
        return (self.max_messages <= 0 or self.messages < self.max_messages) and (
            self.max_bytes <= 0 or self.bytes < self.max_bytes
        )

    def hold(self, size: int) -> None:
        """Take in a message of `size` bytes."""
        self.messages += 1
        self.bytes += size

    def release(self, size: int) -> None:
        """Let go of a message of `size` bytes."""
        self.messages -= 1
        self.bytes -= size


@dataclass(frozen=True, slots=True)
class Lease:
    """One delivery of `message`, its `attempt`-th, known by its `receipt`."""

    receipt: int
    message: Message
    attempt: int


@dataclass(slots=True, eq=False)
class _Entry:
    """One message: held while it has a `holder`, else resting while `due` is finite, else ready."""

    message: Message
    size: int
    attempts: int = 0
    receipt: int = 0
    due: float = math.inf
    holder: FlowWindow | None = None


class Backlog:
    """Gives messages out on leases; a lease that runs out or is refused makes its message ready again.

    The receipt of a lease stays good after the lease has run out, until its message is given out again: a late
    acknowledgement is not in vain. Times are in seconds, of any one clock.
    """

    def __init__(self, retry: RetryPolicy | None, receipts: Iterator[int], abandon: Abandon) -> None:
        self._retry = retry
        self._receipts = receipts
        self._abandon = abandon
        self._ready: OrderedDict[_Entry, None] = OrderedDict()
        self._by_receipt: dict[int, _Entry] = {}
        self._timers: list[tuple[float, int]] = []  # a heap of (due, receipt), out of date where the entry disagrees

    def add(self, message: Message) -> None:
        """Put a new message behind those that are ready."""
        self._ready[_Entry(message, message.content.size)] = None

    def lease(self, window: FlowWindow, seconds: float, now: float) -> list[Lease]:
        """Give out what is ready, as far as `window` and one response have room; a first message always has."""
        self.advance(now)
        leases: list[Lease] = []
        size = 0
        while self._ready and window.open and len(leases) < MAX_BATCH_MESSAGES:
            entry = next(iter(self._ready))
            if leases and size + entry.size > MAX_BATCH_BYTES:
                break
            del self._ready[entry]
            entry.attempts += 1
            self._issue_receipt(entry)
            self._hold(entry, window, now + seconds)
            leases.append(Lease(entry.receipt, entry.message, entry.attempts))
            size += entry.size
        return leases

    def acknowledge(self, receipt: int, now: float) -> None:
        """Forget the message; a receipt that is no longer good changes nothing."""
        self.advance(now)
        entry = self._by_receipt.pop(receipt, None)
        if entry is not None:
            self._let_go(entry)
            self._ready.pop(entry, None)

    def extend(self, receipt: int, seconds: float, now: float) -> None:
        """Let the lease run out `seconds` from `now`; a receipt that is no longer good changes nothing."""
        self.advance(now)
        entry = self._by_receipt.get(receipt)
        if entry is not None:
            holder = entry.holder or FlowWindow()  # a lease that ran out comes back outside of anybody's window
            self._let_go(entry)
            self._ready.pop(entry, None)
            self._hold(entry, holder, now + seconds)

    def refuse(self, receipt: int, now: float) -> None:
        """End the lease as a failed attempt; a lease that has already ended stays as it is."""
        self.advance(now)
        entry = self._by_receipt.get(receipt)
        if entry is not None and entry.holder is not None:
            self._issue_receipt(entry)  # whoever refused a message can no longer acknowledge it
            self._fail(entry, now)

    def advance(self, now: float) -> None:
        """End the leases and rests that are over at `now`."""
        while self._timers and self._timers[0][0] <= now:
            entry = self._timed(heapq.heappop(self._timers))
            if entry is None:
                continue
            if entry.holder is not None:
                self._fail(entry, entry.due)
            else:
                self._make_ready(entry)

    def next_due(self) -> float:
        """The earliest time at which `advance` has something to do; infinite when nothing waits for time to pass."""
        while self._timers and self._timed(self._timers[0]) is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else math.inf

    def _timed(self, timer: tuple[float, int]) -> _Entry | None:
        due, receipt = timer
        entry = self._by_receipt.get(receipt)
        return entry if entry is not None and entry.due == due else None

    def _issue_receipt(self, entry: _Entry) -> None:
        self._by_receipt.pop(entry.receipt, None)
        entry.receipt = next(self._receipts)
        self._by_receipt[entry.receipt] = entry

    def _fail(self, entry: _Entry, at: float) -> None:
        self._let_go(entry)
        if self._abandon(entry.message, entry.attempts):
            del self._by_receipt[entry.receipt]
            return
        rest = self._retry.rest(entry.attempts) if self._retry is not None else 0.0
        if rest > 0:
            self._schedule(entry, at + rest)
        else:
            self._make_ready(entry)

    def _hold(self, entry: _Entry, window: FlowWindow, until: float) -> None:
        entry.holder = window
        window.hold(entry.size)
        self._schedule(entry, until)

    def _let_go(self, entry: _Entry) -> None:
        if entry.holder is not None:
            entry.holder.release(entry.size)
            entry.holder = None

    def _make_ready(self, entry: _Entry) -> None:
        entry.due = math.inf
        self._ready[entry] = None

    def _schedule(self, entry: _Entry, due: float) -> None:
        entry.due = due
        heapq.heappush(self._timers, (due, entry.receipt))
