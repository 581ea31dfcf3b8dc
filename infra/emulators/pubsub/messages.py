"""What is published and delivered, and the rules that a message and a name must keep."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from infra.emulators.pubsub.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PUBLISH_BYTES = 10_000_000  # of one request
MAX_PUBLISH_MESSAGES = 1_000  # of one request
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1_024

_ID = re.compile(r"(?!goog)[A-Za-z][\w.~+%-]{2,254}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """What a publisher says."""

    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    ordering_key: str = ""

    @property
    def size(self) -> int:
        """Bytes, as flow control counts them."""
        return len(self.data) + sum(len(key.encode()) + len(value.encode()) for key, value in self.attributes.items())

    def check(self) -> None:
        """Raise InvalidArgumentError unless the service would take a message of this content."""
        if not self.data and not self.attributes:
            raise InvalidArgumentError("A message must have data or at least one attribute.")
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise InvalidArgumentError(
                f"A message has {len(self.attributes)} attributes; at most {MAX_ATTRIBUTES} fit."
            )
        for key, value in self.attributes.items():
            if not key or key.startswith("goog") or len(key.encode()) > MAX_KEY_BYTES:
                raise InvalidArgumentError(f"The attribute key {key[:MAX_KEY_BYTES]!r} is empty, reserved or too long.")
            if len(value.encode()) > MAX_VALUE_BYTES:
                raise InvalidArgumentError(
                    f"The value of the attribute {key!r} is longer than {MAX_VALUE_BYTES} bytes."
                )


@dataclass(frozen=True, slots=True)
class Message:
    """A content that the service has taken: `id` names it, `publish_time` is in seconds since 1970."""

    id: str
    publish_time: float
    content: Content


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to get `message` across; `attempt` counts from 1, 0 where the subscription does not say."""

    ack_id: str
    message: Message
    attempt: int


def check_name(name: str, kind: Literal["topics", "subscriptions"]) -> None:
    """Raise InvalidArgumentError unless `name` is `projects/PROJECT/{kind}/ID` with an ID that the service allows."""
    match name.split("/"):
        case ["projects", project, collection, resource_id] if project and collection == kind:
            if _ID.fullmatch(resource_id):
                return
    raise InvalidArgumentError(f"Invalid [{kind}] name: (name={name})")


def dead_letter(message: Message, subscription: str, attempts: int) -> Content:
    """What the dead-letter topic gets of a `message` that `subscription` could not get across in `attempts`."""
    published = datetime.fromtimestamp(message.publish_time, UTC).isoformat(timespec="milliseconds")
    _, project, _, subscription_id = subscription.split("/")
    source = {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempts),
        "CloudPubSubDeadLetterSourceSubscription": subscription_id,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": published.replace("+00:00", "Z"),
    }
    return replace(message.content, attributes={**message.content.attributes, **source})
