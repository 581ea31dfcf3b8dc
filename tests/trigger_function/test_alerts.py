"""Alerts: each published once, by whoever notices first, and not lost with a process that dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.api_core.exceptions import GoogleAPICallError

from shared.clock import now
from tests.support.loopback_cloud import PROJECT, STATE, LoopbackCloud
from tests.support.waiting import PATIENCE
from trigger_function import alerts as module
from trigger_function.alerts import PUBLISHER_DEAD_AFTER, Alerts, BudgetAlert, budget_alerts

TOPIC = "transcription-alerts"
HALF = budget_alerts("2026-11", 5, 10)[0]


@pytest.fixture
def topic(cloud: LoopbackCloud) -> str:
    path = str(cloud.publisher.topic_path(PROJECT, TOPIC))
    cloud.publisher.create_topic(name=path)
    cloud.subscriber.create_subscription(name=cloud.subscription(TOPIC), topic=path)
    return path


@pytest.fixture
def instance(cloud: LoopbackCloud, topic: str) -> Callable[[], Alerts]:
    return lambda: Alerts(cloud.storage.bucket(STATE), cloud.publisher, topic)


def published(cloud: LoopbackCloud) -> list[BudgetAlert]:
    subscription = cloud.subscription(TOPIC)
    received = cloud.subscriber.pull(subscription=subscription, max_messages=50, timeout=PATIENCE).received_messages
    cloud.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
    return [BudgetAlert.model_validate_json(one.message.data) for one in received]


@pytest.mark.parametrize(
    ("spent", "rejected", "shares"),
    [
        (4.99, False, []),
        (5, False, [0.5]),
        (9.99, False, [0.5, 0.8]),
        (10, False, [0.5, 0.8, 1.0]),
        (12, False, [0.5, 0.8, 1.0]),
        (9.5, True, [0.5, 0.8, 1.0]),
        # One file that is dearer than all that is left: the alerts about half and more are still to come.
        (0.1, True, [1.0]),
    ],
)
def test_shares_that_were_reached(spent: float, rejected: bool, shares: list[float]) -> None:
    found = budget_alerts("2026-11", spent, 10, rejected=rejected)
    assert [alert.share for alert in found] == shares
    assert len({alert.event_id for alert in found}) == len(found)


def test_a_rejection_uses_up_no_alert_about_what_is_spent() -> None:
    rejected = {alert.event_id for alert in budget_alerts("2026-11", 0.1, 10, rejected=True)}
    assert not rejected & {alert.event_id for alert in budget_alerts("2026-11", 10, 10)}


def test_an_alert_says_the_sums() -> None:
    assert HALF.text == "50% of the budget of $10.00 for 2026-11 is spent or reserved: $5.00."
    assert HALF.attributes() == {"event_id": "budget-2026-11-50%", "kind": "budget", "month": "2026-11"}


def test_a_rejection_says_why() -> None:
    (alert,) = budget_alerts("2026-11", 1, 10, rejected=True)
    assert alert.text.startswith("An upload was rejected: budget exhausted; 10% of the budget of $10.00")
    assert alert.event_id == "budget-2026-11-rejected"


def test_an_alert_is_published_once(cloud: LoopbackCloud, instance: Callable[[], Alerts]) -> None:
    first = instance()
    assert first.publish(HALF)
    assert not first.publish(HALF)
    assert not instance().publish(HALF)
    assert published(cloud) == [HALF]


def test_of_eight_instances_at_once_one_publishes(cloud: LoopbackCloud, instance: Callable[[], Alerts]) -> None:
    instances = [instance() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: one.publish(HALF), instances))
    assert sum(answers) == 1
    assert published(cloud) == [HALF]


def test_an_alert_whose_publisher_died_is_published_by_the_next(
    cloud: LoopbackCloud, instance: Callable[[], Alerts], topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.publisher.delete_topic(topic=topic)
    with pytest.raises(GoogleAPICallError):
        instance().publish(HALF)
    cloud.publisher.create_topic(name=topic)
    cloud.subscriber.delete_subscription(subscription=cloud.subscription(TOPIC))
    cloud.subscriber.create_subscription(name=cloud.subscription(TOPIC), topic=topic)
    # Until its publisher must be dead, nobody else publishes it.
    assert not instance().publish(HALF)
    later = now() + PUBLISHER_DEAD_AFTER + timedelta(seconds=1)
    monkeypatch.setattr(module, "now", lambda: later)
    assert instance().publish(HALF)
    assert not instance().publish(HALF)
    assert published(cloud) == [HALF]
