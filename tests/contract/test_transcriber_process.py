"""The Deepgram stand-in's child process: how it ends, on request and otherwise."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.emulators.transcriber_process import TranscriberProcess
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from shared.errors import EngineFailed
from tests.support.waiting import PATIENCE, wait_until

"""Seconds; only a broken transcriber uses them up."""
MEMO = recording("memo.wav").path


@pytest.fixture
def transcriber() -> Iterator[TranscriberProcess]:
    transcriber = TranscriberProcess(str(MODEL_PATH))
    yield transcriber
    transcriber.stop()


def pids() -> set[int | None]:
    return {process.pid for process in multiprocessing.active_children()}


def new_pid(others: set[int | None]) -> int:
    """The process that is not one of `others`, as soon as there is one."""
    (pid,) = wait_until(lambda: pids() - others, "a new process")
    assert pid
    return pid


def during_a_transcription(transcriber: TranscriberProcess, act: Callable[[int], None]) -> BaseException | None:
    """How a transcription ends when `act` is done to its process."""
    others = pids()
    with ThreadPoolExecutor() as pool:
        transcription = pool.submit(transcriber.transcribe, MEMO)
        act(new_pid(others))
        return transcription.exception(PATIENCE)


def test_a_process_that_dies_fails_its_transcription_and_is_replaced(
    transcriber: TranscriberProcess,
) -> None:
    for _ in range(2):
        error = during_a_transcription(transcriber, lambda pid: os.kill(pid, signal.SIGKILL))
        assert isinstance(error, EngineFailed)


def test_stop_ends_a_transcription_and_the_process(transcriber: TranscriberProcess) -> None:
    others = pids()
    error = during_a_transcription(transcriber, lambda _: transcriber.stop())
    assert isinstance(error, EngineFailed)
    assert pids() <= others


def test_nothing_is_transcribed_after_stop(transcriber: TranscriberProcess) -> None:
    others = pids()
    transcriber.stop()
    transcriber.stop()
    with pytest.raises(EngineFailed):
        transcriber.transcribe(MEMO)
    assert pids() <= others
