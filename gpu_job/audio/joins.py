"""Joins: the streams of several decoders, each read ahead by a thread, as the one that one decoder would give."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain

import numpy as np

from gpu_job.audio.ffmpeg import DecoderDied
from gpu_job.audio.parallel import LEAD, Window
from gpu_job.audio.samples import SAMPLE_RATE, Samples

CHECKED = 3 * SAMPLE_RATE
"""Frames at the lead's end that are compared. A decoder without its past is in step after some 50 ms; the length makes
it likely that there is sound."""

INAUDIBLE = 1e-4
"""-80 dB: below this there is nothing to compare."""

UNLIKE = 0.1
"""Share of the energy by which two decoders may differ: AAC fills bands with random noise of its own (PNS)."""

LAGS = 2
"""Samples by which two streams are shifted against each other to see whether they fit better so."""


class Unfit(Exception):
    """This way of decoding does not give what one decoder would; what came until now is right."""


class Ahead:
    """A stream that is read by a thread of its own, up to `capacity` frames ahead of who takes them."""

    def __init__(self, frames: Generator[Samples], stop: Callable[[], None], capacity: int) -> None:
        """`stop`: makes `frames` end soon, from any thread."""
        self._stop = stop
        self._capacity = capacity
        self._changed = threading.Condition()
        self._held: deque[Samples] = deque()
        self._size = 0
        self._error: BaseException | None = None
        self._ended = False
        self._unwanted = False
        self._thread = threading.Thread(target=self._read, args=(frames,), name="decoder", daemon=True)
        self._thread.start()

    def _read(self, frames: Generator[Samples]) -> None:
        try:
            with closing(frames):
                for block in frames:
                    with self._changed:
                        self._changed.wait_for(lambda: self._size < self._capacity or self._unwanted)
                        if self._unwanted:
                            break
                        self._held.append(block)
                        self._size += len(block)
                        self._changed.notify_all()
        except BaseException as error:  # goes on to who takes the frames
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
            self._unwanted = True
            self._changed.notify_all()
        self._stop()
        self._thread.join()


def joined(plan: Sequence[Window], start: Callable[[Window], Ahead], children: int) -> Iterator[Samples]:
    """The windows' frames, shape [T, channels], in order, each window's lead checked and left out.

    Raises Unfit where a window does not continue the one before it, and what the streams raise.
    """
    waiting, reading = deque(plan), deque[Ahead]()
    recent: deque[Samples] = deque(maxlen=8)  # more than CHECKED: all blocks but the outer ones last a second
    try:
        for window in plan:
            while waiting and len(reading) < children:
                reading.append(start(waiting.popleft()))
            blocks = iter(reading[0])
            if window.start:
                lead = _lead(blocks)
                if not alike(np.concatenate(recent)[-CHECKED:], lead[LEAD - CHECKED : LEAD]):
                    raise Unfit(f"the decoders differ at {window.start // SAMPLE_RATE} s")
                blocks = chain([lead[LEAD:]], blocks)
            came = 0
            for block in blocks:
                recent.append(block)
                came += len(block)
                yield block
            if window.end is not None and came < window.end - window.start:
                return
            reading.popleft().close()
    finally:
        for ahead in reading:
            ahead.close()


def _lead(blocks: Iterator[Samples]) -> Samples:
    """The first LEAD frames and what came along with them."""
    taken: list[Samples] = []
    try:
        while sum(map(len, taken)) < LEAD:
            taken.append(next(blocks))
    except (StopIteration, DecoderDied):
        raise Unfit("a window's decoder ended before it began") from None
    return np.concatenate(taken)


def alike(before: Samples, after: Samples) -> bool:
    """Whether two decoders gave the same sound at the same time, or nothing to hear. Shape [T, channels] each."""
    inside = slice(LAGS, len(before) - LAGS)
    if max(np.abs(before).max(), np.abs(after).max()) < INAUDIBLE:
        return True
    unlike = [
        float(np.square(before[inside] - np.roll(after, lag, axis=0)[inside]).sum()) for lag in range(-LAGS, LAGS + 1)
    ]
    return unlike[LAGS] == min(unlike) and unlike[LAGS] <= UNLIKE * float(np.square(before[inside]).sum())
