"""Topics and the subscriptions on them: the whole state of a Pub/Sub, without threads and without a wire."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING

from infra.emulators.pubsub.backlog import Backlog
from infra.emulators.pubsub.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from infra.emulators.pubsub.filters import Filter, parse_filter
from infra.emulators.pubsub.messages import MAX_PUBLISH_MESSAGES, Content, Delivery, Message, check_name, dead_letter
from infra.emulators.pubsub.subscriptions import DELETED_TOPIC, Subscription, check_ack_deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from infra.emulators.pubsub.backlog import Abandon, FlowWindow


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's settings."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Subscribed:
    """A subscription and what it does."""

    settings: Subscription
    wants: Filter
    backlog: Backlog


class Topics:
    """Publishes, delivers and redelivers; `clock` tells the seconds since 1970. Not safe for threads.

    Methods that take names raise InvalidArgumentError for a name that cannot be, NotFoundError for one that is not.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._subscribed: dict[str, _Subscribed] = {}
        self._message_ids = count(1)
        self._receipts = count(1)

    def create_topic(self, topic: Topic) -> None:
        """Raises AlreadyExistsError."""
        check_name(topic.name, "topics")
        if topic.name in self._topics:
            raise AlreadyExistsError(topic.name)
        self._topics[topic.name] = topic

    def topic(self, name: str) -> Topic:
        """The topic of this name."""
        check_name(name, "topics")
        if name not in self._topics:
            raise NotFoundError(name)
        return self._topics[name]

    def topics_of(self, project: str) -> list[Topic]:
        """The topics of `projects/ID`, by name."""
        found = [topic for topic in self._topics.values() if topic.name.startswith(f"{project}/")]
        return sorted(found, key=attrgetter("name"))

    def delete_topic(self, name: str) -> None:
        """Its subscriptions stay, with what they hold, but belong to no topic."""
        del self._topics[self.topic(name).name]
        for subscribed in self._subscribed_to(name):
            subscribed.settings = replace(subscribed.settings, topic=DELETED_TOPIC)

    def publish(self, topic: str, contents: Sequence[Content]) -> list[str]:
        """The ids of the new messages; raises InvalidArgumentError, and then none is taken."""
        self.topic(topic)
        if not 1 <= len(contents) <= MAX_PUBLISH_MESSAGES:
            raise InvalidArgumentError(f"{len(contents)} messages in one request, not 1 to {MAX_PUBLISH_MESSAGES}.")
        for content in contents:
            content.check()
        return [self._publish(topic, content) for content in contents]

    def create_subscription(self, settings: Subscription) -> None:
        """Raises AlreadyExistsError, and InvalidArgumentError for settings outside of the service's limits."""
        check_name(settings.name, "subscriptions")
        settings.check()
        wants = parse_filter(settings.filter)
        if settings.name in self._subscribed:
            raise AlreadyExistsError(settings.name)
        self.topic(settings.topic)
        if settings.dead_letter is not None:
            self.topic(settings.dead_letter.topic)
        backlog = Backlog(settings.retry, self._receipts, self._abandon(settings))
        self._subscribed[settings.name] = _Subscribed(settings, wants, backlog)

    def subscription(self, name: str) -> Subscription:
        """The settings of the subscription of this name."""
        return self._find(name).settings

    def subscriptions_of(self, project: str) -> list[Subscription]:
        """The subscriptions of `projects/ID`, by name."""
        found = [subscribed.settings for subscribed in self._subscribed.values()]
        return sorted((each for each in found if each.name.startswith(f"{project}/")), key=attrgetter("name"))

    def subscriptions_to(self, topic: str) -> list[Subscription]:
        """The subscriptions on a topic, by name."""
        self.topic(topic)
        return sorted((subscribed.settings for subscribed in self._subscribed_to(topic)), key=attrgetter("name"))

    def delete_subscription(self, name: str) -> None:
        """With what it holds."""
        self._find(name)
        del self._subscribed[name]

    def deliver(self, name: str, window: FlowWindow, ack_deadline: int | None = None) -> list[Delivery]:
        """Lease what is ready and fits `window`, for the subscription's own ack deadline unless another is given."""
        subscribed = self._find(name)
        settings = subscribed.settings
        seconds = settings.ack_deadline if ack_deadline is None else ack_deadline
        counted = settings.dead_letter is not None
        return [
            Delivery(f"{name}:{lease.receipt}", lease.message, lease.attempt if counted else 0)
            for lease in subscribed.backlog.lease(window, seconds, self._clock())
        ]

    def acknowledge(self, name: str, ack_ids: Iterable[str]) -> None:
        """Ids that are out of date change nothing; ids that are not of this subscription raise InvalidArgumentError."""
        backlog, now = self._find(name).backlog, self._clock()
        for receipt in [_receipt(name, ack_id) for ack_id in ack_ids]:
            backlog.acknowledge(receipt, now)

    def modify_ack_deadlines(self, name: str, deadlines: Iterable[tuple[str, int]]) -> None:
        """For each (ack id, seconds) extend the lease, or refuse the message with 0; raises as `acknowledge` does."""
        backlog, now = self._find(name).backlog, self._clock()
        changes = [(_receipt(name, ack_id), seconds) for ack_id, seconds in deadlines]
        for _, seconds in changes:
            check_ack_deadline(seconds, 0)
        for receipt, seconds in changes:
            if seconds == 0:
                backlog.refuse(receipt, now)
            else:
                backlog.extend(receipt, seconds, now)

    def pass_time(self) -> None:
        """End what has run out on any subscription, which may fill the subscriptions of a dead-letter topic."""
        now = self._clock()
        for subscribed in list(self._subscribed.values()):
            subscribed.backlog.advance(now)

    def quiet_seconds(self) -> float:
        """How long nothing can change by time alone; infinite when nothing is leased or resting."""
        due = min((subscribed.backlog.next_due() for subscribed in self._subscribed.values()), default=math.inf)
        return max(0.0, due - self._clock())

    def _find(self, name: str) -> _Subscribed:
        check_name(name, "subscriptions")
        if name not in self._subscribed:
            raise NotFoundError(name)
        return self._subscribed[name]

    def _subscribed_to(self, topic: str) -> list[_Subscribed]:
        return [subscribed for subscribed in self._subscribed.values() if subscribed.settings.topic == topic]

    def _publish(self, topic: str, content: Content) -> str:
        message = Message(str(next(self._message_ids)), self._clock(), content)
        for subscribed in self._subscribed_to(topic):
            if subscribed.wants(content.attributes):
                subscribed.backlog.add(message)
        return message.id

    def _abandon(self, subscription: Subscription) -> Abandon:
        policy = subscription.dead_letter
        if policy is None:
            return lambda message, attempts: False

        def forward(message: Message, attempts: int) -> bool:
            if attempts < policy.max_attempts or policy.topic not in self._topics:
                return False
            self._publish(policy.topic, dead_letter(message, subscription.name, attempts))
            return True

        return forward


def _receipt(subscription: str, ack_id: str) -> int:
    """The number in an ack id of `subscription`; raises InvalidArgumentError for anything else."""
    name, _, receipt = ack_id.rpartition(":")
    if name != subscription or not (receipt.isascii() and receipt.isdecimal()):
        raise InvalidArgumentError(f"Invalid ack id (ack_id={ack_id})")
    return int(receipt)
