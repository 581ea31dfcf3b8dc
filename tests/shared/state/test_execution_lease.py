"""The execution lease: of many launchers one launches, its worker takes over, and a lost lease is not renewed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.enums import JobDevice
from shared.state.execution_lease import LAUNCHER, ExecutionLease
from tests.support.loopback_cloud import STATE, LoopbackCloud

TERM = timedelta(minutes=5)
OVER = timedelta(seconds=-1)
A_LAUNCHER, A_WORKER, ANOTHER = f"{LAUNCHER}/1", "execution/a", "execution/b"


@pytest.fixture
def lease(cloud: LoopbackCloud) -> ExecutionLease:
    return ExecutionLease(cloud.storage.bucket(STATE), JobDevice.GPU)


def test_it_is_free_at_first(lease: ExecutionLease) -> None:
    assert not lease.is_live()
    assert lease.take(A_LAUNCHER, TERM)
    assert lease.is_live()


def test_of_sixteen_launchers_one_launches(lease: ExecutionLease) -> None:
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda number: lease.take(f"{LAUNCHER}/{number}", TERM), range(16)))
    assert len([held for held in taken if held]) == 1


def test_a_launch_whose_worker_never_came_is_tried_again(lease: ExecutionLease) -> None:
    assert lease.take(A_LAUNCHER, OVER)
    assert not lease.is_live()
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda number: lease.take(f"{LAUNCHER}/new{number}", TERM), range(16)))
    assert len([held for held in taken if held]) == 1


@pytest.mark.parametrize(
    ("before", "term", "free"),
    [
        (None, TERM, True),
        (A_LAUNCHER, TERM, True),
        (A_WORKER, TERM, True),
        (ANOTHER, TERM, False),
        (ANOTHER, OVER, True),
        ("launcherlike", TERM, False),
    ],
    ids=["nobody", "a launcher", "our predecessor", "another", "another's that ran out", "not a launcher"],
)
def test_a_worker_takes_over_what_is_not_another_workers(
    lease: ExecutionLease, before: str | None, term: timedelta, free: bool
) -> None:
    if before:
        assert lease.take(before, term)
    held = lease.take_over(A_WORKER, TERM)
    assert (held is not None) == free
    assert lease.is_live()
    assert lease.take(A_LAUNCHER, TERM) is None


def test_of_two_workers_of_one_launch_one_works(lease: ExecutionLease) -> None:
    lease.take(A_LAUNCHER, TERM)
    assert lease.take_over(A_WORKER, TERM)
    assert lease.take_over(ANOTHER, TERM) is None


def test_renewing_keeps_it(lease: ExecutionLease) -> None:
    held = lease.take_over(A_WORKER, OVER)
    assert held
    assert not lease.is_live()
    renewed = lease.renew(held, TERM)
    assert renewed is not None
    assert renewed.holder == A_WORKER
    assert lease.is_live()


def test_a_lease_that_was_lost_is_neither_renewed_nor_given_up(lease: ExecutionLease) -> None:
    held = lease.take_over(A_WORKER, OVER)
    assert held
    assert lease.take_over(ANOTHER, TERM)
    assert lease.renew(held, TERM) is None
    lease.release(held)
    assert lease.is_live()


def test_giving_it_up_lets_the_next_launcher_launch(lease: ExecutionLease) -> None:
    held = lease.take_over(A_WORKER, TERM)
    assert held
    lease.release(held)
    lease.release(held)
    assert not lease.is_live()
    assert lease.take(A_LAUNCHER, TERM)


def test_a_renewal_whose_answer_was_lost_keeps_it(cloud: LoopbackCloud, lease: ExecutionLease) -> None:
    held = lease.take_over(A_WORKER, TERM)
    assert held
    cloud.storage_server.fail_next(1, method="POST", name_prefix="executions/", before=False)
    renewed = lease.renew(held, TERM)
    assert renewed is not None
    assert lease.renew(renewed, TERM)
