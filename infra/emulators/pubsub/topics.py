"""Topics and their subscriptions: the whole state of Pub/Sub, without threads and without a network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound

from infra.emulators.pubsub.backlog import Backlog, RetryPolicy
from infra.emulators.pubsub.messages import MAX_PUBLISH_MESSAGES, Content, Delivery, Message, dead_letter

DEFAULT_ACK_DEADLINE = 10  # seconds
MIN_ACK_DEADLINE = 10  # seconds
MAX_ACK_DEADLINE = 600  # seconds
MAX_BACKOFF = 600  # seconds
DEFAULT_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Where a message goes after `max_attempts` failed ones."""

    topic: str
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Subscription:
    """A pull subscription's settings; `ack_deadline` is in seconds."""

    name: str
    topic: str
    ack_deadline: int = DEFAULT_ACK_DEADLINE
    dead_letter: DeadLetterPolicy | None = None
    retry: RetryPolicy | None = None

    def check(self) -> None:
        """Raise InvalidArgument for a setting beyond Pub/Sub's limits."""
        _check_ack_deadline(self.ack_deadline, MIN_ACK_DEADLINE)
        if self.dead_letter and not 5 <= self.dead_letter.max_attempts <= 100:
            given = self.dead_letter.max_attempts
            raise InvalidArgument(f"max_delivery_attempts is {given}; it must be between 5 and 100.")
        if self.retry and not 0 <= self.retry.minimum_backoff <= self.retry.maximum_backoff <= MAX_BACKOFF:
            raise InvalidArgument(f"Backoffs must be between 0 and {MAX_BACKOFF} s, the minimum not above the maximum.")


class Topics:
    """Publishes, delivers and redelivers; `clock` gives seconds since 1970. Not safe for threads.

    Methods raise NotFound for a topic or subscription that does not exist, InvalidArgument for what can never succeed.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._topics: dict[str, list[str]] = {}
        """Names of each topic's subscriptions. A subscription outlives its topic, but gets nothing more."""
        self._subscriptions: dict[str, Subscription] = {}
        self._backlogs: dict[str, Backlog] = {}
        self._message_ids = count(1)
        self._receipts = count(1)

    def create_topic(self, name: str) -> None:
        """Raises AlreadyExists."""
        if name in self._topics:
            raise AlreadyExists(f"Resource already exists in the project (resource={name}).")
        self._topics[name] = []

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, with what they hold."""
        self._check_topic(name)
        del self._topics[name]

    def create_subscription(self, subscription: Subscription) -> None:
        """Raises AlreadyExists."""
        subscription.check()
        name = subscription.name
        if name in self._subscriptions:
            raise AlreadyExists(f"Resource already exists in the project (resource={name}).")
        self._check_topic(subscription.topic)
        if subscription.dead_letter:
            self._check_topic(subscription.dead_letter.topic)
        self._topics[subscription.topic].append(name)
        self._subscriptions[name] = subscription
        self._backlogs[name] = Backlog(
            self._receipts, lambda message, attempts: self._bury(subscription, message, attempts), subscription.retry
        )

    def delete_subscription(self, name: str) -> None:
        """With what it holds."""
        self._backlog(name)
        del self._backlogs[name]
        subscribers = self._topics.get(self._subscriptions.pop(name).topic, [])
        if name in subscribers:
            subscribers.remove(name)

    def publish(self, topic: str, contents: Sequence[Content]) -> list[str]:
        """The ids of the new messages; where one is refused, none is published."""
        self._check_topic(topic)
        if not 1 <= len(contents) <= MAX_PUBLISH_MESSAGES:
            raise InvalidArgument(f"{len(contents)} messages in one request, not 1 to {MAX_PUBLISH_MESSAGES}.")
        for content in contents:
            content.check()
        return [self._publish(topic, content) for content in contents]

    def deliver(self, name: str, limit: int) -> list[Delivery]:
        """Lease up to `limit` messages that are ready."""
        backlog, subscription = self._backlog(name), self._subscriptions[name]
        return [
            Delivery(f"{name}:{lease.receipt}", lease.message, lease.attempt if subscription.dead_letter else 0)
            for lease in backlog.lease(limit, subscription.ack_deadline, self._clock())
        ]

    def acknowledge(self, name: str, ack_ids: Iterable[str]) -> None:
        """Ids out of date change nothing; where an id is not of this subscription, none is acknowledged."""
        backlog = self._backlog(name)
        self.expire_leases()
        for receipt in [_receipt(name, ack_id) for ack_id in ack_ids]:
            backlog.acknowledge(receipt)

    def modify_ack_deadline(self, name: str, ack_ids: Iterable[str], seconds: int) -> None:
        """Extend the leases to `seconds` from now, or give the messages back with 0; ids as in `acknowledge`."""
        backlog = self._backlog(name)
        _check_ack_deadline(seconds, 0)
        self.expire_leases()
        for receipt in [_receipt(name, ack_id) for ack_id in ack_ids]:
            if seconds:
                backlog.extend(receipt, seconds, self._clock())
            else:
                backlog.give_back(receipt, self._clock())

    def expire_leases(self) -> None:
        """End the leases that are over, on every subscription: each may feed another one by its dead letter topic."""
        for backlog in list(self._backlogs.values()):
            backlog.expire(self._clock())

    def seconds_until_expiry(self) -> float:
        """How long until the next lease expires; infinite without leases."""
        due = min((backlog.next_expiry() for backlog in self._backlogs.values()), default=math.inf)
        return max(0.0, due - self._clock())

    def _check_topic(self, name: str) -> None:
        if name not in self._topics:
            raise NotFound(f"Resource not found (resource={name}).")

    def _backlog(self, name: str) -> Backlog:
        if name not in self._backlogs:
            raise NotFound(f"Resource not found (resource={name}).")
        return self._backlogs[name]

    def _publish(self, topic: str, content: Content) -> str:
        message = Message(str(next(self._message_ids)), self._clock(), content)
        for name in self._topics[topic]:
            self._backlogs[name].add(message)
        return message.id

    def _bury(self, subscription: Subscription, message: Message, attempts: int) -> bool:
        """Move a message to the dead letter topic, if it has failed often enough and the topic still exists."""
        policy = subscription.dead_letter
        if policy is None or attempts < policy.max_attempts or policy.topic not in self._topics:
            return False
        self._publish(policy.topic, dead_letter(message, subscription.name, attempts))
        return True


def _check_ack_deadline(seconds: int, minimum: int) -> None:
    if not minimum <= seconds <= MAX_ACK_DEADLINE:
        raise InvalidArgument(f"An ack deadline of {seconds} s is not within {minimum} s to {MAX_ACK_DEADLINE} s.")


def _receipt(subscription: str, ack_id: str) -> int:
    """The number in an ack id of `subscription`."""
    name, _, receipt = ack_id.rpartition(":")
    if name != subscription or not (receipt.isascii() and receipt.isdecimal()):
        raise InvalidArgument(f"Invalid ack id (ack_id={ack_id})")
    return int(receipt)
