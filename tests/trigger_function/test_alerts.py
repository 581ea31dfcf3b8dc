"""Alerts: each told once, by whoever notices first, and not lost with a process that dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.api_core.exceptions import GoogleAPICallError

from shared.clock import now
from tests.support.loopback_cloud import PROJECT, STATE, LoopbackCloud
from trigger_function import alerts as module
from trigger_function.alerts import UNTOLD, Alerts, BudgetAlert, budget_alerts

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


def told(cloud: LoopbackCloud) -> list[BudgetAlert]:
    subscription = cloud.subscription(TOPIC)
    received = cloud.subscriber.pull(subscription=subscription, max_messages=50, timeout=5).received_messages
    cloud.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
    return [BudgetAlert.model_validate_json(one.message.data) for one in received]


@pytest.mark.parametrize(
    ("spent", "refused", "shares"),
    [
        (4.99, False, []),
        (5, False, [0.5]),
        (9.99, False, [0.5, 0.8]),
        (10, False, [0.5, 0.8, 1.0]),
        (12, False, [0.5, 0.8, 1.0]),
        (9.5, True, [0.5, 0.8, 1.0]),
        # One file that is dearer than all that is left: the warnings of half and more are still to come.
        (0.1, True, [1.0]),
    ],
)
def test_shares_that_were_reached(spent: float, refused: bool, shares: list[float]) -> None:
    found = budget_alerts("2026-11", spent, 10, refused=refused)
    assert [alert.share for alert in found] == shares
    assert len({alert.event_id for alert in found}) == len(found)


def test_a_refusal_uses_up_no_warning_of_what_is_spent() -> None:
    refused = {alert.event_id for alert in budget_alerts("2026-11", 0.1, 10, refused=True)}
    assert not refused & {alert.event_id for alert in budget_alerts("2026-11", 10, 10)}


def test_an_alert_says_the_sums() -> None:
    assert HALF.text == "50% of the budget of $10.00 for 2026-11 is spent or reserved: $5.00."
    assert HALF.attributes() == {"event_id": "budget-2026-11-50%", "kind": "budget", "month": "2026-11"}


def test_an_alert_is_told_once(cloud: LoopbackCloud, instance: Callable[[], Alerts]) -> None:
    first = instance()
    assert first.tell(HALF)
    assert not first.tell(HALF)
    assert not instance().tell(HALF)
    assert told(cloud) == [HALF]


def test_of_eight_instances_at_once_one_tells(cloud: LoopbackCloud, instance: Callable[[], Alerts]) -> None:
    instances = [instance() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: one.tell(HALF), instances))
    assert sum(answers) == 1
    assert told(cloud) == [HALF]


def test_an_alert_whose_teller_died_is_told_by_the_next(
    cloud: LoopbackCloud, instance: Callable[[], Alerts], topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.publisher.delete_topic(topic=topic)
    with pytest.raises(GoogleAPICallError):
        instance().tell(HALF)
    cloud.publisher.create_topic(name=topic)
    cloud.subscriber.delete_subscription(subscription=cloud.subscription(TOPIC))
    cloud.subscriber.create_subscription(name=cloud.subscription(TOPIC), topic=topic)
    # Until its teller must be dead, the alert is his.
    assert not instance().tell(HALF)
    later = now() + UNTOLD + timedelta(seconds=1)
    monkeypatch.setattr(module, "now", lambda: later)
    assert instance().tell(HALF)
    assert not instance().tell(HALF)
    assert told(cloud) == [HALF]
