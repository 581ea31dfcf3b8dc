"""The child process that hears for the Deepgram stand-in: its ends, foreseen and not."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.emulators.ear import Ear
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.errors import EngineFailed
from tests.support.waiting import PATIENCE, wait_until

"""Seconds; only a broken ear uses them up."""
MEMO = recording("memo.wav").path


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear(str(MODEL_PATH))
    yield ear
    ear.stop()


def pids() -> set[int | None]:
    return {process.pid for process in multiprocessing.active_children()}


def new_pid(others: set[int | None]) -> int:
    """The process that is not one of `others`, as soon as there is one."""
    (pid,) = wait_until(lambda: pids() - others, "a new process")
    assert pid
    return pid


def during_a_hearing(ear: Ear, act: Callable[[int], None]) -> BaseException | None:
    """How a hearing ends when `act` is done to the process that hears."""
    others = pids()
    with ThreadPoolExecutor() as pool:
        hearing = pool.submit(ear.hear, MEMO)
        act(new_pid(others))
        return hearing.exception(PATIENCE)


def test_a_process_that_dies_fails_its_hearing_and_is_replaced_for_the_next(ear: Ear) -> None:
    for _ in range(2):
        error = during_a_hearing(ear, lambda pid: os.kill(pid, signal.SIGKILL))
        assert isinstance(error, EngineFailed)


def test_stop_ends_a_hearing_and_the_process(ear: Ear) -> None:
    others = pids()
    error = during_a_hearing(ear, lambda _: ear.stop())
    assert isinstance(error, EngineFailed)
    assert pids() <= others


def test_nothing_is_heard_after_stop(ear: Ear) -> None:
    others = pids()
    ear.stop()
    ear.stop()
    with pytest.raises(EngineFailed):
        ear.hear(MEMO)
    assert pids() <= others
