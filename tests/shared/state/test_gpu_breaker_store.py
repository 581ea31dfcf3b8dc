"""The circuit in the state bucket: many instances see one, and one of them sends the trial."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import FailureKind
from shared.state.gpu_breaker import Breaker, BreakerPolicy, CircuitState, gpu_health
from tests.support.loopback_cloud import STATE, LoopbackCloud

POLICY = BreakerPolicy(
    failures=2, window=timedelta(minutes=10), cool_down=timedelta(minutes=5), trial=timedelta(minutes=15)
)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(cloud: LoopbackCloud, clock: Clock) -> Breaker:
    return Breaker(cloud.storage.bucket(STATE), POLICY, clock)


def test_a_healthy_gpu_leaves_no_object(cloud: LoopbackCloud, breaker: Breaker) -> None:
    assert breaker.allows("a")
    breaker.record_success("a")
    assert breaker.health().state is CircuitState.CLOSED
    assert cloud.names(STATE) == []


def test_another_instance_sees_what_one_recorded(cloud: LoopbackCloud, breaker: Breaker, clock: Clock) -> None:
    breaker.record_failure(FailureKind.QUOTA, "a")
    breaker.record_failure(FailureKind.OUT_OF_MEMORY, "b")
    assert not Breaker(cloud.storage.bucket(STATE), POLICY, clock).allows("c")
    health = gpu_health(cloud.storage.bucket(STATE))
    assert (health.state, health.since) == (CircuitState.OPEN, clock.now)
    assert health.failures == {FailureKind.QUOTA: 1, FailureKind.OUT_OF_MEMORY: 1}
    assert health.next_trial == clock.now + POLICY.cool_down


def test_of_many_uploads_after_the_cool_down_one_is_the_trial(breaker: Breaker, clock: Clock) -> None:
    breaker.record_failure(FailureKind.QUOTA)
    breaker.record_failure(FailureKind.QUOTA)
    clock.now += POLICY.cool_down
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda number: breaker.allows(f"job {number}"), range(8)))
    assert sum(allowed) == 1
    trial = f"job {allowed.index(True)}"
    assert breaker.allows(trial)
    breaker.record_success(trial)
    assert all(breaker.allows(f"job {number}") for number in range(8))


def test_failures_that_two_instances_record_at_once_both_count(breaker: Breaker) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: breaker.record_failure(FailureKind.NETWORK, job), ["a", "b"]))
    assert breaker.health().state is CircuitState.OPEN


def test_a_circuit_that_cannot_be_read_is_closed_and_replaced(cloud: LoopbackCloud, breaker: Breaker) -> None:
    cloud.storage.bucket(STATE).blob("health/gpu.json").upload_from_string(b"{")
    assert breaker.allows("a")
    breaker.record_failure(FailureKind.QUOTA, "a")
    breaker.record_failure(FailureKind.QUOTA, "b")
    assert not breaker.allows("c")


def test_a_write_whose_answer_was_lost_is_not_repeated(cloud: LoopbackCloud, breaker: Breaker) -> None:
    cloud.storage_server.fail_next(1, method="POST", name_prefix="health/", before=False)
    breaker.record_failure(FailureKind.QUOTA)
    assert breaker.health().failures == {FailureKind.QUOTA: 1}
