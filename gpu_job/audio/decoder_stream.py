"""One track as a stream of blocks, from one decoder or from several over windows of time; what they tell is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import (
    Account,
    DecodingRequest,
    Format,
    Loss,
    PacketTimes,
    Refusal,
    SampleBytes,
    Silence,
    WindowEnd,
    longest_possible_seconds,
)
from gpu_job.audio.decoder_process.child import DecoderChild, DecoderFailed
from gpu_job.audio.parallel import Window, can_begin_anywhere, plan_part, plan_windows
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Frames, seconds
from gpu_job.audio.window_joins import DecodingMismatch, ReadAhead, WindowBorder, join_windows
from shared.media import DEMUXERS, Media

OVERLONG_FACTOR, OVERLONG_SECONDS = 4.0, 3600.0
"""A file whose stated length is no estimate may last so many times, or so much, longer."""

SILENCE_BLOCK_FRAMES = 5 * SAMPLE_RATE
"""A pause is handed on in blocks of this size, however long it is."""

_log = logging.getLogger(__name__)


class InexactPart(Exception):
    """A part of the file has to be decoded from the file's start: what came of it until now may be wrong."""


class DecoderStream:
    """One track's decoding."""

    def __init__(self, path: Path, options: DecodeOptions) -> None:
        self.losses: list[Loss] = []
        self.packets: PacketTimes | None = None
        """None until the end, and where they could not be counted."""
        self.longest_seconds = longest_seconds(options.media, path.stat().st_size)
        self._path = path
        self._options = options
        self._accounts: list[Account] = []
        self._is_windowed = False

    def account(self, frames: int) -> Account:
        """What all decoders counted together, at the end of a stream of so many frames."""
        account = merged_account(self._accounts)
        # Some windows may lie behind the end.
        return replace(account, frames=frames) if self._is_windowed else account

    def blocks(self) -> Iterator[AudioBlock]:
        """By several decoders, else by one, which goes on where they gave up; a part of the file by several alone.

        Raises DecoderFailed, and InexactPart where a part's samples may not be those of the whole file."""
        media = self._options.media
        if self._options.part is not None:
            yield from self._part(self._options.part)
            return
        plan = plan_windows(media, self._options.parallel) if media else []
        frames_read = 0
        if media and len(plan) > 1:
            try:
                self._is_windowed = True
                with self.counting() as counting:
                    for block in self._windows(plan, media.channels):
                        frames_read += len(block.samples)
                        yield block
                    self._take_count(counting)
            except DecodingMismatch as error:
                _log.info("one decoder goes on at %.1f s: %s", seconds(frames_read), error)
                self._is_windowed = False
                self.losses.clear()
                self._accounts.clear()
            else:
                return
        whole = Window(0, None)
        child = DecoderChild(self._request([whole], counts_packets=True), self._options.limits)
        items = self._items(child, [whole])
        yield from _skip(frames_read, (item for item in items if isinstance(item, AudioBlock)))

    def counting(self, part: tuple[int, int | None] | None = None) -> DecoderChild:
        """A decoder that only counts packets: of the whole track, of which it writes PacketTimes, or those that begin
        in these seconds, of which it writes a CountedPart, where they can be counted so."""
        request = replace(self._request([], counts_packets=True), counted_part=part)
        return DecoderChild(request, self._options.limits)

    def _part(self, part: Window) -> Iterator[AudioBlock]:
        media = self._options.media
        if media is None or not can_begin_anywhere(media):
            raise InexactPart("the file can be decoded from its start only")
        try:
            yield from self._windows(plan_part(media, self._options.parallel, part), media.channels, np.array_equal)
        except (DecodingMismatch, DecoderFailed) as error:
            raise InexactPart(str(error)) from None

    def _windows(
        self, plan: Sequence[Window], channels: int, is_same: Callable[[Frames, Frames], bool] | None = None
    ) -> Iterator[AudioBlock]:
        parallel = self._options.parallel
        capacity = int(parallel.ahead_seconds * SAMPLE_RATE) // (parallel.children * channels)

        def start(windows: Sequence[Window]) -> ReadAhead:
            child = DecoderChild(self._request(windows), self._options.limits)
            return ReadAhead(self._items(child, windows), child.kill, capacity)

        return join_windows(plan, start, parallel.children, is_same)

    def _take_count(self, child: DecoderChild) -> None:
        try:
            self.packets = next((each for each in child.records() if isinstance(each, PacketTimes)), None)
        except DecoderFailed as error:
            _log.warning("packets not counted", extra={"fields": {"reason": error.reason}})

    def _request(self, windows: Sequence[Window], *, counts_packets: bool = False) -> DecodingRequest:
        return DecodingRequest(
            path=str(self._path.absolute()),
            demuxers=DEMUXERS,
            arrival=None if self._options.arrival is None else str(self._options.arrival.absolute()),
            track=self._options.stream_index,
            windows=tuple((window.decoder_start, window.decoder_frames) for window in windows),
            longest_seconds=self.longest_seconds,
            counts_packets=counts_packets,
        )

    def _items(self, child: DecoderChild, windows: Sequence[Window]) -> Generator[AudioBlock | WindowBorder]:
        """A decoder's blocks and the ends of its windows. Raises DecodingMismatch, DecoderFailed."""
        stated = Format(1, None)
        waiting = list(windows)
        with child:
            for record in child.records():
                match record:
                    case Format():
                        stated = record
                    case SampleBytes(data):
                        frames = np.frombuffer(data, "<f4").reshape(-1, stated.channels)
                        yield AudioBlock(frames, stated.layout)
                    case Silence(frames=count):
                        for length in block_lengths(count):
                            frames = np.zeros((length, stated.channels), np.float32)
                            yield AudioBlock(frames, stated.layout, is_pause=True)
                    case Loss() if record.end > waiting[0].start or record.start == record.end >= waiting[0].start:
                        self.losses.append(record)
                    case WindowEnd():
                        waiting.pop(0)
                        yield WindowBorder()
                    case PacketTimes():
                        self.packets = record
                    case Account():
                        self._accounts.append(record)
                    case Refusal(only_windows=True):
                        raise DecodingMismatch(record.reason)
                    case Refusal():
                        raise DecoderFailed(f"The decoder gave up: {record.reason}.", detail=f" ({record.reason})")


def merged_account(accounts: Sequence[Account]) -> Account:
    """What the decoders of all windows counted together."""
    promised = [account.promised_seconds for account in accounts if account.promised_seconds is not None]
    return Account(
        packets=sum(account.packets for account in accounts),
        packet_seconds=sum(account.packet_seconds for account in accounts),
        decoded_seconds=sum(account.decoded_seconds for account in accounts),
        refused_packets=sum(account.refused_packets for account in accounts),
        formats=max((account.formats for account in accounts), default=0),
        frames=max((account.frames for account in accounts), default=0),
        estimated_loss_seconds=sum(account.estimated_loss_seconds for account in accounts),
        promised_seconds=max(promised, default=None),
    )


def longest_seconds(media: Media | None, size: int) -> float:
    """How long a file of `size` bytes may turn out to be."""
    by_size = longest_possible_seconds(size)
    if media is None or media.duration_is_estimate:
        return by_size
    stated = media.duration_seconds
    return min(by_size, max(OVERLONG_FACTOR * stated, stated + OVERLONG_SECONDS))


def block_lengths(frames: int) -> Iterator[int]:
    """Of the blocks in which so much silence is handed on."""
    while frames > 0:
        yield min(frames, SILENCE_BLOCK_FRAMES)
        frames -= SILENCE_BLOCK_FRAMES


def _skip(skipped: int, blocks: Iterator[AudioBlock]) -> Iterator[AudioBlock]:
    """The frames behind the first `skipped` ones."""
    for block in blocks:
        if skipped < len(block.samples):
            yield replace(block, samples=block.samples[skipped:])
        skipped = max(0, skipped - len(block.samples))
