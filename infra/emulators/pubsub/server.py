"""Pub/Sub over gRPC on loopback, for Google's own clients with PUBSUB_EMULATOR_HOST set.

Every method and every setting that is not here answers UNIMPLEMENTED.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, MethodNotImplemented, ServiceUnavailable
from google.pubsub_v1 import types

from infra.emulators.pubsub.backlog import RetryPolicy
from infra.emulators.pubsub.messages import MAX_PUBLISH_BYTES, Content, Delivery
from infra.emulators.pubsub.topics import (
    DEFAULT_ACK_DEADLINE,
    DEFAULT_MAX_ATTEMPTS,
    DeadLetterPolicy,
    Subscription,
    Topics,
)
from infra.emulators.server import Server

WORKERS = 64
"""Threads at most, started as they are needed. An open pull keeps one for as long as it waits; past so many calls at
once, gRPC answers RESOURCE_EXHAUSTED."""

GRACE_SECONDS = 1.0
"""For answers that are being sent at `stop()`."""

DEADLINE_MARGIN_SECONDS = 0.25
"""An empty answer is sent so long before the client's deadline: after it, the client sees an error instead."""

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port that is in use is an error, not something to share
    ("grpc.max_receive_message_length", -1),  # so that what is too large is refused in Pub/Sub's own words
    # Google's client pings each 30 s; a server that thinks this too often (default: 5 min) closes the connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

Proto = Any
"""A protocol buffer message; protobuf makes their classes at run time."""

Method = Callable[[Proto, grpc.ServicerContext], Proto | None]
"""A request to its response; None is the empty message."""


class PubSubServer(Server):
    """Topics and subscriptions in memory, served on a free port of 127.0.0.1; usable once.

    The port is bound at construction, so `address` can be handed out before `start()`.
    """

    pull_seconds = 5.0
    """How long a pull waits for a first message."""

    def __init__(self, interceptors: Sequence[grpc.ServerInterceptor] = ()) -> None:
        self._topics = Topics()
        self._changed = threading.Condition()
        self._stopped = False
        self._slow_start_seconds = 0.0
        self._pulls_from: float | None = None
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="pubsub")
        publisher = {
            "CreateTopic": _method(self._create_topic, types.Topic),
            "DeleteTopic": _method(self._delete_topic, types.DeleteTopicRequest),
            "Publish": _method(self._publish, types.PublishRequest),
        }
        subscriber = {
            "CreateSubscription": _method(self._create_subscription, types.Subscription),
            "DeleteSubscription": _method(self._delete_subscription, types.DeleteSubscriptionRequest),
            "Pull": _method(self._pull, types.PullRequest),
            "Acknowledge": _method(self._acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": _method(self._modify_ack_deadline, types.ModifyAckDeadlineRequest),
        }
        self._server = grpc.server(
            self._workers,
            handlers=[
                grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
                grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
            ],
            interceptors=interceptors,
            options=OPTIONS,
            maximum_concurrent_rpcs=WORKERS,
        )
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, for PUBSUB_EMULATOR_HOST."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._server.start()

    def stop(self) -> None:
        """End open pulls with UNAVAILABLE and free the port; idempotent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._server.stop(GRACE_SECONDS).wait()
        self._workers.shutdown()

    @contextmanager
    def _exclusive(self) -> Iterator[Topics]:
        """The topics for this thread alone; whoever waits for messages looks again afterwards."""
        with self._changed:
            yield self._topics
            self._changed.notify_all()

    def _create_topic(self, request: Proto, _: grpc.ServicerContext) -> Proto:
        _refuse_fields_except(request, "name")
        with self._exclusive() as topics:
            topics.create_topic(request.name)
        return request

    def _delete_topic(self, request: Proto, _: grpc.ServicerContext) -> None:
        with self._exclusive() as topics:
            topics.delete_topic(request.topic)

    def _publish(self, request: Proto, _: grpc.ServicerContext) -> Proto:
        if request.ByteSize() > MAX_PUBLISH_BYTES:
            raise InvalidArgument(f"The request has {request.ByteSize()} bytes; at most {MAX_PUBLISH_BYTES} fit.")
        for message in request.messages:
            _refuse_fields_except(message, "data", "attributes")
        contents = [Content(message.data, dict(message.attributes)) for message in request.messages]
        with self._exclusive() as topics:
            return types.PublishResponse.pb()(message_ids=topics.publish(request.topic, contents))

    def _create_subscription(self, request: Proto, _: grpc.ServicerContext) -> Proto:
        _refuse_fields_except(request, "name", "topic", "ack_deadline_seconds", "dead_letter_policy", "retry_policy")
        policy = request.dead_letter_policy
        subscription = Subscription(
            request.name,
            request.topic,
            request.ack_deadline_seconds or DEFAULT_ACK_DEADLINE,
            DeadLetterPolicy(policy.dead_letter_topic, policy.max_delivery_attempts or DEFAULT_MAX_ATTEMPTS)
            if request.HasField("dead_letter_policy")
            else None,
            _retry_policy(request.retry_policy) if request.HasField("retry_policy") else None,
        )
        with self._exclusive() as topics:
            topics.create_subscription(subscription)
        return request

    def _delete_subscription(self, request: Proto, _: grpc.ServicerContext) -> None:
        with self._exclusive() as topics:
            topics.delete_subscription(request.subscription)

    def _pull(self, request: Proto, context: grpc.ServicerContext) -> Proto:
        if request.max_messages <= 0:
            raise InvalidArgument(f"max_messages is {request.max_messages}; it must be positive.")
        left = context.time_remaining()
        self._start_slowly(context)
        seconds = self.pull_seconds if left is None else min(self.pull_seconds, left - DEADLINE_MARGIN_SECONDS)
        deliveries = self._wait_for_messages(request, context, 0.0 if request.return_immediately else seconds)
        return types.PullResponse.pb()(received_messages=[_received_message(delivery) for delivery in deliveries])

    def start_slowly(self, seconds: float) -> None:
        """Answer no pull before `seconds` after the next one came, as a channel that is still being set up does not."""
        with self._changed:
            self._slow_start_seconds, self._pulls_from = seconds, None

    def _start_slowly(self, context: grpc.ServicerContext) -> None:
        with self._changed:
            if self._pulls_from is None:
                self._pulls_from = time.monotonic() + self._slow_start_seconds
            context.add_callback(self._wake)
            while context.is_active() and not self._stopped and (wait := self._pulls_from - time.monotonic()) > 0:
                self._changed.wait(wait)

    def _wait_for_messages(self, request: Proto, context: grpc.ServicerContext, seconds: float) -> list[Delivery]:
        until = time.monotonic() + seconds
        context.add_callback(self._wake)
        with self._changed:
            while context.is_active():
                if self._stopped:
                    raise ServiceUnavailable("The Pub/Sub server is stopping.")
                # No thread watches the leases: time matters only while somebody waits, so who waits ends them.
                self._topics.expire_leases()
                if deliveries := self._topics.deliver(request.subscription, request.max_messages):
                    self._changed.notify_all()  # these leases may expire before the others mean to look again
                    return deliveries
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, self._topics.seconds_until_expiry()))
        return []

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _acknowledge(self, request: Proto, _: grpc.ServicerContext) -> None:
        if not request.ack_ids:
            raise InvalidArgument("No ack ids.")
        with self._exclusive() as topics:
            topics.acknowledge(request.subscription, request.ack_ids)

    def _modify_ack_deadline(self, request: Proto, _: grpc.ServicerContext) -> None:
        if not request.ack_ids:
            raise InvalidArgument("No ack ids.")
        with self._exclusive() as topics:
            topics.modify_ack_deadline(request.subscription, request.ack_ids, request.ack_deadline_seconds)


def _method(answer: Method, request: Any) -> grpc.RpcMethodHandler:
    """A gRPC method without generated code, of a function and one of Google's request classes."""

    def handle(message: Proto, context: grpc.ServicerContext) -> Proto | None:
        try:
            return answer(message, context)
        except GoogleAPICallError as error:
            _abort(context, error)

    def serialize(message: Proto | None) -> bytes:
        return b"" if message is None else bytes(message.SerializeToString())

    # Underneath Google's wrapper class lies the protobuf class, several times faster to make and to read.
    handler: grpc.RpcMethodHandler = grpc.unary_unary_rpc_method_handler(handle, request.pb().FromString, serialize)
    return handler


def _abort(context: grpc.ServicerContext, error: GoogleAPICallError) -> NoReturn:
    context.abort(error.grpc_status_code, error.message)
    raise AssertionError("context.abort raises")


def _refuse_fields_except(message: Proto, *known: str) -> None:
    """Google's service knows more settings; better refused than silently ignored."""
    for descriptor, _ in message.ListFields():
        if descriptor.name not in known:
            raise MethodNotImplemented(f"The laptop's Pub/Sub does not have {descriptor.name}.")


def _retry_policy(policy: Proto) -> RetryPolicy:
    """What is left out has Pub/Sub's default."""
    given = {name: getattr(policy, name) for name in ("minimum_backoff", "maximum_backoff") if policy.HasField(name)}
    return RetryPolicy(**{name: one.ToTimedelta().total_seconds() for name, one in given.items()})


def _received_message(delivery: Delivery) -> Proto:
    message = delivery.message
    seconds, fraction = divmod(message.publish_time, 1)
    return types.ReceivedMessage.pb()(
        ack_id=delivery.ack_id,
        delivery_attempt=delivery.attempt,
        message={
            "data": message.content.data,
            "attributes": message.content.attributes,
            "message_id": message.id,
            "publish_time": {"seconds": int(seconds), "nanos": int(fraction * 1e9)},
        },
    )
