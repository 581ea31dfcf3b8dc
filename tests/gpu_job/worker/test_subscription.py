"""Work items: what is pulled stays ours until it is done or given back, and what cannot be read is not lost."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.api_core.exceptions import NotFound

from gpu_job.worker import subscription as subscription_module
from gpu_job.worker.subscription import FIRST_PULL_SECONDS, Received, WorkSubscription
from shared.messages import WorkItem
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import ABSENT, work_item

ITEM = work_item(ABSENT)
PATIENCE_PULLS = 30


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "ACK_DEADLINE_SECONDS", 1)


@pytest.fixture
def subscription(cloud: LoopbackCloud) -> Iterator[WorkSubscription]:
    with WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC)) as opened:
        yield opened


def publish(cloud: LoopbackCloud, data: bytes) -> None:
    cloud.publisher.publish(cloud.publisher.topic_path(PROJECT, WORK_TOPIC), data).result(timeout=PATIENCE)


def send(cloud: LoopbackCloud, *items: WorkItem) -> None:
    for item in items:
        publish(cloud, item.model_dump_json().encode())


def receipt(received: Received) -> str:
    assert received.ack_id is not None
    return received.ack_id


def pulled_within(subscription: WorkSubscription, seconds: int) -> list[Received]:
    """The next items, as soon as there are any."""
    for _ in range(seconds):
        if received := subscription.pull(10, 1.0):
            return received
    return []


def test_an_empty_queue_gives_nothing(subscription: WorkSubscription) -> None:
    assert subscription.pull(10, 1.0) == []


@pytest.mark.parametrize(
    "answer",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED],
    ids=lambda answer: answer.name,
)
def test_what_passes_ends_no_worker(
    cloud: LoopbackCloud,
    subscription: WorkSubscription,
    monkeypatch: pytest.MonkeyPatch,
    answer: grpc.StatusCode,
) -> None:
    monkeypatch.setattr(subscription_module, "PAUSE_SECONDS", 0.0)
    send(cloud, ITEM)
    with cloud.pubsub_outage.lasts(answer):
        assert subscription.pull(10, 1.0) == []
        assert not subscription.has_answered
    assert [one.item for one in pulled_within(subscription, PATIENCE_PULLS)] == [ITEM]


def test_a_subscription_that_is_gone_ends_the_worker(cloud: LoopbackCloud) -> None:
    gone = WorkSubscription(cloud.subscriber, cloud.subscriber.subscription_path(PROJECT, "deleted"))
    with pytest.raises(NotFound):
        gone.pull(10, 1.0)


def test_a_pull_that_had_no_time_for_the_channel_is_no_answer(
    cloud: LoopbackCloud, subscription: WorkSubscription
) -> None:
    cloud.pubsub.start_slowly(3.0)
    send(cloud, ITEM)
    assert subscription.pull(10, 1.0) == []
    assert not subscription.has_answered
    assert [one.item for one in subscription.pull(10, FIRST_PULL_SECONDS)] == [ITEM]
    assert subscription.has_answered


def test_an_empty_queue_is_an_answer(subscription: WorkSubscription) -> None:
    assert subscription.pull(10, FIRST_PULL_SECONDS) == []
    assert subscription.has_answered


def test_no_more_is_pulled_than_there_is_room_for(cloud: LoopbackCloud, subscription: WorkSubscription) -> None:
    items = [work_item(ABSENT.model_copy(update={"generation": number})) for number in (1, 2, 3)]
    send(cloud, *items)
    first = subscription.pull(2, 5.0)
    assert len(first) <= 2
    rest = []
    while len(first) + len(rest) < 3:
        rest += pulled_within(subscription, 5)
    assert {one.item.job_id for one in first + rest} == {item.job_id for item in items}


def test_what_is_held_stays_ours_beyond_its_deadline_and_what_is_done_never_returns(
    short_deadlines: None, cloud: LoopbackCloud, subscription: WorkSubscription
) -> None:
    send(cloud, ITEM)
    (received,) = pulled_within(subscription, 5)
    assert received.item == ITEM
    assert pulled_within(subscription, 3) == []
    subscription.done(receipt(received))
    assert pulled_within(subscription, 2) == []


def test_an_item_of_a_killed_worker_returns_after_its_deadline(short_deadlines: None, cloud: LoopbackCloud) -> None:
    send(cloud, ITEM)
    with WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC)) as killed:
        assert len(pulled_within(killed, 5)) == 1
    with WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC)) as successor:
        assert [one.item for one in pulled_within(successor, 20)] == [ITEM]


def test_what_is_given_back_comes_again(cloud: LoopbackCloud, subscription: WorkSubscription) -> None:
    send(cloud, ITEM)
    (received,) = pulled_within(subscription, 5)
    subscription.give_back(receipt(received))
    (again,) = pulled_within(subscription, 5)
    assert again.item == ITEM
    subscription.give_back(receipt(again), after_seconds=3)
    assert subscription.pull(10, 1.0) == []
    assert [one.item for one in pulled_within(subscription, 20)] == [ITEM]


def test_a_long_pause_is_cut_to_what_pubsub_allows(
    cloud: LoopbackCloud, subscription: WorkSubscription, caplog: pytest.LogCaptureFixture
) -> None:
    send(cloud, ITEM)
    (received,) = pulled_within(subscription, 5)
    subscription.give_back(receipt(received), after_seconds=100_000)
    assert not [record for record in caplog.records if record.name == subscription_module.__name__]
    assert subscription.pull(10, 1.0) == []


def test_an_unreadable_item_goes_back_and_harms_no_other(cloud: LoopbackCloud, subscription: WorkSubscription) -> None:
    publish(cloud, b"{}")
    publish(cloud, b"\xff\xfe")
    send(cloud, ITEM)
    found: list[Received] = []
    for _ in range(5):
        found += subscription.pull(10, 1.0)
    assert [one.item for one in found] == [ITEM]
    subscription.done(receipt(found[0]))
    request = {"subscription": cloud.subscription(WORK_TOPIC), "max_messages": 10}
    seen: set[bytes] = set()
    while len(seen) < 2:
        seen |= {bytes(one.message.data) for one in cloud.subscriber.pull(request, timeout=PATIENCE).received_messages}
    assert seen == {b"{}", b"\xff\xfe"}
