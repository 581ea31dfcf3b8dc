"""The messages of one subscription that are not acknowledged yet: each is ready, leased until its ack deadline, or held
back for a while after a failed attempt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.emulators.pubsub.messages import Message

GiveUp = Callable[[Message, int], bool]
"""Called after each failed attempt, with the message and its attempts so far; on True the message is dropped."""

MAX_BATCH_MESSAGES = 1_000
MAX_BATCH_BYTES = 3_000_000
"""Google's client accepts no response above gRPC's default of 4 MiB when PUBSUB_EMULATOR_HOST is set; a batch with its
attributes and ids must stay below, or all of it is lost until the ack deadline."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One delivery of `message`, its `attempt`-th, identified by its `receipt`."""

    receipt: int
    message: Message
    attempt: int


@dataclass(slots=True, eq=False)
class _Entry:
    message: Message
    attempts: int = 0
    receipt: int = 0
    due: float = math.inf
    """When the lease expires; infinite without one."""
    ready_at: float = math.inf
    """When a message that is held back becomes ready; infinite for every other."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a message is held back after a failed attempt: twice as long each time. In seconds."""

    minimum_backoff: float = 10.0
    maximum_backoff: float = 600.0

    def backoff(self, attempts: int) -> float:
        """After so many failed attempts, from 1 on."""
        return min(self.maximum_backoff, self.minimum_backoff * 2.0 ** min(attempts - 1, 32))


class Backlog:
    """Leases messages; one whose lease expires, or is given back, becomes ready again, at once or as the policy says.

    The receipt of an expired lease stays valid until its message is leased again, so a late acknowledgement counts.
    Times are in seconds, of any one clock.
    """

    def __init__(self, receipts: Iterator[int], give_up: GiveUp, retry: RetryPolicy | None = None) -> None:
        self._receipts = receipts
        self._retry = retry
        self._give_up = give_up
        self._ready: dict[_Entry, None] = {}  # in the order of delivery
        self._held_back: dict[_Entry, None] = {}
        self._by_receipt: dict[int, _Entry] = {}

    def add(self, message: Message) -> None:
        """Put a new message behind those that are ready."""
        self._ready[_Entry(message)] = None

    def lease(self, limit: int, seconds: float, now: float) -> list[Lease]:
        """Lease up to `limit` ready messages, and no more than fit one response."""
        self.expire(now)
        leases: list[Lease] = []
        size = 0
        while self._ready and len(leases) < min(limit, MAX_BATCH_MESSAGES):
            entry = next(iter(self._ready))
            size += entry.message.content.size
            if leases and size > MAX_BATCH_BYTES:
                break
            del self._ready[entry]
            self._by_receipt.pop(entry.receipt, None)
            entry.receipt, entry.attempts, entry.due = next(self._receipts), entry.attempts + 1, now + seconds
            self._by_receipt[entry.receipt] = entry
            leases.append(Lease(entry.receipt, entry.message, entry.attempts))
        return leases

    def acknowledge(self, receipt: int) -> None:
        """Drop the message; a receipt that is no longer valid changes nothing."""
        if entry := self._by_receipt.pop(receipt, None):
            self._take_out(entry)

    def extend(self, receipt: int, seconds: float, now: float) -> None:
        """Let the lease expire `seconds` from `now`; a receipt that is no longer valid changes nothing."""
        if entry := self._by_receipt.get(receipt):
            self._take_out(entry)
            entry.due = now + seconds

    def give_back(self, receipt: int, now: float) -> None:
        """End the lease as a failed attempt, its receipt void; a lease that has already expired stays as it is."""
        entry = self._by_receipt.get(receipt)
        if entry is not None and entry not in self._ready and entry not in self._held_back:
            del self._by_receipt[receipt]
            self._fail(entry, now)

    def expire(self, now: float) -> None:
        """End the leases whose deadline is over at `now`, and what holds messages back until then."""
        expired = [entry for entry in self._by_receipt.values() if entry.due <= now]
        for entry in sorted(expired, key=lambda entry: entry.due):
            self._fail(entry, entry.due)
        for entry in sorted((one for one in self._held_back if one.ready_at <= now), key=lambda one: one.ready_at):
            self._take_out(entry)
            self._ready[entry] = None

    def next_expiry(self) -> float:
        """When the next lease expires, or the next message is held back no longer; infinite without either."""
        times = [entry.due for entry in self._by_receipt.values()] + [entry.ready_at for entry in self._held_back]
        return min(times, default=math.inf)

    def _fail(self, entry: _Entry, now: float) -> None:
        entry.due = math.inf
        if self._give_up(entry.message, entry.attempts):
            self._by_receipt.pop(entry.receipt, None)
        elif self._retry is None:
            self._ready[entry] = None
        else:
            entry.ready_at = now + self._retry.backoff(entry.attempts)
            self._held_back[entry] = None

    def _take_out(self, entry: _Entry) -> None:
        """Of those that are ready or held back."""
        self._ready.pop(entry, None)
        self._held_back.pop(entry, None)
        entry.ready_at = math.inf
