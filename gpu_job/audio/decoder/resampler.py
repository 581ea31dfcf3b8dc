"""A stretch of sound of one format -> interleaved float32 at 16 kHz, all channels as they are, by FFmpeg's filters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

OUTPUT_RATE = 16_000
"""Frames per second of the output."""

MAX_BLOCK_SAMPLES = 48_000
"""At the sound's own rate. Codec frames are joined into blocks of so many samples, or of 1 s, before they are
resampled: frames of 20 ms one by one take 1.3 times as long and give the same samples. With 64 channels a block has
12 MB. A decoder that crashes takes what it has not handed on with it; the reader joins what it gets (`records.py`)."""

MAX_CHANNELS = 64
"""As many as FFmpeg's resampler takes."""


class SoundFormat(NamedTuple):
    """What a stretch has throughout."""

    rate: int
    sample_format: str
    layout: str
    """FFmpeg's description, for example `stereo` or `6 channels`."""
    channels: int


def format_of(frame: AudioFrame) -> SoundFormat:
    """A decoded frame's format."""
    layout = frame.layout
    return SoundFormat(frame.sample_rate, frame.format.name, layout.name, layout.nb_channels)


def channel_names(frame: AudioFrame) -> tuple[str, ...] | None:
    """FFmpeg's name of each channel; None where the file does not state a layout."""
    names = tuple(channel.name for channel in frame.layout.channels)
    return None if not names or "NONE" in names or len(names) != frame.layout.nb_channels else names


def grid_step(rate: int) -> int:
    """Samples at `rate` between instants that are whole samples of the output, too.

    A resampler that begins at such an instant gives the samples that one which began earlier gives.
    """
    return rate // math.gcd(rate, OUTPUT_RATE)


class Resampler:
    """Takes frames of one format; nothing of them is lost at the end if `finish` is called."""

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

    def push(self, frame: AudioFrame, samples: int) -> Iterable[memoryview]:
        """Add a frame, which has so many samples; the answer is what is ready, in blocks."""
        self._source.push(frame)
        self._pushed += samples
        # An attempt that finds nothing costs as much as decoding a frame.
        if self._pushed <= self._block:
            return ()
        self._pushed %= self._block
        return self._ready()

    def finish(self) -> Iterator[memoryview]:
        """All that is left."""
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
