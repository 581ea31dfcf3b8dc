"""google.pubsub.v1.Publisher, as far as the laptop has it; every other method answers UNIMPLEMENTED."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.errors import InvalidArgumentError
from infra.emulators.pubsub.messages import MAX_PUBLISH_BYTES
from infra.emulators.pubsub.pages import page
from infra.emulators.pubsub.rpc import unary
from infra.emulators.pubsub.wire import read_content, read_topic, write_topic

if TYPE_CHECKING:
    from infra.emulators.pubsub.broker import Broker
    from infra.emulators.pubsub.rpc import Context
    from infra.emulators.pubsub.wire import Proto

PUBLISH_RESPONSE = types.PublishResponse.pb()
LIST_TOPICS_RESPONSE = types.ListTopicsResponse.pb()
LIST_TOPIC_SUBSCRIPTIONS_RESPONSE = types.ListTopicSubscriptionsResponse.pb()


class Publisher:
    """Topics, and what is published to them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def rpcs(self) -> grpc.GenericRpcHandler:
        """The methods, by name."""
        methods = {
            "CreateTopic": unary(self._create_topic, types.Topic),
            "GetTopic": unary(self._get_topic, types.GetTopicRequest),
            "ListTopics": unary(self._list_topics, types.ListTopicsRequest),
            "DeleteTopic": unary(self._delete_topic, types.DeleteTopicRequest),
            "Publish": unary(self._publish, types.PublishRequest),
            "ListTopicSubscriptions": unary(self._list_topic_subscriptions, types.ListTopicSubscriptionsRequest),
        }
        handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", methods)
        return handler

    def _create_topic(self, request: Proto, _: Context) -> Proto:
        topic = read_topic(request)
        with self._broker.topics() as topics:
            topics.create_topic(topic)
        return write_topic(topic)

    def _get_topic(self, request: Proto, _: Context) -> Proto:
        with self._broker.topics() as topics:
            return write_topic(topics.topic(request.topic))

    def _list_topics(self, request: Proto, _: Context) -> Proto:
        with self._broker.topics() as topics:
            found = topics.topics_of(request.project)
        some, next_page_token = page(found, request)
        return LIST_TOPICS_RESPONSE(topics=map(write_topic, some), next_page_token=next_page_token)

    def _delete_topic(self, request: Proto, _: Context) -> None:
        with self._broker.topics() as topics:
            topics.delete_topic(request.topic)

    def _publish(self, request: Proto, _: Context) -> Proto:
        if request.ByteSize() > MAX_PUBLISH_BYTES:
            raise InvalidArgumentError(f"The request has {request.ByteSize()} bytes; at most {MAX_PUBLISH_BYTES} fit.")
        contents = [read_content(message) for message in request.messages]
        with self._broker.topics() as topics:
            return PUBLISH_RESPONSE(message_ids=topics.publish(request.topic, contents))

    def _list_topic_subscriptions(self, request: Proto, _: Context) -> Proto:
        with self._broker.topics() as topics:
            found = topics.subscriptions_to(request.topic)
        some, next_page_token = page(found, request)
        names = [subscription.name for subscription in some]
        return LIST_TOPIC_SUBSCRIPTIONS_RESPONSE(subscriptions=names, next_page_token=next_page_token)
