"""google.pubsub.v1.Subscriber, as far as the laptop has it; every other method answers UNIMPLEMENTED."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.backlog import FlowWindow
from infra.emulators.pubsub.errors import InvalidArgumentError
from infra.emulators.pubsub.pages import page
from infra.emulators.pubsub.rpc import streaming, unary
from infra.emulators.pubsub.streams import PullStream
from infra.emulators.pubsub.wire import read_subscription, write_deliveries, write_subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.emulators.pubsub.broker import Broker
    from infra.emulators.pubsub.rpc import Context
    from infra.emulators.pubsub.wire import Proto

PULL_RESPONSE = types.PullResponse.pb()
LIST_SUBSCRIPTIONS_RESPONSE = types.ListSubscriptionsResponse.pb()

PULL_SECONDS = 5.0
"""How long a pull waits for a first message."""

DEADLINE_MARGIN_SECONDS = 0.25
"""An empty answer leaves so long before the client's deadline: after it, the client sees an error instead."""


class Subscriber:
    """Subscriptions, and the ways to get their messages."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def rpcs(self) -> grpc.GenericRpcHandler:
        """The methods, by name."""
        methods = {
            "CreateSubscription": unary(self._create_subscription, types.Subscription),
            "GetSubscription": unary(self._get_subscription, types.GetSubscriptionRequest),
            "ListSubscriptions": unary(self._list_subscriptions, types.ListSubscriptionsRequest),
            "DeleteSubscription": unary(self._delete_subscription, types.DeleteSubscriptionRequest),
            "Pull": unary(self._pull, types.PullRequest),
            "Acknowledge": unary(self._acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": unary(self._modify_ack_deadline, types.ModifyAckDeadlineRequest),
            "StreamingPull": streaming(self._streaming_pull, types.StreamingPullRequest),
        }
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", methods)
        return handler

    def _create_subscription(self, request: Proto, _: Context) -> Proto:
        subscription = read_subscription(request)
        with self._broker.topics() as topics:
            topics.create_subscription(subscription)
        return write_subscription(subscription)

    def _get_subscription(self, request: Proto, _: Context) -> Proto:
        with self._broker.topics() as topics:
            return write_subscription(topics.subscription(request.subscription))

    def _list_subscriptions(self, request: Proto, _: Context) -> Proto:
        with self._broker.topics() as topics:
            found = topics.subscriptions_of(request.project)
        some, next_page_token = page(found, request)
        return LIST_SUBSCRIPTIONS_RESPONSE(subscriptions=map(write_subscription, some), next_page_token=next_page_token)

    def _delete_subscription(self, request: Proto, _: Context) -> None:
        with self._broker.topics() as topics:
            topics.delete_subscription(request.subscription)

    def _pull(self, request: Proto, context: Context) -> Proto:
        if request.max_messages <= 0:
            raise InvalidArgumentError(f"max_messages is {request.max_messages}; it must be positive.")
        context.add_callback(self._broker.wake)
        deliveries = self._broker.wait_for_messages(
            request.subscription,
            FlowWindow(max_messages=request.max_messages),
            given_up=lambda: not context.is_active(),
            seconds=0.0 if request.return_immediately else _pull_seconds(context),
        )
        return PULL_RESPONSE(received_messages=write_deliveries(deliveries))

    def _acknowledge(self, request: Proto, _: Context) -> None:
        if not request.ack_ids:
            raise InvalidArgumentError("No ack ids.")
        with self._broker.topics() as topics:
            topics.acknowledge(request.subscription, request.ack_ids)

    def _modify_ack_deadline(self, request: Proto, _: Context) -> None:
        if not request.ack_ids:
            raise InvalidArgumentError("No ack ids.")
        deadlines = [(ack_id, request.ack_deadline_seconds) for ack_id in request.ack_ids]
        with self._broker.topics() as topics:
            topics.modify_ack_deadlines(request.subscription, deadlines)

    def _streaming_pull(self, requests: Iterator[Proto], context: Context) -> Iterator[Proto]:
        first = next(requests, None)
        if first is None:
            raise InvalidArgumentError("The stream ended before its first request.")
        stream = PullStream(self._broker, first)
        context.add_callback(stream.close)
        return stream.responses(requests)


def _pull_seconds(context: Context) -> float:
    left = context.time_remaining()
    return PULL_SECONDS if left is None else min(PULL_SECONDS, left - DEADLINE_MARGIN_SECONDS)
