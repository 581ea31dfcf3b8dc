"""What the laptop's Pub/Sub does as Google's service does, but its emulator does not; and how the server stops."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest
from google.api_core import exceptions
from google.pubsub_v1.types import PubsubMessage, PullRequest, PullResponse

from infra.emulators.pubsub.server import PubSubServer
from tests.support.pubsub_clients import connected, payloads
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


@pytest.mark.parametrize(
    "settings",
    [
        {"enable_message_ordering": True},
        {"filter": "attributes:outcome"},
        {"enable_exactly_once_delivery": True},
        {"push_config": {"push_endpoint": "http://127.0.0.1:1/"}},
    ],
)
def test_settings_without_effect_here_are_refused_by_name(ours: PubSub, settings: dict[str, object]) -> None:
    [name] = settings
    with pytest.raises(exceptions.MethodNotImplemented, match=name):
        ours.subscription(ours.topic(), **settings)


def test_methods_that_are_not_there_say_so(ours: PubSub) -> None:
    subscription = ours.subscription(ours.topic())
    with pytest.raises(exceptions.MethodNotImplemented):
        ours.subscriber.seek(request={"subscription": subscription}, retry=None)


@pytest.mark.parametrize(
    "message",
    [
        PubsubMessage(data=b"x" * 10_000_000),
        PubsubMessage(attributes={"": "x"}),
        PubsubMessage(attributes={"googly": "x"}),
        PubsubMessage(attributes={"k" * 257: "x"}),
        PubsubMessage(attributes={"k": "x" * 1_025}),
        PubsubMessage(attributes={f"k{number}": "x" for number in range(101)}),
    ],
    ids=["10 MB", "empty key", "reserved key", "long key", "long value", "many attributes"],
)
def test_messages_beyond_the_limits_are_refused(ours: PubSub, message: PubsubMessage) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        ours.publish_at_once(ours.topic(), [message])


def test_largest_message_is_taken(ours: PubSub) -> None:
    assert ours.publish_at_once(ours.topic(), [PubsubMessage(data=b"x" * 9_999_000, attributes={"k" * 256: "v"})])


def test_messages_too_large_for_one_response_come_in_several(ours: PubSub) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    sizes = [2_500_000, 2_600_000, 2_700_000]
    for size in sizes:
        ours.publish_at_once(topic, [PubsubMessage(data=b"x" * size)])
    assert [len(payload) for payload in payloads(ours.pull(subscription, 3))] == sizes


def test_ack_deadline_cannot_be_moved_beyond_ten_minutes(ours: PubSub) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    ours.publish(topic, b"x")
    with pytest.raises(exceptions.InvalidArgument):
        ours.hold(subscription, ours.pull(subscription), 601)


def test_pull_waits_for_a_message(ours: PubSub) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    with ExitStack() as cleanup:
        timer = threading.Timer(0.3, ours.publish, (topic, b"awaited"))
        cleanup.callback(timer.join)
        timer.start()
        response = ours.subscriber.pull(subscription=subscription, max_messages=5, timeout=PATIENCE, retry=None)
    assert payloads(response.received_messages) == [b"awaited"]


def test_pull_of_nothing_ends_before_the_client_gives_up(ours: PubSub) -> None:
    subscription = ours.subscription(ours.topic())
    response = ours.subscriber.pull(subscription=subscription, max_messages=1, timeout=1.0, retry=None)
    assert not response.received_messages


def test_ack_deadline_below_ten_seconds_is_refused(ours: PubSub) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        ours.subscription(ours.topic(), ack_deadline_seconds=9)


def test_cancelled_pull_takes_no_message() -> None:
    with (
        PubSubServer() as server,
        connected(server.address) as clients,
        grpc.insecure_channel(server.address) as channel,
    ):
        topic = clients.topic()
        subscription = clients.subscription(topic, dead_letter_policy={"dead_letter_topic": clients.topic()})
        pull = channel.unary_unary(
            "/google.pubsub.v1.Subscriber/Pull",
            request_serializer=PullRequest.serialize,
            response_deserializer=PullResponse.deserialize,
        ).future(PullRequest(subscription=subscription, max_messages=1), timeout=PATIENCE)
        assert clients.is_empty(subscription)  # by now the pull has arrived, or will arrive cancelled
        pull.cancel()
        clients.publish(topic, b"for somebody else")
        [received] = clients.pull(subscription)
    assert received.message.data == b"for somebody else"
    assert received.delivery_attempt == 1


def test_many_open_pulls_leave_room_for_other_calls(ours: PubSub) -> None:
    topic = ours.topic()
    pulled = [ours.subscription(topic) for _ in range(20)]
    with ThreadPoolExecutor(20) as threads:
        pulls = [threads.submit(ours.pull, subscription) for subscription in pulled]
        ours.publish(topic, b"to all")
        assert [payloads(pull.result(PATIENCE)) for pull in pulls] == [[b"to all"]] * 20


def test_stopping_the_server_ends_what_waits() -> None:
    with PubSubServer() as server, connected(server.address) as clients, ThreadPoolExecutor(1) as threads:
        topic = clients.topic()
        subscription = clients.subscription(topic)
        clients.publish(topic, b"the server answers")
        clients.acknowledge(subscription, clients.pull(subscription))
        pull = threads.submit(
            clients.subscriber.pull, subscription=subscription, max_messages=1, retry=None, timeout=PATIENCE
        )
        assert clients.is_empty(subscription)
        server.stop()
        with pytest.raises(exceptions.ServiceUnavailable):  # and not the empty answer of a pull that waited long
            pull.result(PATIENCE)
