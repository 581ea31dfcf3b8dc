"""Streams: Google's high-level subscriber, and the rules of the stream underneath it."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions

from tests.support.pubsub_clients import PATIENCE, new_subscription_name
from tests.support.pubsub_stream import PullStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.cloud.pubsub_v1.subscriber.futures import StreamingPullFuture
    from google.cloud.pubsub_v1.subscriber.message import Message

    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


@contextmanager
def subscribed(
    pubsub: PubSub, subscription: str, callback: Callable[[Message], object]
) -> Iterator[StreamingPullFuture]:
    future = pubsub.subscriber.subscribe(subscription, callback=callback)
    try:
        yield future
    finally:
        future.cancel()
        future.result(PATIENCE)


def test_subscriber_gets_every_message_and_acknowledges_it(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    expected = {str(number).encode() for number in range(300)}
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def callback(message: Message) -> None:
        got.put(message.data)
        message.ack()

    pubsub.publish(topic, *sorted(expected)[:150])
    with subscribed(pubsub, subscription, callback):
        pubsub.publish(topic, *sorted(expected)[150:])
        seen = {got.get(timeout=PATIENCE) for _ in range(300)}
    assert seen == expected
    assert got.empty()
    assert pubsub.is_empty(subscription)


def test_message_refused_by_the_callback_comes_back_to_it(pubsub: PubSub) -> None:
    topic, graveyard = pubsub.topic(), pubsub.topic()
    policy = {"dead_letter_topic": graveyard, "max_delivery_attempts": 5}
    subscription = pubsub.subscription(topic, dead_letter_policy=policy)
    attempts: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def callback(message: Message) -> None:
        attempts.put(message.delivery_attempt)
        if message.delivery_attempt == 3:
            message.ack()
        else:
            message.nack()

    pubsub.publish(topic, b"stubborn")
    with subscribed(pubsub, subscription, callback):
        assert [attempts.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


def test_stream_extends_and_shortens_ack_deadlines(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"slow", b"given back")
    with PullStream(pubsub, subscription) as stream:
        ack_ids = {received.message.data: received.ack_id for received in (stream.get(), stream.get())}
        stream.send(modify_deadline_ack_ids=[ack_ids[b"slow"], ack_ids[b"given back"]], modify_deadline_seconds=[60, 0])
        assert stream.get().message.data == b"given back"
        assert not stream.has_more(0.3)


def test_stream_ends_well_when_the_client_ends_it(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"acknowledged at the very end")
    with PullStream(pubsub, subscription) as stream:
        stream.send(ack_ids=[stream.get().ack_id])
        stream.end()
        stream.wait()
    assert pubsub.is_empty(subscription)


def test_stream_without_its_subscription_is_refused(pubsub: PubSub) -> None:
    with PullStream(pubsub, new_subscription_name()) as stream, pytest.raises(exceptions.NotFound):
        stream.wait()
    with PullStream(pubsub, "") as stream, pytest.raises(exceptions.InvalidArgument):
        stream.wait()


def test_stream_that_breaks_the_rules_is_ended(pubsub: PubSub) -> None:
    subscription = pubsub.subscription(pubsub.topic())
    with PullStream(pubsub, subscription, seconds=9) as stream, pytest.raises(exceptions.InvalidArgument):
        stream.wait()
    for wrong in ({"subscription": subscription}, {"modify_deadline_ack_ids": ["x"]}, {"ack_ids": ["bogus"]}):
        with PullStream(pubsub, subscription) as stream:
            stream.send(**wrong)
            with pytest.raises(exceptions.InvalidArgument):
                stream.wait()


def test_deleting_a_subscription_ends_its_streams(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    subscription = pubsub.subscription(topic)
    pubsub.publish(topic, b"the stream is open")
    with PullStream(pubsub, subscription) as stream:
        stream.get()
        pubsub.subscriber.delete_subscription(subscription=subscription)
        with pytest.raises(exceptions.NotFound):
            stream.wait()
