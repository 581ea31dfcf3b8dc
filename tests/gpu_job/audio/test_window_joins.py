"""Joins: streams read ahead in bounded memory, compared where they meet, and each failure where it belongs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio import decode as decode_module
from gpu_job.audio.decode import decode
from gpu_job.audio.ffmpeg import DecoderFailed, DecoderLimits
from gpu_job.audio.ffmpeg_command import Selection
from gpu_job.audio.parallel import LEAD_FRAMES, ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audio.window_joins import COMPARED_FRAMES, ReadAhead, same_audio
from tests.support.sounds import make, noise, raw, silence, stated, tone
from tests.support.waiting import PATIENCE

LIMITS = DecoderLimits()
HALVES = ParallelDecoding(children=2, ahead_seconds=120.0)


def test_what_differs_by_a_sample_does_not_join() -> None:
    sound = noise(4, -30.0)[:, None]
    assert same_audio(sound[:COMPARED_FRAMES], sound[:COMPARED_FRAMES])
    assert not same_audio(sound[:COMPARED_FRAMES], sound[1 : COMPARED_FRAMES + 1])
    low = tone(4, -20.0, 100.0)[:, None]
    assert not same_audio(low[:COMPARED_FRAMES], low[1 : COMPARED_FRAMES + 1])
    assert not same_audio(sound[:COMPARED_FRAMES], noise(4, -30.0, seed=1)[:COMPARED_FRAMES, None])
    assert same_audio(silence(3)[:, None], silence(3)[:, None])
    assert not same_audio(silence(3)[:, None], sound[:COMPARED_FRAMES])
    assert LEAD_FRAMES > COMPARED_FRAMES


def test_a_reader_is_no_further_ahead_than_it_may() -> None:
    given = 0
    stopped, is_full = threading.Event(), threading.Event()

    def endless() -> Generator[Samples]:
        nonlocal given
        while not stopped.is_set():
            given += 100
            if given > 1000:
                is_full.set()
            yield np.zeros((100, 1), np.float32)

    ahead = ReadAhead(endless(), stopped.set, 1000)
    assert is_full.wait(PATIENCE)
    taken = [len(block) for _, block in zip(range(5), ahead, strict=False)]
    time.sleep(0.1)  # in which an unbounded one would read on
    assert given <= 1000 + sum(taken) + 2 * 100
    ahead.close()
    assert stopped.is_set()
    assert "decoder" not in {thread.name for thread in threading.enumerate()}


def test_what_a_reader_met_comes_after_what_it_read() -> None:
    def breaking() -> Generator[Samples]:
        yield np.zeros((100, 1), np.float32)
        raise DecoderFailed("codec broke")

    ahead = ReadAhead(breaking(), lambda: None, 1000)
    blocks = iter(ahead)
    assert len(next(blocks)) == 100
    with pytest.raises(DecoderFailed, match="codec broke"):
        next(blocks)
    ahead.close()


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    """A noise of 70 s."""
    return make(tmp_path / "a.wav", *raw(tmp_path / "raw", noise(70, -20.0)), "-c:a", "pcm_f32le")


def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The decoders of all windows but the first give so many seconds and crash."""
    real = decode_module.command

    def command(path: Path, selection: Selection, start: int = 0, frames: int | None = None) -> list[str]:
        arguments = real(path, selection, start, frames)
        if start == 0:
            return arguments
        size = after * SAMPLE_RATE * 4
        script = f"import os, subprocess; p = subprocess.Popen({arguments!r}, stdout=-1); left = {size}\n"
        script += "while left: left -= os.write(1, p.stdout.read(min(left, 65536)))\np.kill(); p.wait(); os.abort()"
        return [sys.executable, "-c", script]

    monkeypatch.setattr(decode_module, "command", command)


def test_where_a_window_cannot_be_begun_one_decoder_goes_on(minutes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = np.concatenate(list(decode(minutes, LIMITS)))
    dying(monkeypatch, after=1)
    together = np.concatenate(list(decode(minutes, LIMITS, media=stated(minutes, "wav", 70.0), parallel=HALVES)))
    assert np.array_equal(together, alone)


def test_a_decoder_that_dies_in_its_window_leaves_what_came(minutes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = np.concatenate(list(decode(minutes, LIMITS)))
    dying(monkeypatch, after=20)
    came: list[Samples] = []
    with pytest.raises(DecoderFailed, match="broke off"):
        came.extend(decode(minutes, LIMITS, media=stated(minutes, "wav", 70.0), parallel=HALVES))
    together = np.concatenate(came)
    assert len(together) == 35 * SAMPLE_RATE + 20 * SAMPLE_RATE - LEAD_FRAMES
    assert np.array_equal(together, alone[: len(together)])
