"""The Deepgram stand-in's child process: how it ends, on request and otherwise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.emulators.processes import ProcessGroup
from infra.emulators.transcriber_process import TranscriberProcess
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from shared.deepgram_request import DeepgramRequest
from shared.errors import EngineFailed
from tests.support.recorded_processes import recording_process_type
from tests.support.waiting import PATIENCE, wait_until

MEMO = recording("memo.wav").path


@pytest.fixture
def process_type_and_started() -> tuple[type[ProcessGroup], list[ProcessGroup]]:
    return recording_process_type()


@pytest.fixture
def started(process_type_and_started: tuple[type[ProcessGroup], list[ProcessGroup]]) -> list[ProcessGroup]:
    """The processes of the transcriber, the oldest first."""
    return process_type_and_started[1]


@pytest.fixture
def transcriber(
    process_type_and_started: tuple[type[ProcessGroup], list[ProcessGroup]], tmp_path: Path
) -> Iterator[TranscriberProcess]:
    transcriber = TranscriberProcess(str(ONNX_PATH), tmp_path / "log", process_type_and_started[0])
    yield transcriber
    transcriber.stop()


def during_a_transcription(
    transcriber: TranscriberProcess, started: list[ProcessGroup], act: Callable[[int], None]
) -> BaseException | None:
    """How a transcription ends when `act` is done to its process."""
    others = len(started)
    with ThreadPoolExecutor() as pool:
        transcription = pool.submit(transcriber.transcribe, MEMO, DeepgramRequest("en"))
        wait_until(lambda: len(started) > others, "a new process")
        act(started[-1].pid)
        return transcription.exception(PATIENCE)


def test_a_process_that_dies_fails_its_transcription_and_is_replaced(
    transcriber: TranscriberProcess, started: list[ProcessGroup]
) -> None:
    for _ in range(2):
        error = during_a_transcription(transcriber, started, lambda pid: os.kill(pid, signal.SIGKILL))
        assert isinstance(error, EngineFailed)
    assert len(started) == 2


def test_stop_ends_a_transcription_and_the_process(
    transcriber: TranscriberProcess, started: list[ProcessGroup]
) -> None:
    error = during_a_transcription(transcriber, started, lambda _: transcriber.stop())
    assert isinstance(error, EngineFailed)
    (process,) = started
    assert process.poll() is not None


def test_nothing_is_transcribed_after_stop(transcriber: TranscriberProcess, started: list[ProcessGroup]) -> None:
    transcriber.stop()
    transcriber.stop()
    with pytest.raises(EngineFailed):
        transcriber.transcribe(MEMO, DeepgramRequest("en"))
    assert started == []
