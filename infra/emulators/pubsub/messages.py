"""What is published and delivered, and the limits that Pub/Sub puts on a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.api_core.exceptions import InvalidArgument

MAX_PUBLISH_BYTES = 10_000_000  # of one request
MAX_PUBLISH_MESSAGES = 1_000  # of one request
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Content:
    """What a publisher sends."""

    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of data and attributes."""
        return len(self.data) + sum(len(key.encode()) + len(value.encode()) for key, value in self.attributes.items())

    def check(self) -> None:
        """Raise InvalidArgument unless Pub/Sub would accept this message."""
        if not self.data and not self.attributes:
            raise InvalidArgument("A message must have data or at least one attribute.")
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise InvalidArgument(f"A message has {len(self.attributes)} attributes; at most {MAX_ATTRIBUTES} fit.")
        for key, value in self.attributes.items():
            if not key or key.startswith("goog") or len(key.encode()) > MAX_KEY_BYTES:
                raise InvalidArgument(f"The attribute key {key[:MAX_KEY_BYTES]!r} is empty, reserved or too long.")
            if len(value.encode()) > MAX_VALUE_BYTES:
                raise InvalidArgument(f"The value of the attribute {key!r} is longer than {MAX_VALUE_BYTES} bytes.")


@dataclass(frozen=True, slots=True)
class Message:
    """Published content with its id; `publish_time` is in seconds since 1970."""

    id: str
    publish_time: float
    content: Content


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery attempt; `attempt` counts from 1, and is 0 for a subscription without a dead letter topic."""

    ack_id: str
    message: Message
    attempt: int


def dead_letter(message: Message, subscription: str, attempts: int) -> Content:
    """What the dead letter topic gets of a `message` that `subscription` failed to deliver in `attempts`."""
    published = datetime.fromtimestamp(message.publish_time, UTC).isoformat(timespec="milliseconds")
    _, project, _, subscription_id = subscription.split("/")
    source = {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempts),
        "CloudPubSubDeadLetterSourceSubscription": subscription_id,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": published.replace("+00:00", "Z"),
    }
    return Content(message.content.data, {**message.content.attributes, **source})
