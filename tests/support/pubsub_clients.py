"""Google's own Pub/Sub clients, and shorthands for what the tests do with them."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient as RawPublisherClient

from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

PROJECT = "projects/dropscribe-test"


@dataclass(frozen=True)
class PubSub:
    """A publisher and a subscriber on one server."""

    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient

    def topic(self) -> str:
        """A new one."""
        return self.publisher.create_topic(name=new_topic_name()).name

    def subscription(self, topic: str, **settings: object) -> str:
        """A new one."""
        request = {"name": new_subscription_name(), "topic": topic, **settings}
        return self.subscriber.create_subscription(request=request).name

    def publish(self, topic: str, *payloads: bytes, **attributes: str) -> list[str]:
        """The ids of the messages, once they are taken."""
        futures = [self.publisher.publish(topic, payload, **attributes) for payload in payloads]
        return [future.result(PATIENCE) for future in futures]

    def publish_at_once(self, topic: str, messages: Sequence[PubsubMessage]) -> list[str]:
        """As one request, which the publisher's own batching leaves to chance."""
        raw = RawPublisherClient(transport=self.publisher.transport)
        return list(raw.publish(topic=topic, messages=messages, retry=None, timeout=PATIENCE).message_ids)

    def pull(self, subscription: str, count: int = 1) -> list[ReceivedMessage]:
        """Exactly `count` messages, waited for."""
        received: list[ReceivedMessage] = []
        until = time.monotonic() + PATIENCE
        while len(received) < count and time.monotonic() < until:
            missing = count - len(received)
            response = self.subscriber.pull(subscription=subscription, max_messages=missing, timeout=PATIENCE)
            received += response.received_messages
        assert len(received) == count
        return received

    def is_empty(self, subscription: str) -> bool:
        """Whether nothing can be pulled at this moment."""
        request = {"subscription": subscription, "max_messages": 1, "return_immediately": True}
        return not self.subscriber.pull(request=request).received_messages

    def hold(self, subscription: str, received: Sequence[ReceivedMessage], seconds: int) -> None:
        """Let the ack deadline be so far from now."""
        self.subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[each.ack_id for each in received], ack_deadline_seconds=seconds
        )

    def nack(self, subscription: str, received: Sequence[ReceivedMessage]) -> None:
        """Give the messages back."""
        self.hold(subscription, received, 0)

    def acknowledge(self, subscription: str, received: Sequence[ReceivedMessage]) -> None:
        """Be done with the messages."""
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in received])


@contextmanager
def connected(address: str) -> Iterator[PubSub]:
    """Clients of the server at `HOST:PORT`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", address)  # read by the constructors only
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    with publisher, subscriber:
        yield PubSub(publisher, subscriber)


def new_topic_name() -> str:
    return f"{PROJECT}/topics/t-{uuid.uuid4()}"


def new_subscription_name() -> str:
    return f"{PROJECT}/subscriptions/s-{uuid.uuid4()}"


def payloads(received: Sequence[ReceivedMessage]) -> list[bytes]:
    return [each.message.data for each in received]
