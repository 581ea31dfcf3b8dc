"""Leases, rests and dead letters to the second, on a clock that the test turns."""

from __future__ import annotations

import math

import pytest

from infra.emulators.pubsub.backlog import FlowWindow
from infra.emulators.pubsub.errors import InvalidArgumentError
from infra.emulators.pubsub.messages import Content, Delivery
from infra.emulators.pubsub.subscriptions import DeadLetterPolicy, RetryPolicy, Subscription
from infra.emulators.pubsub.topics import Topic, Topics

TOPIC, GRAVEYARD = "projects/p/topics/work", "projects/p/topics/graveyard"
SUBSCRIPTION, BURIED = "projects/p/subscriptions/work", "projects/p/subscriptions/buried"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """One topic with one subscription, ack deadline 10 s, and one for the dead letters."""

    def __init__(self, retry: RetryPolicy | None = None, dead_letter: DeadLetterPolicy | None = None) -> None:
        self.clock = Clock()
        self.topics = Topics(self.clock)
        self.topics.create_topic(Topic(TOPIC))
        self.topics.create_topic(Topic(GRAVEYARD))
        self.topics.create_subscription(Subscription(SUBSCRIPTION, TOPIC, retry=retry, dead_letter=dead_letter))
        self.topics.create_subscription(Subscription(BURIED, GRAVEYARD))

    def publish(self, *payloads: bytes) -> None:
        self.topics.publish(TOPIC, [Content(payload) for payload in payloads])

    def deliver(self, subscription: str = SUBSCRIPTION, window: FlowWindow | None = None) -> list[Delivery]:
        return self.topics.deliver(subscription, window or FlowWindow())

    def nack(self, delivery: Delivery) -> None:
        self.topics.modify_ack_deadlines(SUBSCRIPTION, [(delivery.ack_id, 0)])

    def seconds_until_delivery(self) -> float:
        """How far the clock had to be turned until the message came."""
        start = self.clock.now
        while not (deliveries := self.deliver()):
            self.clock.now += self.topics.quiet_seconds()
        self.nack(deliveries[0])
        return self.clock.now - start


def test_lease_lasts_exactly_until_its_deadline() -> None:
    bench = Bench()
    bench.publish(b"x")
    bench.deliver()
    assert bench.topics.quiet_seconds() == 10
    bench.clock.now += 9.999
    assert not bench.deliver()
    bench.clock.now += 0.001
    assert len(bench.deliver()) == 1


def test_extension_counts_from_the_moment_it_is_asked_for() -> None:
    bench = Bench()
    bench.publish(b"x")
    [delivery] = bench.deliver()
    bench.clock.now += 8
    bench.topics.modify_ack_deadlines(SUBSCRIPTION, [(delivery.ack_id, 30)])
    bench.clock.now += 29.9
    assert not bench.deliver()
    bench.clock.now += 0.1
    assert len(bench.deliver()) == 1


def test_late_extension_takes_back_a_message_that_nobody_else_has_got() -> None:
    bench = Bench()
    bench.publish(b"x")
    [late] = bench.deliver()
    bench.clock.now += 11
    bench.topics.modify_ack_deadlines(SUBSCRIPTION, [(late.ack_id, 30)])
    assert not bench.deliver()
    bench.clock.now += 30
    assert len(bench.deliver()) == 1


def test_late_refusal_does_not_count_as_another_failure() -> None:
    bench = Bench(retry=RetryPolicy(minimum=4, maximum=60))
    bench.publish(b"x")
    [late] = bench.deliver()
    bench.clock.now += 12
    bench.nack(late)
    assert bench.topics.quiet_seconds() == 2  # of the 4 s that the rest takes, counted from the end of the lease


def test_rests_double_up_to_the_maximum() -> None:
    bench = Bench(retry=RetryPolicy(minimum=2, maximum=10))
    bench.publish(b"x")
    assert [bench.seconds_until_delivery() for _ in range(6)] == [0, 2, 4, 8, 10, 10]


def test_rest_is_at_most_the_maximum_however_often_a_message_fails() -> None:
    assert RetryPolicy(minimum=10, maximum=600).rest(100_000) == 600


def test_expired_leases_count_as_attempts() -> None:
    bench = Bench(dead_letter=DeadLetterPolicy(GRAVEYARD, max_attempts=5))
    bench.publish(b"poison")
    for attempt in range(1, 6):
        assert [delivery.attempt for delivery in bench.deliver()] == [attempt]
        bench.clock.now += 10
    bench.topics.pass_time()
    [dead] = bench.deliver(BURIED)
    assert dead.message.content.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert dead.message.content.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] == "1970-01-12T13:46:40.000Z"
    assert bench.topics.quiet_seconds() == 10  # of the dead letter's lease; the source has nothing left


def test_message_stays_where_it_is_while_its_dead_letter_topic_is_gone() -> None:
    bench = Bench(dead_letter=DeadLetterPolicy(GRAVEYARD, max_attempts=5))
    bench.topics.delete_topic(GRAVEYARD)
    bench.publish(b"poison")
    attempts = []
    for _ in range(7):
        [delivery] = bench.deliver()
        attempts.append(delivery.attempt)
        bench.nack(delivery)
    assert attempts == [1, 2, 3, 4, 5, 6, 7]


def test_window_opens_as_messages_are_acknowledged_refused_or_expire() -> None:
    bench = Bench(retry=RetryPolicy(minimum=100, maximum=100))
    bench.publish(*[b"12345678"] * 6)
    window = FlowWindow(max_bytes=20)
    first, second, _ = bench.deliver(window=window)
    assert not bench.deliver(window=window)
    bench.topics.acknowledge(SUBSCRIPTION, [first.ack_id])
    assert len(bench.deliver(window=window)) == 1
    bench.nack(second)
    assert len(bench.deliver(window=window)) == 1
    assert not bench.deliver(window=window)
    bench.clock.now += 10
    assert len(bench.deliver(window=window)) == 1


def test_nothing_waits_for_time_once_all_is_acknowledged() -> None:
    bench = Bench()
    bench.publish(b"1", b"2")
    ack_ids = [delivery.ack_id for delivery in bench.deliver()]
    bench.topics.modify_ack_deadlines(SUBSCRIPTION, [(ack_id, 600) for ack_id in ack_ids])
    bench.topics.acknowledge(SUBSCRIPTION, ack_ids)
    assert bench.topics.quiet_seconds() == math.inf


def test_one_wrong_ack_id_leaves_all_as_it_was() -> None:
    bench = Bench()
    bench.publish(b"x")
    [delivery] = bench.deliver()
    for wrong in ("", "17", f"{SUBSCRIPTION}:", f"{SUBSCRIPTION}:x", f"{BURIED}:1"):
        with pytest.raises(InvalidArgumentError):
            bench.topics.acknowledge(SUBSCRIPTION, [delivery.ack_id, wrong])
    bench.nack(delivery)
    assert len(bench.deliver()) == 1
