"""The stage, with its real networks, on the shipped recordings of two voices."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.speakers.diarizer import Diarizer
from gpu_job.speakers.networks import FRAMES, SETS, WINDOW, SpeakerNetworks, mel_features
from gpu_job.speakers.turns import Turn
from gpu_job.speakers.windows import STEP, WindowCutter
from shared.options.speaker_count import SpeakerCount
from tests.support.waiting import PATIENCE

RECORDINGS = Path(__file__).parents[3] / "infra" / "recordings"


@pytest.fixture(scope="module")
def networks() -> SpeakerNetworks:
    return SpeakerNetworks()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def hear(
    networks: Any, threads: ThreadPoolExecutor, samples: Samples, count: SpeakerCount | None = None, block: int = 7777
) -> list[Turn] | None:
    ended = threading.Event()
    diarizer = Diarizer(networks, threads, count or SpeakerCount(), ended.set)
    for at in range(0, len(samples), block):
        diarizer.add(samples[at : at + block])
    diarizer.end()
    if not diarizer.is_done:
        assert ended.wait(PATIENCE)
    return diarizer.turns()


@pytest.fixture(scope="module")
def call() -> Samples:
    return np.concatenate(list(decode(RECORDINGS / "call.opus")))


def test_two_voices_of_a_call_are_two_speakers(
    networks: SpeakerNetworks, threads: ThreadPoolExecutor, call: Samples
) -> None:
    truth = json.loads((RECORDINGS / "call.opus.truth.json").read_text())
    change = next(word["start"] for word in truth["words"] if word["word"] == "The")
    turns = hear(networks, threads, call)
    assert turns is not None
    assert {turn.speaker for turn in turns if turn.end <= change + 0.3} == {0}
    assert {turn.speaker for turn in turns if turn.start >= change - 0.3} == {1}


def test_silence_has_no_speakers(networks: SpeakerNetworks, threads: ThreadPoolExecutor) -> None:
    assert hear(networks, threads, np.zeros(25 * SAMPLE_RATE, np.float32)) == []


@pytest.mark.parametrize("length", [1, 200, 5000])
def test_a_recording_shorter_than_a_word_is_heard(
    networks: SpeakerNetworks, threads: ThreadPoolExecutor, length: int
) -> None:
    assert hear(networks, threads, np.full(length, 0.1, np.float32)) is not None


def test_nothing_at_all_is_done_at_once(networks: SpeakerNetworks, threads: ThreadPoolExecutor) -> None:
    assert hear(networks, threads, np.zeros(0, np.float32)) == []


def test_a_network_that_fails_costs_the_speakers_and_nothing_else(threads: ThreadPoolExecutor, call: Samples) -> None:
    class Broken(SpeakerNetworks):
        def probabilities(self, window: Samples) -> Any:
            raise RuntimeError("broken")

    assert hear(Broken(), threads, call) is None


def test_voices_that_cannot_be_compared_cost_the_speakers_and_nothing_else(
    threads: ThreadPoolExecutor, call: Samples
) -> None:
    class Odd(SpeakerNetworks):
        def embedding(self, features: Any) -> Any:
            return np.ones(len(features), np.float32)

    assert hear(Odd(), threads, call) is None


def test_threads_that_were_shut_down_cost_the_speakers_and_nothing_else(networks: SpeakerNetworks) -> None:
    threads = ThreadPoolExecutor(2)
    threads.shutdown()
    # More windows than may wait: none of them may be waited for.
    assert hear(networks, threads, np.zeros(40 * STEP, np.float32)) is None


def test_a_cancelled_one_lets_go_of_its_feeder(threads: ThreadPoolExecutor) -> None:
    asked = threading.Event()
    go_on = threading.Event()

    class Slow(SpeakerNetworks):
        def probabilities(self, window: Samples) -> Any:
            asked.set()
            go_on.wait(PATIENCE)
            return np.tile(np.eye(len(SETS), dtype=np.float32)[0], (FRAMES, 1))

    cancelled = threading.Event()
    diarizer = Diarizer(Slow(), threads, SpeakerCount(), lambda: None, cancelled.is_set)
    feeder = threading.Thread(target=diarizer.add, args=(np.zeros(40 * STEP, np.float32),), daemon=True)
    feeder.start()
    assert asked.wait(PATIENCE)
    assert feeder.is_alive()  # more windows than may wait
    cancelled.set()
    go_on.set()
    feeder.join(PATIENCE)
    assert not feeder.is_alive()


def test_windows_cover_every_sample_once_or_twice() -> None:
    samples = np.arange(37 * SAMPLE_RATE + 123, dtype=np.float32)
    cutter = WindowCutter()
    windows = [*cutter.add(samples[:100]), *cutter.add(samples[100:]), *cutter.end()]
    assert [start for start, _ in windows] == list(range(0, STEP * len(windows), STEP))
    assert all(len(window) == WINDOW for _, window in windows)
    start, last = windows[-1]
    assert np.array_equal(last[: len(samples) - start], samples[start:])
    assert windows[0][1][-1] == WINDOW - 1


@pytest.mark.parametrize(("seconds", "starts"), [(0.5, [0]), (7.5, [0]), (8, [0, 5]), (10, [0, 5]), (12.5, [0, 5])])
def test_the_end_of_a_recording_is_in_the_middle_half_of_a_window(seconds: float, starts: list[int]) -> None:
    cutter = WindowCutter()
    windows = [*cutter.add(np.zeros(int(seconds * SAMPLE_RATE), np.float32)), *cutter.end()]
    assert [start // SAMPLE_RATE for start, _ in windows] == starts


def test_features_of_too_few_samples_are_none() -> None:
    assert mel_features(np.zeros(399, np.float32)).shape == (0, 80)
    assert mel_features(np.zeros(400, np.float32)).shape == (1, 80)
