"""Topics and subscriptions come, go, and are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.pubsub_v1.types import PubsubMessage

from tests.support.pubsub_clients import new_subscription_name, new_topic_name, payloads

if TYPE_CHECKING:
    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


def test_subscription_outlives_its_topic_with_what_it_holds(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"last words")
    pubsub.publisher.delete_topic(topic=topic)
    pubsub.publisher.create_topic(name=topic)
    pubsub.publish(topic, b"of another topic by that name")
    assert payloads(pubsub.pull(subscription)) == [b"last words"]
    assert pubsub.is_empty(subscription)


def test_names_that_are_taken_are_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    with pytest.raises(exceptions.AlreadyExists):
        pubsub.publisher.create_topic(name=topic)
    with pytest.raises(exceptions.AlreadyExists):
        pubsub.subscriber.create_subscription(name=subscription, topic=topic)


def test_missing_topics_are_reported(pubsub: PubSub) -> None:
    missing = new_topic_name()
    with pytest.raises(exceptions.NotFound):
        pubsub.publish_at_once(missing, [PubsubMessage(data=b"x")])
    with pytest.raises(exceptions.NotFound):
        pubsub.publisher.delete_topic(topic=missing)
    with pytest.raises(exceptions.NotFound):
        pubsub.subscription(missing)
    with pytest.raises(exceptions.NotFound):
        pubsub.subscription(pubsub.topic(), dead_letter_policy={"dead_letter_topic": missing})


def test_missing_subscriptions_are_reported(pubsub: PubSub) -> None:
    subscriber, missing = pubsub.subscriber, new_subscription_name()
    with pytest.raises(exceptions.NotFound):
        subscriber.pull(subscription=missing, max_messages=1)
    with pytest.raises(exceptions.NotFound):
        subscriber.acknowledge(subscription=missing, ack_ids=["x"])
    with pytest.raises(exceptions.NotFound):
        subscriber.modify_ack_deadline(subscription=missing, ack_ids=["x"], ack_deadline_seconds=10)
    with pytest.raises(exceptions.NotFound):
        subscriber.delete_subscription(subscription=missing)


def test_messages_that_say_nothing_are_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    for messages in ([], [PubsubMessage()], [PubsubMessage(data=b"x"), PubsubMessage()]):
        with pytest.raises(exceptions.InvalidArgument):
            pubsub.publish_at_once(topic, messages)
    assert pubsub.is_empty(subscription)


def test_batch_of_more_than_a_thousand_messages_is_refused(pubsub: PubSub) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.publish_at_once(pubsub.topic(), [PubsubMessage(data=b"x")] * 1_001)


@pytest.mark.parametrize("attempts", [4, 101])
def test_dead_letter_policies_out_of_bounds_are_refused(pubsub: PubSub, attempts: int) -> None:
    policy = {"dead_letter_topic": pubsub.topic(), "max_delivery_attempts": attempts}
    with pytest.raises(exceptions.BadRequest):  # OUT_OF_RANGE from the emulator, INVALID_ARGUMENT from ours
        pubsub.subscription(pubsub.topic(), dead_letter_policy=policy)


def test_requests_that_make_no_sense_are_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription, other = pubsub.subscription(topic), pubsub.subscription(topic)
    pubsub.publish(topic, b"x")
    elsewhere = pubsub.pull(other)[0].ack_id
    subscriber = pubsub.subscriber
    with pytest.raises(exceptions.InvalidArgument):
        subscriber.pull(subscription=subscription, max_messages=0)
    for ack_ids in ([], ["bogus"], [elsewhere]):
        with pytest.raises(exceptions.InvalidArgument):
            subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)
    with pytest.raises(exceptions.InvalidArgument):
        subscriber.modify_ack_deadline(subscription=other, ack_ids=[elsewhere], ack_deadline_seconds=-1)


def test_ack_deadline_out_of_bounds_is_refused(pubsub: PubSub) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.subscription(pubsub.topic(), ack_deadline_seconds=601)


def test_deleted_subscription_is_gone_and_its_topic_takes_messages(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    kept, deleted = pubsub.subscription(topic), pubsub.subscription(topic)
    pubsub.subscriber.delete_subscription(subscription=deleted)
    pubsub.publish(topic, b"x")
    assert payloads(pubsub.pull(kept)) == [b"x"]
    with pytest.raises(exceptions.NotFound):
        pubsub.subscriber.pull(subscription=deleted, max_messages=1)
