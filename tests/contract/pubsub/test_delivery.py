"""What a subscriber gets, when, and how often."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from google.pubsub_v1.types import PubsubMessage

from tests.support.pubsub_clients import PROJECT, payloads

if TYPE_CHECKING:
    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


def test_message_arrives_as_it_was_published(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    before = datetime.now(UTC) - timedelta(seconds=1)
    [message_id] = pubsub.publish(topic, b"\x00payload", job="j-1", language="Português")

    [received] = pubsub.pull(subscription)

    assert received.message.data == b"\x00payload"
    assert dict(received.message.attributes) == {"job": "j-1", "language": "Português"}
    assert received.message.message_id == message_id
    assert before < received.message.publish_time < datetime.now(UTC) + timedelta(seconds=1)
    assert received.delivery_attempt == 0


def test_attributes_alone_make_a_message(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"", kind="wake-up")
    assert dict(pubsub.pull(subscription)[0].message.attributes) == {"kind": "wake-up"}


def test_every_subscription_gets_every_message_from_its_creation_on(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    first = pubsub.subscription(topic)
    pubsub.publish(topic, b"early")
    second = pubsub.subscription(topic)
    pubsub.publish(topic, b"late")
    assert sorted(payloads(pubsub.pull(first, 2))) == [b"early", b"late"]
    assert payloads(pubsub.pull(second)) == [b"late"]
    assert pubsub.is_empty(second)


def test_batch_of_a_thousand_messages_arrives_once(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    messages = [PubsubMessage(data=str(number).encode()) for number in range(1_000)]

    ids = pubsub.publish_at_once(topic, messages)

    received = pubsub.pull(subscription, 1_000)
    assert len(set(ids)) == 1_000
    assert {each.message.message_id: each.message.data for each in received} == {
        id_: message.data for id_, message in zip(ids, messages, strict=True)
    }
    assert pubsub.is_empty(subscription)


def test_acknowledged_messages_stay_away(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"done", b"again")
    received = pubsub.pull(subscription, 2)
    done = [each for each in received if each.message.data == b"done"]
    pubsub.acknowledge(subscription, done)
    pubsub.acknowledge(subscription, done)  # twice is once
    pubsub.hold(subscription, received, 1)
    assert payloads(pubsub.pull(subscription)) == [b"again"]
    assert pubsub.is_empty(subscription)


def test_message_comes_back_when_its_ack_deadline_is_over(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic, ack_deadline_seconds=10)
    pubsub.publish(topic, b"lost")
    received = pubsub.pull(subscription)
    started = time.monotonic()
    pubsub.hold(subscription, received, 2)
    assert pubsub.is_empty(subscription)
    [again] = pubsub.pull(subscription)
    assert time.monotonic() - started > 1.9
    assert again.message.message_id == received[0].message.message_id
    assert again.ack_id != received[0].ack_id


def test_longer_ack_deadline_keeps_a_message_away(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"short", b"long")
    received = pubsub.pull(subscription, 2)
    pubsub.hold(subscription, received, 1)
    pubsub.hold(subscription, [each for each in received if each.message.data == b"long"], 60)
    assert payloads(pubsub.pull(subscription)) == [b"short"]
    assert pubsub.is_empty(subscription)


def test_late_acknowledgement_counts_until_the_message_is_delivered_again(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"late")
    late = pubsub.pull(subscription)
    pubsub.hold(subscription, late, 1)
    time.sleep(1.5)
    pubsub.acknowledge(subscription, late)
    assert pubsub.is_empty(subscription)


def test_acknowledgement_of_an_earlier_delivery_changes_nothing(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"twice")
    first = pubsub.pull(subscription)
    pubsub.hold(subscription, first, 1)
    second = pubsub.pull(subscription)
    pubsub.acknowledge(subscription, first)
    pubsub.nack(subscription, second)
    assert payloads(pubsub.pull(subscription)) == [b"twice"]


def test_nacked_message_comes_back_and_its_ack_id_is_void(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic, ack_deadline_seconds=600)
    pubsub.publish(topic, b"refused")
    received = pubsub.pull(subscription)
    pubsub.nack(subscription, received)
    pubsub.acknowledge(subscription, received)
    assert payloads(pubsub.pull(subscription)) == [b"refused"]


def test_fifth_failure_moves_a_message_to_the_dead_letter_topic(pubsub: PubSub) -> None:
    topic, graveyard = pubsub.topic(), pubsub.topic()
    policy = {"dead_letter_topic": graveyard, "max_delivery_attempts": 5}
    subscription = pubsub.subscription(topic, dead_letter_policy=policy)
    buried = pubsub.subscription(graveyard)
    pubsub.publish(topic, b"poison", job="j-1")

    attempts = []
    for _ in range(5):
        received = pubsub.pull(subscription)
        attempts.append(received[0].delivery_attempt)
        pubsub.nack(subscription, received)

    assert attempts == [1, 2, 3, 4, 5]
    assert pubsub.is_empty(subscription)  # the emulator moves the message when it is asked for it, and not before
    [dead] = pubsub.pull(buried)
    assert dead.message.data == b"poison"
    attributes = dict(dead.message.attributes)
    published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert datetime.fromisoformat(published) <= received[0].message.publish_time
    assert attributes == {
        "job": "j-1",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": subscription.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT.rpartition("/")[2],
    }
