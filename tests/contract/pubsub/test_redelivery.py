"""Leases and dead letters to the second, on a clock that the test turns."""

from __future__ import annotations

import math

import pytest
from google.api_core.exceptions import InvalidArgument

from infra.emulators.pubsub.backlog import RetryPolicy
from infra.emulators.pubsub.messages import Content, Delivery
from infra.emulators.pubsub.topics import DeadLetterPolicy, Subscription, Topics

TOPIC, GRAVEYARD = "projects/p/topics/work", "projects/p/topics/graveyard"
SUBSCRIPTION, BURIED = "projects/p/subscriptions/work", "projects/p/subscriptions/buried"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """One topic with one subscription, ack deadline 10 s, and one for the dead letters."""

    def __init__(self, dead_letter: DeadLetterPolicy | None = None, retry: RetryPolicy | None = None) -> None:
        self.clock = Clock()
        self.topics = Topics(self.clock)
        self.topics.create_topic(TOPIC)
        self.topics.create_topic(GRAVEYARD)
        self.topics.create_subscription(Subscription(SUBSCRIPTION, TOPIC, dead_letter=dead_letter, retry=retry))
        self.topics.create_subscription(Subscription(BURIED, GRAVEYARD))

    def publish(self, *payloads: bytes) -> None:
        self.topics.publish(TOPIC, [Content(payload) for payload in payloads])

    def deliver(self, subscription: str = SUBSCRIPTION) -> list[Delivery]:
        return self.topics.deliver(subscription, 10)

    def nack(self, delivery: Delivery) -> None:
        self.topics.modify_ack_deadline(SUBSCRIPTION, [delivery.ack_id], 0)


def test_lease_lasts_exactly_until_its_deadline() -> None:
    bench = Bench()
    bench.publish(b"x")
    bench.deliver()
    assert bench.topics.seconds_until_expiry() == 10
    bench.clock.now += 9.999
    assert not bench.deliver()
    bench.clock.now += 0.001
    assert len(bench.deliver()) == 1


def test_extension_counts_from_the_moment_it_is_asked_for() -> None:
    bench = Bench()
    bench.publish(b"x")
    [delivery] = bench.deliver()
    bench.clock.now += 8
    bench.topics.modify_ack_deadline(SUBSCRIPTION, [delivery.ack_id], 30)
    bench.clock.now += 29.9
    assert not bench.deliver()
    bench.clock.now += 0.1
    assert len(bench.deliver()) == 1


def test_late_extension_takes_back_a_message_that_nobody_else_has_got() -> None:
    bench = Bench()
    bench.publish(b"x")
    [late] = bench.deliver()
    bench.clock.now += 11
    bench.topics.modify_ack_deadline(SUBSCRIPTION, [late.ack_id], 30)
    assert not bench.deliver()
    bench.clock.now += 30
    assert len(bench.deliver()) == 1


def test_expired_leases_count_as_attempts() -> None:
    bench = Bench(dead_letter=DeadLetterPolicy(GRAVEYARD, max_attempts=5))
    bench.publish(b"poison")
    for attempt in range(1, 6):
        assert [delivery.attempt for delivery in bench.deliver()] == [attempt]
        bench.clock.now += 10
    bench.topics.expire_leases()
    [dead] = bench.deliver(BURIED)
    assert dead.message.content.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert dead.message.content.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] == "1970-01-12T13:46:40.000Z"
    assert bench.topics.seconds_until_expiry() == 10  # of the dead letter's lease; the source has nothing left


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


def test_nothing_waits_for_time_once_all_is_acknowledged() -> None:
    bench = Bench()
    bench.publish(b"1", b"2")
    ack_ids = [delivery.ack_id for delivery in bench.deliver()]
    bench.topics.modify_ack_deadline(SUBSCRIPTION, ack_ids, 600)
    bench.topics.acknowledge(SUBSCRIPTION, ack_ids)
    assert bench.topics.seconds_until_expiry() == math.inf


def test_one_wrong_ack_id_leaves_all_as_it_was() -> None:
    bench = Bench()
    bench.publish(b"x")
    [delivery] = bench.deliver()
    for wrong in ("", "17", f"{SUBSCRIPTION}:", f"{SUBSCRIPTION}:x", f"{BURIED}:1"):
        with pytest.raises(InvalidArgument):
            bench.topics.acknowledge(SUBSCRIPTION, [delivery.ack_id, wrong])
    bench.nack(delivery)
    assert len(bench.deliver()) == 1


def test_giving_back_late_does_not_count_as_another_failure() -> None:
    bench = Bench(dead_letter=DeadLetterPolicy(GRAVEYARD))
    bench.publish(b"x")
    [late] = bench.deliver()
    bench.clock.now += 12
    bench.nack(late)
    assert [delivery.attempt for delivery in bench.deliver()] == [2]
    assert not bench.deliver()


def test_a_message_is_held_back_twice_as_long_after_each_failure() -> None:
    bench = Bench(retry=RetryPolicy(10, 35))
    bench.publish(b"x")
    for backoff in (10, 20, 35, 35):
        [delivery] = bench.deliver()
        bench.nack(delivery)
        assert bench.topics.seconds_until_expiry() == backoff
        bench.clock.now += backoff - 0.001
        assert not bench.deliver()
        bench.clock.now += 0.001


def test_an_expired_lease_is_held_back_from_its_end_on() -> None:
    bench = Bench(retry=RetryPolicy())
    bench.publish(b"x")
    bench.deliver()
    bench.clock.now += 15
    assert not bench.deliver()
    assert bench.topics.seconds_until_expiry() == 5
    bench.clock.now += 5
    assert [delivery.attempt for delivery in bench.deliver()] == [0]


def test_what_is_held_back_can_be_acknowledged_and_taken_back_late() -> None:
    bench = Bench(retry=RetryPolicy())
    bench.publish(b"1", b"2")
    done, kept = bench.deliver()
    bench.clock.now += 11
    bench.topics.acknowledge(SUBSCRIPTION, [done.ack_id])
    bench.topics.modify_ack_deadline(SUBSCRIPTION, [kept.ack_id], 30)
    bench.clock.now += 29
    assert not bench.deliver()
    bench.topics.acknowledge(SUBSCRIPTION, [kept.ack_id])
    assert bench.topics.seconds_until_expiry() == math.inf


@pytest.mark.parametrize("retry", [RetryPolicy(20, 10), RetryPolicy(10, 601), RetryPolicy(-1, 10)])
def test_backoffs_beyond_the_limits_are_refused(retry: RetryPolicy) -> None:
    with pytest.raises(InvalidArgument, match="Backoffs"):
        Bench(retry=retry)
