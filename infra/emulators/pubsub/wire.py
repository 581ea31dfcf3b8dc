"""Between Pub/Sub's protocol buffers and the values of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.pubsub_v1 import types

from infra.emulators.pubsub.errors import UnsupportedError
from infra.emulators.pubsub.messages import Content, Delivery
from infra.emulators.pubsub.subscriptions import (
    DEFAULT_ACK_DEADLINE,
    DEFAULT_MAX_ATTEMPTS,
    DeadLetterPolicy,
    RetryPolicy,
    Subscription,
)
from infra.emulators.pubsub.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Sequence

Proto = Any
"""A protocol buffer message; protobuf makes their classes at run time."""

Fields = dict[str, object]
"""What a protocol buffer message is made of."""

ProtoClass = Any
"""One of Google's wrapper classes, as `google.pubsub_v1.types.Topic` is."""

# Underneath each of Google's wrapper classes lies the protobuf class, several times faster to make and to read.
TOPIC = types.Topic.pb()
SUBSCRIPTION = types.Subscription.pb()
RECEIVED_MESSAGE = types.ReceivedMessage.pb()

TOPIC_FIELDS = frozenset({"name", "labels"})
SUBSCRIPTION_FIELDS = frozenset(
    {"name", "topic", "ack_deadline_seconds", "retry_policy", "dead_letter_policy", "filter", "labels"}
)


def read_topic(proto: Proto) -> Topic:
    """The topic that is asked for; raises UnsupportedError."""
    _refuse_other_fields(proto, TOPIC_FIELDS)
    return Topic(proto.name, dict(proto.labels))


def write_topic(topic: Topic) -> Proto:
    """The Topic resource."""
    return TOPIC(name=topic.name, labels=topic.labels)


def read_subscription(proto: Proto) -> Subscription:
    """The subscription that is asked for, with the service's defaults; raises UnsupportedError."""
    if proto.HasField("push_config") and not proto.push_config.ListFields():
        proto.ClearField("push_config")  # an empty one is how a client says that it will pull
    _refuse_other_fields(proto, SUBSCRIPTION_FIELDS)
    return Subscription(
        name=proto.name,
        topic=proto.topic,
        ack_deadline=proto.ack_deadline_seconds or DEFAULT_ACK_DEADLINE,
        retry=_read_retry(proto.retry_policy) if proto.HasField("retry_policy") else None,
        dead_letter=_read_dead_letter(proto.dead_letter_policy) if proto.HasField("dead_letter_policy") else None,
        filter=proto.filter,
        labels=dict(proto.labels),
    )


def write_subscription(subscription: Subscription) -> Proto:
    """The Subscription resource."""
    retry, dead_letter = subscription.retry, subscription.dead_letter
    return SUBSCRIPTION(
        name=subscription.name,
        topic=subscription.topic,
        ack_deadline_seconds=subscription.ack_deadline,
        retry_policy=_write_retry(retry) if retry is not None else None,
        dead_letter_policy=_write_dead_letter(dead_letter) if dead_letter is not None else None,
        filter=subscription.filter,
        labels=subscription.labels,
    )


def read_content(proto: Proto) -> Content:
    """What a PubsubMessage says."""
    return Content(proto.data, dict(proto.attributes), proto.ordering_key)


def write_deliveries(deliveries: Sequence[Delivery]) -> list[Proto]:
    """The ReceivedMessages of a response."""
    return [_received_message(delivery) for delivery in deliveries]


def _received_message(delivery: Delivery) -> Proto:
    message = delivery.message
    return RECEIVED_MESSAGE(
        ack_id=delivery.ack_id,
        delivery_attempt=delivery.attempt,
        message={
            "data": message.content.data,
            "attributes": message.content.attributes,
            "ordering_key": message.content.ordering_key,
            "message_id": message.id,
            "publish_time": _write_seconds(message.publish_time),
        },
    )


def _read_retry(proto: Proto) -> RetryPolicy:
    default = RetryPolicy()
    return RetryPolicy(
        _read_seconds(proto.minimum_backoff) if proto.HasField("minimum_backoff") else default.minimum,
        _read_seconds(proto.maximum_backoff) if proto.HasField("maximum_backoff") else default.maximum,
    )


def _write_retry(policy: RetryPolicy) -> Fields:
    return {
        "minimum_backoff": _write_seconds(policy.minimum),
        "maximum_backoff": _write_seconds(policy.maximum),
    }


def _read_dead_letter(proto: Proto) -> DeadLetterPolicy:
    return DeadLetterPolicy(proto.dead_letter_topic, proto.max_delivery_attempts or DEFAULT_MAX_ATTEMPTS)


def _write_dead_letter(policy: DeadLetterPolicy) -> Fields:
    return {"dead_letter_topic": policy.topic, "max_delivery_attempts": policy.max_attempts}


def _refuse_other_fields(proto: Proto, fields: frozenset[str]) -> None:
    for descriptor, _ in proto.ListFields():
        if descriptor.name not in fields:
            raise UnsupportedError(f"The laptop's Pub/Sub does not have {descriptor.name}.")


def _read_seconds(proto: Proto) -> float:
    return float(proto.seconds + proto.nanos / 1e9)


def _write_seconds(seconds: float) -> Fields:
    """The fields of a Duration or a Timestamp."""
    whole, fraction = divmod(seconds, 1)
    return {"seconds": int(whole), "nanos": int(fraction * 1e9)}
