"""Joins: streams read ahead in bounded memory, compared where they meet, and each failure where it belongs."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.decoder_process.start import command
from gpu_job.audio.parallel import LEAD_FRAMES, ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Samples
from gpu_job.audio.window_joins import COMPARED_FRAMES, ReadAhead, WindowBorder, same_audio
from tests.support.dying_decoder import dying_command
from tests.support.sounds import make, noise, raw, silence, stated, tone
from tests.support.started_decoders import start_other
from tests.support.waiting import PATIENCE

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

    def endless() -> Generator[AudioBlock]:
        nonlocal given
        while not stopped.is_set():
            given += 100
            if given > 1000:
                is_full.set()
            yield AudioBlock(np.zeros((100, 1), np.float32))

    ahead = ReadAhead(endless(), stopped.set, 1000)
    assert is_full.wait(PATIENCE)
    taken = [block_length(item) for _, item in zip(range(5), ahead, strict=False)]
    time.sleep(0.1)  # in which an unbounded one would read on
    assert given <= 1000 + sum(taken) + 2 * 100
    ahead.close()
    assert stopped.is_set()
    assert "decoder" not in {thread.name for thread in threading.enumerate()}


def test_what_a_reader_met_comes_after_what_it_read() -> None:
    def breaking() -> Generator[AudioBlock]:
        yield AudioBlock(np.zeros((100, 1), np.float32))
        raise DecoderFailed("codec broke")

    ahead = ReadAhead(breaking(), lambda: None, 1000)
    blocks = iter(ahead)
    assert block_length(next(blocks)) == 100
    with pytest.raises(DecoderFailed, match="codec broke"):
        next(blocks)
    ahead.close()


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    """A noise of 70 s."""
    return make(tmp_path / "a.wav", *raw(tmp_path / "raw", noise(70, -20.0)), "-c:a", "pcm_f32le")


def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The second window's decoder crashes after so many seconds."""

    def command_of(request: DecodingRequest) -> list[str]:
        real = command(request)
        return dying_command(real, after) if request.windows and request.windows[0][0] else real

    start_other(monkeypatch, command_of)


def block_length(item: AudioBlock | WindowBorder) -> int:
    assert isinstance(item, AudioBlock)
    return len(item.samples)


def test_where_a_window_cannot_be_begun_one_decoder_goes_on(minutes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = np.concatenate(list(decode(minutes)))
    dying(monkeypatch, after=1)
    together = np.concatenate(list(decode(minutes, DecodeOptions(media=stated(minutes, "wav", 70.0), parallel=HALVES))))
    assert np.array_equal(together, alone)


def test_a_decoder_that_dies_in_its_window_leaves_what_came(minutes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = np.concatenate(list(decode(minutes)))
    dying(monkeypatch, after=20)
    came: list[Samples] = []
    with pytest.raises(DecoderFailed, match="broke off"):
        came.extend(decode(minutes, DecodeOptions(media=stated(minutes, "wav", 70.0), parallel=HALVES)))
    together = np.concatenate(came)
    assert len(together) == 35 * SAMPLE_RATE + 20 * SAMPLE_RATE - LEAD_FRAMES
    assert np.array_equal(together, alone[: len(together)])
