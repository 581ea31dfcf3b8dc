"""What the laptop's Pub/Sub does as Google's service does, but its emulator does not; and how the server stops."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions
from google.pubsub_v1.types import PubsubMessage

from infra.emulators.pubsub_server import PubSubServer
from tests.support.pubsub_clients import PATIENCE, connected, payloads
from tests.support.pubsub_stream import PullStream

if TYPE_CHECKING:
    from tests.support.pubsub_clients import PubSub

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag:DeprecationWarning")


def test_filter_lets_only_matching_messages_through(ours: PubSub) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, filter='attributes.outcome = "failed" AND hasPrefix(attributes.job, "j-")')
    ours.publish(topic, b"no", outcome="completed", job="j-1")
    ours.publish(topic, b"yes", outcome="failed", job="j-2")
    ours.publish(topic, b"nor this", outcome="failed")
    assert payloads(ours.pull(subscription)) == [b"yes"]
    assert ours.is_empty(subscription)
    assert ours.subscriber.get_subscription(subscription=subscription).filter.startswith("attributes.outcome")


@pytest.mark.parametrize(
    "settings",
    [
        {"filter": "attributes.outcome like x"},
        {"ack_deadline_seconds": 9},
    ],
)
def test_settings_that_the_emulator_accepts_are_refused(ours: PubSub, settings: dict[str, object]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        ours.subscription(ours.topic(), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"enable_message_ordering": True},
        {"enable_exactly_once_delivery": True},
        {"push_config": {"push_endpoint": "http://127.0.0.1:1/"}},
    ],
)
def test_settings_without_effect_here_are_refused_by_name(ours: PubSub, settings: dict[str, object]) -> None:
    [name] = settings
    with pytest.raises(exceptions.MethodNotImplemented, match=name):
        ours.subscription(ours.topic(), **settings)


def test_empty_push_config_means_pull(ours: PubSub) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic, push_config={})
    ours.publish(topic, b"pulled")
    assert payloads(ours.pull(subscription)) == [b"pulled"]


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


@pytest.mark.parametrize("limit", [{"max_outstanding_messages": 2}, {"max_outstanding_bytes": 2_000}])
def test_stream_sends_no_more_than_the_client_will_hold(ours: PubSub, limit: dict[str, int]) -> None:
    topic = ours.topic()
    subscription = ours.subscription(topic)
    ours.publish(topic, *[bytes([number]) * 1_000 for number in range(5)])
    with PullStream(ours, subscription, **limit) as stream:
        first, second = stream.get(), stream.get()
        assert not stream.has_more(0.3)
        stream.send(ack_ids=[first.ack_id])
        third = stream.get()
        assert not stream.has_more(0.3)
        stream.send(modify_deadline_ack_ids=[second.ack_id], modify_deadline_seconds=[0])
        assert stream.get().ack_id not in {first.ack_id, second.ack_id, third.ack_id}
        assert not stream.has_more(0.3)


def test_limits_of_a_stream_are_set_once(ours: PubSub) -> None:
    subscription = ours.subscription(ours.topic())
    with PullStream(ours, subscription) as stream:
        stream.send(max_outstanding_messages=1)
        with pytest.raises(exceptions.InvalidArgument):
            stream.wait()


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


def test_cut_stream_takes_no_more_messages(ours: PubSub) -> None:
    topic, graveyard = ours.topic(), ours.topic()
    subscription = ours.subscription(topic, dead_letter_policy={"dead_letter_topic": graveyard})
    ours.publish(topic, b"the stream is open")
    with PullStream(ours, subscription) as stream:
        stream.get()
        stream.cut()
        with pytest.raises(exceptions.Cancelled):
            stream.wait()
    ours.publish(topic, b"for somebody else")
    [received] = ours.pull(subscription)
    assert received.message.data == b"for somebody else"
    assert received.delivery_attempt == 1


def test_many_open_streams_and_pulls_leave_room_for_other_calls(ours: PubSub) -> None:
    topic = ours.topic()
    streamed = [ours.subscription(topic) for _ in range(20)]
    pulled = [ours.subscription(topic) for _ in range(20)]
    with ThreadPoolExecutor(20) as threads, ExitStack() as open_streams:
        streams = [open_streams.enter_context(PullStream(ours, subscription)) for subscription in streamed]
        pulls = [threads.submit(ours.pull, subscription) for subscription in pulled]
        ours.publish(topic, b"to all")
        assert [stream.get().message.data for stream in streams] == [b"to all"] * 20
        assert [payloads(pull.result(PATIENCE)) for pull in pulls] == [[b"to all"]] * 20


def test_stopping_the_server_ends_what_waits() -> None:
    with PubSubServer() as server, connected(server.address) as clients, ThreadPoolExecutor(1) as threads:
        topic = clients.topic()
        subscription, idle = clients.subscription(topic), clients.subscription(topic)
        clients.publish(topic, b"the stream is open")
        clients.pull(idle)
        pull = threads.submit(clients.subscriber.pull, subscription=idle, max_messages=1, retry=None, timeout=PATIENCE)
        with PullStream(clients, subscription) as stream:
            stream.get()
            server.stop()
            with pytest.raises(exceptions.ServiceUnavailable):
                stream.wait()
            with pytest.raises(exceptions.ServiceUnavailable):  # and not the empty answer of a pull that waited long
                pull.result(PATIENCE)


def test_port_that_is_taken_is_not_shared() -> None:
    with PubSubServer() as server, pytest.raises(RuntimeError):
        PubSubServer(int(server.address.rpartition(":")[2]))
