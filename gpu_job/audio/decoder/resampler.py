"""A stretch of sound of one format -> interleaved float32 at 16 kHz, all channels as they are, by FFmpeg's filters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, Frame, OutputFrame, SoundFormat

MAX_BLOCK_SAMPLES = 48_000
"""At the sound's own rate. Codec frames are joined into blocks of so many samples, or of 1 s, before they are
resampled: frames of 20 ms one by one take 1.3 times as long and give the same samples. With 64 channels a block has
12 MB. A decoder that crashes takes what it has not handed on with it; the reader joins what it gets (`records.py`)."""

MAX_CHANNELS = 64
"""As many as FFmpeg's resampler takes."""


def grid_step(rate: int) -> int:
    """Samples at `rate` between instants that are whole samples of the output, too.

    A resampler that begins at such an instant gives the samples that one which began earlier gives.
    """
    return rate // math.gcd(rate, OUTPUT_RATE)


class Stretch(Protocol):
    """Takes frames of one format; nothing of them is lost at the end if `finish` is called."""

    def push(self, frame: Frame, samples: int) -> Iterable[memoryview]:
        """Add a frame, which has so many samples; the answer is what is ready, in blocks."""
        ...

    def finish(self) -> Iterable[memoryview]:
        """All that is left."""
        ...


def stretch(sound: SoundFormat, frame: Frame, *, leading_silence: int = 0, skipped: int = 0) -> Stretch:
    """For what begins with a frame of that format; in samples at its own rate: put before the first sample, or left out
    of the first frames."""
    if isinstance(frame, OutputFrame):
        return Joiner(sound, skipped=skipped)  # every instant is one of the output's grid: there is nothing to lead
    return Resampler(sound, leading_silence=leading_silence, skipped=skipped)


class Joiner:
    """Joins samples that are at the output's rate into blocks of a second."""

    def __init__(self, sound: SoundFormat, *, skipped: int = 0) -> None:
        self._frame_bytes = 4 * sound.channels
        self._block = sound.rate
        self._parts: list[bytes] = []
        self._held = 0
        self._skipped = skipped

    def push(self, frame: Frame, samples: int) -> Iterable[memoryview]:
        """As a Stretch."""
        assert isinstance(frame, OutputFrame)  # of one format
        data = frame.data
        if self._skipped:
            left_out = min(self._skipped, samples)
            self._skipped -= left_out
            samples -= left_out
            data = data[left_out * self._frame_bytes :]
        self._parts.append(data)
        self._held += samples
        return () if self._held < self._block else self.finish()

    def finish(self) -> Iterable[memoryview]:
        """As a Stretch."""
        joined = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return (memoryview(joined),) if joined else ()


class Resampler:
    """Takes FFmpeg's frames, as a Stretch."""

    def __init__(self, sound: SoundFormat, *, leading_silence: int = 0, skipped: int = 0) -> None:
        """In samples at the sound's own rate: put before the first sample, or left out of the first frames."""
        graph = Graph()
        layout = sound.layout.replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")
        source = f"sample_rate={sound.rate}:sample_fmt={sound.sample_format}:time_base=1/{sound.rate}"
        chain = [graph.add("abuffer", f"{source}:channel_layout='{layout}'")]
        if skipped:
            chain.append(graph.add("atrim", f"start_sample={skipped}"))
        if leading_silence:
            chain.append(graph.add("adelay", f"delays={leading_silence}S:all=1"))
        self._block = min(sound.rate, MAX_BLOCK_SAMPLES)
        chain.append(graph.add("asetnsamples", f"n={self._block}:p=0"))
        chain.append(graph.add("aresample", str(OUTPUT_RATE)))
        chain.append(graph.add("aformat", "sample_fmts=flt"))
        chain.append(graph.add("abuffersink"))
        graph.link_nodes(*chain).configure()
        self._graph = graph
        self._source, self._sink = chain[0], chain[-1]
        self._sample_bytes = 4 * sound.channels
        self._pushed = leading_silence - skipped

    def push(self, frame: Frame, samples: int) -> Iterable[memoryview]:
        """As a Stretch."""
        assert isinstance(frame, AudioFrame)  # of one format
        self._source.push(frame)
        self._pushed += samples
        # An attempt that finds nothing costs as much as decoding a frame.
        if self._pushed <= self._block:
            return ()
        self._pushed %= self._block
        return self._ready()

    def finish(self) -> Iterator[memoryview]:
        """As a Stretch."""
        self._source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[memoryview]:
        while True:
            try:
                block = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(block, AudioFrame)
            yield memoryview(block.planes[0])[: block.samples * self._sample_bytes]
