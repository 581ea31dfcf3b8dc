"""Decode any upload to one stream of 16 kHz samples, by one ffmpeg process or several over windows of time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.damage import DamageDetector, merge_damage
from gpu_job.audio.ffmpeg import DecoderChild, DecoderFailed, DecoderLimits, read_blocks
from gpu_job.audio.ffmpeg_command import Selection, command, format_change_commands
from gpu_job.audio.parallel import UNTIMED_CONTAINERS, ParallelDecoding, Window, container_of, plan_windows
from gpu_job.audio.phase_cancellation import louder_of_cancelling_channels
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audio.window_joins import DecodingMismatch, ReadAhead, join_windows
from shared.errors import BadMedia, FailureKind
from shared.media import Media
from shared.transcript.model import Gap

MAX_SPLIT_CHANNELS = 8
"""More channels than this are not one speaker per channel."""

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included; inspection refuses headers by the same figure."""

OVERLONG_FACTOR, OVERLONG_SECONDS = 4.0, 3600.0
"""A file whose stated length is no estimate may last so many times, or so much, longer."""

FORMAT_CHANGED = b"non monotonically increasing dts"
"""ffmpeg's error where the format changed: it has set up its filters anew, and their clock begins at 0 again."""

CLOCK_FROM_VIDEO = frozenset({"mpeg", "mpegts"})
"""Containers in which ffmpeg starts the clock with the first stream that it reads, not the first that there is."""

DAMAGED = "The file is damaged here and cannot be read."

_log = logging.getLogger(__name__)


def decode(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media | None = None,
    parallel: ParallelDecoding | None = None,
    on_damage: Callable[[Gap], None] | None = None,
) -> Iterator[Samples]:
    """Blocks of the mono mix, shape [T], each about a second to 5 s long, until the file's end.

    Of stereo whose channels cancel each other out, the louder one.

    `media`: what inspection found; without it one process decodes. `on_damage` gets each damaged span before the stream
    ends. Raises BadMedia where nothing can be decoded, DecoderFailed where the decoder stalls, crashes or
    breaks off, or the file goes on far beyond its stated length.
    """
    stereo = media is not None and media.channels == 2
    stream = _stream(media)
    selection = Selection(
        stream=stream,
        only=louder_of_cancelling_channels(path, limits, stream) if stereo else None,
        read_video=_needs_video(media),
    )
    for frames in _Decoding(path, limits, selection, media, parallel or ParallelDecoding()).stream(on_damage):
        yield frames[:, 0]


def decode_channels(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media,
    parallel: ParallelDecoding | None = None,
    on_damage: Callable[[Gap], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """As `decode`, with separate channels: blocks of shape [channels, T].

    Raises BadMedia also where there are more than MAX_SPLIT_CHANNELS.
    """
    if media.channels > MAX_SPLIT_CHANNELS:
        limit = f"at most {MAX_SPLIT_CHANNELS} can be transcribed separately"
        raise BadMedia(f"The recording has {media.channels} channels; {limit}.")
    selection = Selection(split=media.channels, stream=_stream(media), read_video=_needs_video(media))
    for frames in _Decoding(path, limits, selection, media, parallel or ParallelDecoding()).stream(on_damage):
        yield np.ascontiguousarray(frames.T)


@dataclass
class _Decoding:
    """One file's decoding; frames are of shape [T, channels]."""

    path: Path
    limits: DecoderLimits
    selection: Selection
    media: Media | None
    parallel: ParallelDecoding
    detectors: list[DamageDetector] = field(default_factory=list)

    def stream(self, on_damage: Callable[[Gap], None] | None) -> Iterator[Samples]:
        longest = longest_seconds(self.media, self.path.stat().st_size) * SAMPLE_RATE
        frames_read = 0
        try:
            for frames in self._with_fallbacks():
                frames_read += len(frames)
                yield sanitized(frames)
                if frames_read > longest:
                    raise DecoderFailed("The file is far longer than its header states.")
        except DecoderFailed as error:
            if frames_read == 0 and error.kind is not FailureKind.TIMEOUT:
                raise BadMedia(f"No audio could be decoded from the file{error.detail}.") from None
            raise
        finally:
            if on_damage:
                for start, end in merge_damage(self.detectors):
                    if start < frames_read:
                        on_damage(
                            Gap(start=start / SAMPLE_RATE, end=min(end, frames_read) / SAMPLE_RATE, reason=DAMAGED)
                        )

    def _with_fallbacks(self) -> Iterator[Samples]:
        """By several decoders, else by one, else by two in a pipe: each goes on where the one before gave up."""
        plan = plan_windows(self.media, self.selection.channels, self.parallel) if self.media else []
        strategies: list[Callable[[], Iterator[Samples]]] = [self._one_decoder, self._format_change]
        if len(plan) > 1:
            strategies.insert(0, lambda: self._windows(plan))
        frames_read = 0
        for strategy in strategies:
            try:
                for frames in _skip(frames_read, strategy()):
                    frames_read += len(frames)
                    yield frames
            except DecodingMismatch as error:
                _log.info("decoding strategy changed at %.1f s: %s", frames_read / SAMPLE_RATE, error)
            else:
                return

    def _windows(self, plan: list[Window]) -> Iterator[Samples]:
        capacity = int(self.parallel.ahead_seconds * SAMPLE_RATE) // (self.parallel.children * self.selection.channels)

        def start(window: Window) -> ReadAhead:
            length = window.decoder_frames
            child = DecoderChild([command(self.path, self.selection, window.decoder_start, length)], self.limits)
            return ReadAhead(self._frames(child, window.decoder_start, is_cut=length is not None), child.kill, capacity)

        return join_windows(plan, start, self.parallel.children)

    def _one_decoder(self) -> Iterator[Samples]:
        yield from self._frames(DecoderChild([command(self.path, self.selection)], self.limits), 0)

    def _format_change(self) -> Iterator[Samples]:
        has_clock = self.media is None or container_of(self.media) not in UNTIMED_CONTAINERS
        commands = format_change_commands(self.path, self.selection, has_clock=has_clock)
        yield from self._frames(DecoderChild(commands, self.limits), 0, is_format_change=True)

    def _frames(
        self, child: DecoderChild, start: int, *, is_cut: bool = False, is_format_change: bool = False
    ) -> Generator[Samples]:
        """A child's frames from `start` on, in blocks of a second or more. Raises DecodingMismatch, DecoderFailed."""
        detector = DamageDetector(start)
        self.detectors.append(detector)
        for block, stderr in read_blocks(child, self.selection.frame_bytes):
            if stderr and not is_format_change and FORMAT_CHANGED in child.stderr_tail:
                raise DecodingMismatch("the sample rate or the channels change")
            frames = np.frombuffer(block, "<f4").reshape(-1, self.selection.channels)
            detector.feed(frames, stderr)
            yield frames
        if is_cut:
            detector.finish()


def _stream(media: Media | None) -> int | None:
    return media.track if media is not None and media.tracks else None


def _needs_video(media: Media | None) -> bool:
    return media is not None and media.has_video and container_of(media) in CLOCK_FROM_VIDEO


def sanitized(frames: Samples) -> Samples:
    """The frames without NaN and infinity, limited to [-1, 1]."""
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


def _skip(skipped: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """The frames behind the first `skipped` ones."""
    for block in blocks:
        if skipped < len(block):
            yield block[skipped:]
        skipped = max(0, skipped - len(block))
