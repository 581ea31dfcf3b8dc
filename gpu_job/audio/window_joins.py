"""Join the streams of several decoders, each read ahead by a thread, into the stream that one decoder would give."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import TypeAlias

import numpy as np

from gpu_job.audio.decoder_process.child import DecoderFailed
from gpu_job.audio.parallel import Window
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Frames

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


class WindowBorder:
    """Stands in a decoder's stream where one of its windows ends."""


Item: TypeAlias = AudioBlock | WindowBorder


class ReadAhead:
    """A stream that is read by a thread of its own, up to `capacity` frames ahead of its consumer."""

    def __init__(self, items: Generator[Item], stop: Callable[[], None], capacity: int) -> None:
        """`stop`: makes `items` end soon, from any thread."""
        self._stop = stop
        self._capacity = capacity
        self._changed = threading.Condition()
        self._held: deque[Item] = deque()
        self._size = 0
        self._error: BaseException | None = None
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._read, args=(items,), name="decoder", daemon=True)
        self._thread.start()

    def _read(self, items: Generator[Item]) -> None:
        try:
            with closing(items):
                for item in items:
                    with self._changed:
                        self._changed.wait_for(lambda: self._size < self._capacity or self._closed)
                        if self._closed:
                            break
                        self._held.append(item)
                        self._size += _frames(item)
                        self._changed.notify_all()
        except BaseException as error:  # raised again by `__iter__`
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held or self._ended)
                if not self._held:
                    break
                item = self._held.popleft()
                self._size -= _frames(item)
                self._changed.notify_all()
            yield item
        if self._error:
            raise self._error

    def close(self) -> None:
        """End the thread and what it reads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._stop()
        self._thread.join()


def join_windows(
    plan: Sequence[Window],
    start: Callable[[Sequence[Window]], ReadAhead],
    children: int,
    is_same: Callable[[Frames, Frames], bool] | None = None,
) -> Iterator[AudioBlock]:
    """The windows' blocks in order, each window's lead checked and left out. A decoder has every `children`th window.

    `is_same`: compares the samples of two decoders, of shape [T, channels]; None: `same_audio`. There is nothing to
    compare the first window's lead with.
    Raises DecodingMismatch where a window does not continue the one before it, and what the streams raise.
    """
    streams: list[ReadAhead] = []
    recent: deque[Frames] = deque(maxlen=8)  # more than COMPARED_FRAMES: all blocks but the outer ones last a second
    try:
        streams.extend(start(plan[number::children]) for number in range(min(children, len(plan))))
        readers = [iter(stream) for stream in streams]
        for number, window in enumerate(plan):
            blocks = _until_border(readers[number % children])
            if window.start:
                blocks = _behind_lead(blocks, recent if number else None, window, is_same or same_audio)
            taken = 0
            for block in blocks:
                recent.append(block.samples[-COMPARED_FRAMES:].copy())  # else it keeps 8 whole blocks
                taken += len(block.samples)
                yield block
            if window.end is not None and taken < window.end - window.start:
                # The file is shorter than its header says; a decoder that gave up must not hide what comes later.
                for later in range(number + 1, len(plan)):
                    frames = sum(len(block.samples) for block in _until_border(readers[later % children]))
                    if frames > plan[later].lead:
                        raise DecodingMismatch(
                            f"a decoder ended early, in the window at {window.start // SAMPLE_RATE} s"
                        )
                break
        for reader in readers:
            deque(reader, maxlen=0)  # behind its last window a decoder gives its account
    finally:
        for stream in streams:
            stream.close()


def _until_border(items: Iterator[Item]) -> Iterator[AudioBlock]:
    for item in items:
        if isinstance(item, WindowBorder):
            return
        yield item


def _behind_lead(
    blocks: Iterator[AudioBlock],
    before: Iterable[Frames] | None,
    window: Window,
    is_same: Callable[[Frames, Frames], bool],
) -> Iterator[AudioBlock]:
    """The blocks without the lead, in which there have to be the samples that came `before`, if any did."""
    lead: list[AudioBlock] = []
    frames = window.start - window.decoder_start
    try:
        while sum(len(block.samples) for block in lead) < frames:
            lead.append(next(blocks))
    except (StopIteration, DecoderFailed):
        raise DecodingMismatch("a window's decoder ended before it began") from None
    channels = lead[-1].samples.shape[1]
    if any(frames.shape[1] != channels for frames in (*(before or ()), *(block.samples for block in lead))):
        raise DecodingMismatch("the channels change")
    taken = np.concatenate([block.samples for block in lead])
    compared = taken[frames - COMPARED_FRAMES : frames]
    if before is not None and not is_same(np.concatenate(list(before))[-COMPARED_FRAMES:], compared):
        raise DecodingMismatch(f"the decoders differ at {window.start // SAMPLE_RATE} s")
    rest = taken[frames:]
    return chain([replace(lead[-1], samples=rest)] if len(rest) else [], blocks)


def _frames(item: Item) -> int:
    return len(item.samples) if isinstance(item, AudioBlock) else 0


def same_audio(before: Frames, after: Frames) -> bool:
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
