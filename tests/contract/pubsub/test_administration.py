"""Topics and subscriptions come, go, are listed, and are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.types import PubsubMessage

from tests.support.pubsub_clients import PROJECT, new_subscription_name, new_topic_name, payloads

if TYPE_CHECKING:
    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


def test_topics_are_listed_until_they_are_deleted(pubsub: PubSub) -> None:
    kept, deleted = pubsub.topic(), pubsub.topic()
    assert pubsub.publisher.get_topic(topic=kept).name == kept
    pubsub.publisher.delete_topic(topic=deleted)
    listed = [topic.name for topic in pubsub.publisher.list_topics(project=PROJECT)]
    assert kept in listed
    assert deleted not in listed
    with pytest.raises(exceptions.NotFound):
        pubsub.publisher.get_topic(topic=deleted)


def test_subscriptions_are_listed_until_they_are_deleted(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    kept, deleted = pubsub.subscription(topic), pubsub.subscription(topic)
    elsewhere = pubsub.subscription(pubsub.topic())
    pubsub.subscriber.delete_subscription(subscription=deleted)
    assert list(pubsub.publisher.list_topic_subscriptions(topic=topic)) == [kept]
    listed = {subscription.name for subscription in pubsub.subscriber.list_subscriptions(project=PROJECT)}
    assert {kept, elsewhere} <= listed
    assert deleted not in listed
    with pytest.raises(exceptions.NotFound):
        pubsub.subscriber.get_subscription(subscription=deleted)


def test_long_lists_come_in_pages(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    names = {pubsub.subscription(topic) for _ in range(5)}
    pages = list(pubsub.publisher.list_topic_subscriptions(request={"topic": topic, "page_size": 2}).pages)
    assert [len(page.subscriptions) for page in pages] == [2, 2, 1]
    assert {name for page in pages for name in page.subscriptions} == names


def test_subscription_is_as_it_was_asked_for(pubsub: PubSub) -> None:
    topic, graveyard = pubsub.topic(), pubsub.topic()
    name = pubsub.subscription(
        topic,
        ack_deadline_seconds=42,
        retry_policy={"minimum_backoff": Duration(seconds=1, nanos=500_000_000)},
        dead_letter_policy={"dead_letter_topic": graveyard},
    )
    subscription = pubsub.subscriber.get_subscription(subscription=name)
    assert (subscription.topic, subscription.ack_deadline_seconds) == (topic, 42)
    assert subscription.retry_policy.minimum_backoff.total_seconds() == 1.5
    assert subscription.retry_policy.maximum_backoff.total_seconds() == 600
    assert subscription.dead_letter_policy.dead_letter_topic == graveyard
    assert subscription.dead_letter_policy.max_delivery_attempts == 5


def test_ack_deadline_is_ten_seconds_unless_asked_for(pubsub: PubSub) -> None:
    name = pubsub.subscription(pubsub.topic())
    assert pubsub.subscriber.get_subscription(subscription=name).ack_deadline_seconds == 10


def test_subscription_outlives_its_topic_with_what_it_holds(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"last words")
    pubsub.publisher.delete_topic(topic=topic)
    pubsub.publisher.create_topic(name=topic)
    pubsub.publish(topic, b"of another topic by that name")
    assert pubsub.subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"
    assert payloads(pubsub.pull(subscription)) == [b"last words"]
    assert pubsub.is_empty(subscription)


def test_names_that_are_taken_are_refused(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    with pytest.raises(exceptions.AlreadyExists):
        pubsub.publisher.create_topic(name=topic)
    with pytest.raises(exceptions.AlreadyExists):
        pubsub.subscriber.create_subscription(name=subscription, topic=topic)


@pytest.mark.parametrize("resource_id", ["1st", "ab", "goog-x", "with space", "x" * 256])
def test_names_that_cannot_be_are_refused(pubsub: PubSub, resource_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.publisher.create_topic(name=f"{PROJECT}/topics/{resource_id}")
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.subscriber.create_subscription(
            name=f"{PROJECT}/subscriptions/{resource_id}", topic=pubsub.topic(), retry=None
        )


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
    for messages in ([], [PubsubMessage()], [PubsubMessage(data=b"x"), PubsubMessage(ordering_key="x")]):
        with pytest.raises(exceptions.InvalidArgument):
            pubsub.publish_at_once(topic, messages)
    assert pubsub.is_empty(subscription)


def test_batch_of_more_than_a_thousand_messages_is_refused(pubsub: PubSub) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.publish_at_once(pubsub.topic(), [PubsubMessage(data=b"x")] * 1_001)


@pytest.mark.parametrize(
    "settings",
    [
        {"ack_deadline_seconds": 601},
        {"retry_policy": {"minimum_backoff": Duration(seconds=601)}},
        {"retry_policy": {"minimum_backoff": Duration(seconds=10), "maximum_backoff": Duration(seconds=5)}},
    ],
)
def test_settings_out_of_bounds_are_refused(pubsub: PubSub, settings: dict[str, object]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        pubsub.subscription(pubsub.topic(), **settings)


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
