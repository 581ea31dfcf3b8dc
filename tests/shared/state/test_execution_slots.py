"""Execution slots: of many launchers one launches with a slot, a worker takes it over, a lost one is not renewed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.enums import JobDevice
from shared.state.execution_slots import ExecutionSlots, HeldSlot, SlotUse, TakenWork
from tests.support.loopback_cloud import STATE, LoopbackCloud

TERM = timedelta(minutes=5)
OVER = timedelta(seconds=-1)
COUNT = 3


@pytest.fixture
def slots(cloud: LoopbackCloud) -> ExecutionSlots:
    return ExecutionSlots(cloud.storage.bucket(STATE), JobDevice.GPU, COUNT)


def take(slots: ExecutionSlots, number: int = 0, holder: str = "launcher/1", term: timedelta = TERM) -> HeldSlot | None:
    return slots.take(number, holder, term, slots.view())


def held(slots: ExecutionSlots) -> dict[int, tuple[SlotUse, str]]:
    return {number: (one.slot.use, one.slot.holder) for number, one in slots.view().held.items()}


def test_all_are_free_at_first(slots: ExecutionSlots) -> None:
    view = slots.view()
    assert view.free(COUNT) == [0, 1, 2]
    assert not view.is_running


def test_a_launchers_slot_stands_for_an_execution_that_starts(slots: ExecutionSlots) -> None:
    assert take(slots, 1)
    view = slots.view()
    assert (view.running.count, view.running.starting) == (1, 1)
    assert view.free(COUNT) == [0, 2]


def test_of_sixteen_launchers_one_gets_a_slot(slots: ExecutionSlots) -> None:
    view = slots.view()
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda number: slots.take(0, f"launcher/{number}", TERM, view), range(16)))
    assert len([one for one in taken if one]) == 1


def test_the_slot_of_a_launch_whose_worker_never_came_is_free_again(slots: ExecutionSlots) -> None:
    assert take(slots, term=OVER)
    assert slots.view().free(COUNT) == [0, 1, 2]
    assert take(slots, holder="launcher/2")
    assert held(slots) == {0: (SlotUse.LAUNCH, "launcher/2")}


def test_a_worker_takes_over_a_launchers_slot(slots: ExecutionSlots) -> None:
    take(slots, 1)
    worker = slots.hold("execution/a", TERM)
    assert worker is not None
    assert held(slots) == {1: (SlotUse.WORK, "execution/a")}
    assert slots.view().running.starting == 0


def test_sixteen_workers_take_over_as_many_slots_as_there_are(slots: ExecutionSlots) -> None:
    for number in range(COUNT):
        take(slots, number)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda number: slots.hold(f"execution/{number}", TERM), range(16)))
    assert sorted(one.number for one in taken if one) == [0, 1, 2]
    assert slots.hold("execution/late", TERM) is None


def test_a_worker_that_was_not_launched_takes_a_free_slot(slots: ExecutionSlots) -> None:
    assert slots.hold("execution/a", TERM)
    assert slots.hold("execution/b", TERM)
    assert slots.view().running.count == 2


def test_the_next_attempt_takes_over_its_predecessors_slot_and_no_launchers(slots: ExecutionSlots) -> None:
    slots.hold("execution/a", TERM)
    take(slots, 1)
    slots.hold("execution/a", TERM)
    assert held(slots) == {0: (SlotUse.WORK, "execution/a"), 1: (SlotUse.LAUNCH, "launcher/1")}


def test_renewing_keeps_it_and_says_what_the_worker_has(slots: ExecutionSlots) -> None:
    worker = slots.hold("execution/a", OVER)
    assert worker is not None
    assert not slots.view().is_running
    worker = slots.renew(worker, TERM, TakenWork(("job1", "job2"), 90.0))
    assert worker is not None
    view = slots.view()
    assert (view.running.count, view.running.audio_seconds) == (1, 90.0)
    assert view.taken_jobs == {"job1", "job2"}
    assert slots.renew(worker, TERM)
    assert slots.view().taken_jobs == frozenset()


def test_a_slot_that_was_lost_is_neither_renewed_nor_given_up(slots: ExecutionSlots) -> None:
    worker = slots.hold("execution/a", OVER)
    assert worker
    assert slots.hold("execution/b", TERM)
    assert slots.renew(worker, TERM) is None
    assert not slots.release(worker)
    assert held(slots) == {0: (SlotUse.WORK, "execution/b")}


def test_a_renewal_whose_answer_was_lost_keeps_it(cloud: LoopbackCloud, slots: ExecutionSlots) -> None:
    worker = slots.hold("execution/a", TERM)
    assert worker
    cloud.storage_server.fail_next(1, method="POST", name_prefix="executions/", before=False)
    renewed = slots.renew(worker, TERM)
    assert renewed is not None
    assert slots.renew(renewed, TERM)


def test_giving_it_up_frees_it(slots: ExecutionSlots) -> None:
    worker = slots.hold("execution/a", TERM)
    assert worker
    assert slots.release(worker)
    assert not slots.release(worker)
    assert slots.view().free(COUNT) == [0, 1, 2]


def test_a_launch_that_failed_frees_its_slot(slots: ExecutionSlots) -> None:
    launcher = take(slots)
    take(slots, 1, "launcher/2")
    assert launcher
    slots.launch_failed(launcher)
    assert held(slots) == {1: (SlotUse.LAUNCH, "launcher/2")}


def test_a_launch_that_failed_leaves_no_slot_standing_for_a_worker_that_took_its_own(slots: ExecutionSlots) -> None:
    """The worker that the second launcher started came first, and took over the first one's slot."""
    launcher = take(slots, 0)
    take(slots, 1, "launcher/2")
    assert launcher
    slots.hold("execution/of-launcher-2", TERM)
    slots.launch_failed(launcher)
    assert held(slots) == {0: (SlotUse.WORK, "execution/of-launcher-2")}


def test_a_slot_without_quota_is_neither_free_nor_an_execution(slots: ExecutionSlots) -> None:
    launcher = take(slots, 1)
    assert launcher
    assert slots.refuse(launcher, TERM)
    view = slots.view()
    assert view.free(COUNT) == [0, 2]
    assert (view.running.count, view.running.quota_refused) == (0, True)
    assert slots.hold("execution/a", TERM)
    assert slots.refuse(launcher, TERM) is False


def test_slots_beyond_a_lowered_count_still_run(cloud: LoopbackCloud, slots: ExecutionSlots) -> None:
    take(slots, 2)
    fewer = ExecutionSlots(cloud.storage.bucket(STATE), JobDevice.GPU, 1)
    assert fewer.view().running.count == 1
    assert fewer.view().free(1) == [0]


def test_the_jobs_have_slots_of_their_own(cloud: LoopbackCloud, slots: ExecutionSlots) -> None:
    take(slots)
    assert not ExecutionSlots(cloud.storage.bucket(STATE), JobDevice.CPU, COUNT).view().is_running


def test_all_slots_are_read_by_one_listing(cloud: LoopbackCloud, slots: ExecutionSlots) -> None:
    for number in range(COUNT):
        take(slots, number)
    cloud.storage_server.fail_next(99, method="GET", name_prefix="executions/")
    assert slots.view().running.count == COUNT


def test_a_slot_that_cannot_be_read_is_free(cloud: LoopbackCloud, slots: ExecutionSlots) -> None:
    cloud.storage.bucket(STATE).blob("executions/gpu/slot-0.json").upload_from_string(b"{")
    assert slots.view().free(COUNT) == [0, 1, 2]
    assert take(slots)
