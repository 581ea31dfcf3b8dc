"""Decoding: any upload -> 16 kHz samples in one stream, by one ffmpeg process or several over windows of time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.damage import HoleFinder, united
from gpu_job.audio.ffmpeg import DecoderChild, DecoderDied, DecoderLimits, blocks
from gpu_job.audio.ffmpeg_command import Selection, command, steady_commands
from gpu_job.audio.joins import Ahead, Unfit, joined
from gpu_job.audio.parallel import UNTIMED_CONTAINERS, Parallel, Window, container_of, windows
from gpu_job.audio.phase import cancelled_by
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.errors import BadMedia, FailureKind
from shared.media import Media
from shared.transcript.model import Gap

MAX_SPLIT_CHANNELS = 8
"""A recording with more is no conversation whose speakers have a channel each."""

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included; inspection refuses headers by the same figure."""

OVERLONG_FACTOR, OVERLONG_SECONDS = 4.0, 3600.0
"""A file whose stated length is no estimate may last so many times, or so much, longer."""

FORM_CHANGED = b"non monotonically increasing dts"
"""What ffmpeg complains of when it has set up its filters anew and their clock begins at 0 again."""

CLOCKED_BY_PICTURE = frozenset({"mpeg", "mpegts"})
"""Containers in which ffmpeg starts the clock with the first stream that it reads, not the first that there is."""

DAMAGED = "The file is damaged here and cannot be read."

_log = logging.getLogger(__name__)


def decode(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media | None = None,
    parallel: Parallel | None = None,
    on_hole: Callable[[Gap], None] | None = None,
) -> Iterator[Samples]:
    """Blocks of the mono mix, shape [T], each about a second to 5 s long, until the file's end.

    Of stereo whose channels cancel each other out, the louder one.

    `media`: what inspection found; without it one process decodes. `on_hole` is told of damage inside the file before
    the stream ends. Raises BadMedia where nothing can be decoded, DecoderDied where the decoder stalls, crashes or
    breaks off, or the file goes on far beyond its stated length.
    """
    stereo = media is not None and media.channels == 2
    selection = Selection(only=cancelled_by(path, limits) if stereo else None, picture=_needs_picture(media))
    for frames in _Decoding(path, limits, selection, media, parallel or Parallel()).stream(on_hole):
        yield frames[:, 0]


def decode_channels(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media,
    parallel: Parallel | None = None,
    on_hole: Callable[[Gap], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """As `decode`, every channel for itself: blocks of shape [channels, T].

    Raises BadMedia also where there are more than MAX_SPLIT_CHANNELS.
    """
    if media.channels > MAX_SPLIT_CHANNELS:
        limit = f"at most {MAX_SPLIT_CHANNELS} can be transcribed apart"
        raise BadMedia(f"The recording has {media.channels} channels; {limit}.")
    selection = Selection(split=media.channels, picture=_needs_picture(media))
    for frames in _Decoding(path, limits, selection, media, parallel or Parallel()).stream(on_hole):
        yield np.ascontiguousarray(frames.T)


@dataclass
class _Decoding:
    """One file's decoding; frames are of shape [T, channels]."""

    path: Path
    limits: DecoderLimits
    selection: Selection
    media: Media | None
    parallel: Parallel
    finders: list[HoleFinder] = field(default_factory=list)

    def stream(self, on_hole: Callable[[Gap], None] | None) -> Iterator[Samples]:
        longest = longest_seconds(self.media, self.path.stat().st_size) * SAMPLE_RATE
        came = 0
        try:
            for frames in self._first_fit():
                came += len(frames)
                yield sound(frames)
                if came > longest:
                    raise DecoderDied("The file goes on far beyond the length that it states.")
        except DecoderDied as died:
            if came == 0 and died.kind is not FailureKind.TIMEOUT:
                raise BadMedia(f"No sound could be decoded from the file{died.detail}.") from None
            raise
        finally:
            if on_hole:
                for start, end in united(self.finders):
                    if start < came:
                        on_hole(Gap(start=start / SAMPLE_RATE, end=min(end, came) / SAMPLE_RATE, reason=DAMAGED))

    def _first_fit(self) -> Iterator[Samples]:
        """By several decoders, else by one, else by two in a pipe: each goes on where the last one proved unfit."""
        plan = windows(self.media, self.selection.channels, self.parallel) if self.media else []
        ways: list[Callable[[], Iterator[Samples]]] = [self._serial, self._steady]
        if len(plan) > 1:
            ways.insert(0, lambda: self._windowed(plan))
        came = 0
        for way in ways:
            try:
                for frames in _after(came, way()):
                    came += len(frames)
                    yield frames
            except Unfit as error:
                _log.info("decoding goes on another way from %.1f s on: %s", came / SAMPLE_RATE, error)
            else:
                return

    def _windowed(self, plan: list[Window]) -> Iterator[Samples]:
        capacity = int(self.parallel.ahead_seconds * SAMPLE_RATE) // (self.parallel.children * self.selection.channels)

        def start(window: Window) -> Ahead:
            length = window.decoder_frames
            child = DecoderChild([command(self.path, self.selection, window.decoder_start, length)], self.limits)
            return Ahead(self._frames(child, window.decoder_start, is_cut=length is not None), child.kill, capacity)

        return joined(plan, start, self.parallel.children)

    def _serial(self) -> Iterator[Samples]:
        yield from self._frames(DecoderChild([command(self.path, self.selection)], self.limits), 0)

    def _steady(self) -> Iterator[Samples]:
        has_clock = self.media is None or container_of(self.media) not in UNTIMED_CONTAINERS
        commands = steady_commands(self.path, self.selection, has_clock=has_clock)
        yield from self._frames(DecoderChild(commands, self.limits), 0, is_steady=True)

    def _frames(
        self, child: DecoderChild, start: int, *, is_cut: bool = False, is_steady: bool = False
    ) -> Generator[Samples]:
        """What a child gives from the frame `start` on, in blocks of a second or more. Raises Unfit, DecoderDied."""
        finder = HoleFinder(start)
        self.finders.append(finder)
        for block, said in blocks(child, self.selection.frame_bytes):
            if said and not is_steady and FORM_CHANGED in child.complaints:
                raise Unfit("the sample rate or the channels change")
            frames = np.frombuffer(block, "<f4").reshape(-1, self.selection.channels)
            finder.feed(frames, said)
            yield frames
        if is_cut:
            finder.finish()


def _needs_picture(media: Media | None) -> bool:
    return media is not None and media.has_video and container_of(media) in CLOCKED_BY_PICTURE


def sound(frames: Samples) -> Samples:
    """Without NaN and infinity, limited to [-1, 1]."""
    if frames.min(initial=0.0) >= -1.0 and frames.max(initial=0.0) <= 1.0:  # neither holds for NaN
        return frames
    clean: Samples = np.clip(np.nan_to_num(frames, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return clean


def longest_seconds(media: Media | None, size: int) -> float:
    """How long a file of `size` bytes may turn out to be."""
    by_size = 60.0 + size * 8 / LOWEST_BITS_PER_SECOND
    if media is None or media.duration_is_estimate:
        return by_size
    stated = media.duration_seconds
    return min(by_size, max(OVERLONG_FACTOR * stated, stated + OVERLONG_SECONDS))


def _after(skipped: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """The frames behind the first `skipped` ones."""
    for block in blocks:
        if skipped < len(block):
            yield block[skipped:]
        skipped = max(0, skipped - len(block))
