"""Join the streams of several decoders, each read ahead by a thread, into the stream that one decoder would give."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain

import numpy as np

from gpu_job.audio.ffmpeg import DecoderFailed
from gpu_job.audio.parallel import LEAD_FRAMES, Window
from gpu_job.audio.samples import SAMPLE_RATE, Samples

COMPARED_FRAMES = 3 * SAMPLE_RATE
"""Frames at the lead's end that are compared. A decoder that starts in mid-file gives the right samples after some
50 ms; the length makes it likely that there is sound."""

INAUDIBLE = 1e-4
"""-80 dB: below this there is nothing to compare."""

MAX_DIFFERENCE = 0.1
"""Share of the energy by which two decoders may differ: AAC fills bands with random noise of its own (PNS)."""

MAX_LAG = 2
"""Samples by which two streams are shifted against each other to see whether they match better that way."""


class DecodingMismatch(Exception):
    """This strategy would not give the samples that one decoder gives; those that came until now are right."""


class ReadAhead:
    """A stream that is read by a thread of its own, up to `capacity` frames ahead of its consumer."""

    def __init__(self, frames: Generator[Samples], stop: Callable[[], None], capacity: int) -> None:
        """`stop`: makes `frames` end soon, from any thread."""
        self._stop = stop
        self._capacity = capacity
        self._changed = threading.Condition()
        self._held: deque[Samples] = deque()
        self._size = 0
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._read, args=(frames,), name="decoder", daemon=True)
        self._thread.start()

    def _read(self, frames: Generator[Samples]) -> None:
        try:
            with closing(frames):
                for block in frames:
                    with self._changed:
                        self._changed.wait_for(lambda: self._size < self._capacity or self._closed)
                        if self._closed:
                            break
                        self._held.append(block)
                        self._size += len(block)
                        self._changed.notify_all()
        except BaseException as error:  # raised again by `__iter__`
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Samples]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held or self._ended)
                if not self._held:
                    break
                block = self._held.popleft()
                self._size -= len(block)
                self._changed.notify_all()
            yield block
        if self._error:
            raise self._error

    def close(self) -> None:
        """End the thread and what it reads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._stop()
        self._thread.join()


def join_windows(plan: Sequence[Window], start: Callable[[Window], ReadAhead], children: int) -> Iterator[Samples]:
    """The windows' frames, shape [T, channels], in order, each window's lead checked and left out.

    Raises DecodingMismatch where a window does not continue the one before it, and what the streams raise.
    """
    waiting, reading = deque(plan), deque[ReadAhead]()
    recent: deque[Samples] = deque(maxlen=8)  # more than CHECKED: all blocks but the outer ones last a second
    try:
        for window in plan:
            while waiting and len(reading) < children:
                reading.append(start(waiting.popleft()))
            blocks = iter(reading[0])
            if window.start:
                lead = _read_lead(blocks)
                if not same_audio(
                    np.concatenate(recent)[-COMPARED_FRAMES:], lead[LEAD_FRAMES - COMPARED_FRAMES : LEAD_FRAMES]
                ):
                    raise DecodingMismatch(f"the decoders differ at {window.start // SAMPLE_RATE} s")
                blocks = chain([lead[LEAD_FRAMES:]], blocks)
            taken = 0
            for block in blocks:
                recent.append(block)
                taken += len(block)
                yield block
            if window.end is not None and taken < window.end - window.start:
                return
            reading.popleft().close()
    finally:
        for stream in reading:
            stream.close()


def _read_lead(blocks: Iterator[Samples]) -> Samples:
    """The first LEAD frames and what came along with them."""
    taken: list[Samples] = []
    try:
        while sum(map(len, taken)) < LEAD_FRAMES:
            taken.append(next(blocks))
    except (StopIteration, DecoderFailed):
        raise DecodingMismatch("a window's decoder ended before it began") from None
    return np.concatenate(taken)


def same_audio(before: Samples, after: Samples) -> bool:
    """Whether two decoders gave the same samples at the same time, or only silence. Shape [T, channels] each."""
    inside = slice(MAX_LAG, len(before) - MAX_LAG)
    if max(np.abs(before).max(), np.abs(after).max()) < INAUDIBLE:
        return True
    differences = [
        float(np.square(before[inside] - np.roll(after, lag, axis=0)[inside]).sum())
        for lag in range(-MAX_LAG, MAX_LAG + 1)
    ]
    aligned, energy = differences[MAX_LAG], float(np.square(before[inside]).sum())
    return aligned == min(differences) and aligned <= MAX_DIFFERENCE * energy
