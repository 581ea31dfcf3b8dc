"""Decode any upload to blocks of 16 kHz samples, by one decoder or several over windows of time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gpu_job.audio.decoder.records import (
    ESTIMATE_TOLERANCE,
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
from gpu_job.audio.decoder_child import DecoderChild, DecoderFailed, DecoderLimits
from gpu_job.audio.mixdown import mix_down
from gpu_job.audio.packet_check import FrameRange, lost_by_packets
from gpu_job.audio.parallel import ParallelDecoding, Window, plan_windows
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Frames, Samples, seconds
from gpu_job.audio.window_joins import DecodingMismatch, ReadAhead, WindowBorder, join_windows
from shared.errors import BadMedia, FailureKind
from shared.media import DEMUXERS, Media
from shared.transcript.model import Gap, missing_end

MAX_SPLIT_CHANNELS = 8
"""More channels than this are not one speaker per channel."""

OVERLONG_FACTOR, OVERLONG_SECONDS = 4.0, 3600.0
"""A file whose stated length is no estimate may last so many times, or so much, longer."""

SILENCE_BLOCK_FRAMES = 5 * SAMPLE_RATE
"""A pause is handed on in blocks of this size, however long it is."""

OnDamage = Callable[[Gap], None]
OnAccount = Callable[[Account], None]

_log = logging.getLogger(__name__)


def decode(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media | None = None,
    track: int | None = None,
    parallel: ParallelDecoding | None = None,
    on_damage: OnDamage | None = None,
    on_account: OnAccount | None = None,
) -> Iterator[Samples]:
    """Blocks of the mono mix, shape [T], until the file's end: of one track, or of all where `media` says so.

    Arguments and errors are those of `decode_blocks`.
    """
    if media is not None and media.mixes_tracks and track is None:
        tracks = [each.index for each in media.tracks if each.is_readable]
        return decode_tracks(path, limits, tracks, media=media, on_damage=on_damage)
    return mix_down(
        decode_blocks(
            path,
            limits,
            media=media,
            track=track,
            parallel=parallel,
            on_damage=on_damage,
            on_account=on_account,
        )
    )


def decode_channels(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media,
    track: int | None = None,
    parallel: ParallelDecoding | None = None,
    on_damage: OnDamage | None = None,
    on_account: OnAccount | None = None,
) -> Iterator[Frames]:
    """As `decode`, with separate channels: blocks of shape [channels, T], as many as `media` states.

    Raises BadMedia also where there are more than MAX_SPLIT_CHANNELS.
    """
    if media.channels > MAX_SPLIT_CHANNELS:
        limit = f"at most {MAX_SPLIT_CHANNELS} can be transcribed separately"
        raise BadMedia(f"The recording has {media.channels} channels; {limit}.")
    for block in decode_blocks(
        path, limits, media=media, track=track, parallel=parallel, on_damage=on_damage, on_account=on_account
    ):
        missing = media.channels - block.samples.shape[1]
        frames = np.pad(block.samples, ((0, 0), (0, missing))) if missing > 0 else block.samples[:, : media.channels]
        yield np.ascontiguousarray(frames.T)


def decode_tracks(
    path: Path,
    limits: DecoderLimits,
    tracks: Sequence[int],
    *,
    media: Media | None = None,
    on_damage: OnDamage | None = None,
) -> Iterator[Samples]:
    """The mix of several tracks, one decoder each; it lasts as long as the longest. `tracks`: stream indexes.

    Raises as `decode_blocks` does.
    """
    with ExitStack() as stack:
        streams = [
            stack.enter_context(
                closing(_Decoding(path, limits, media, track, ParallelDecoding(children=1)).stream(on_damage, None))
            )
            for track in tracks
        ]
        yield from mix_down(_side_by_side(streams))


def decode_blocks(
    path: Path,
    limits: DecoderLimits,
    *,
    media: Media | None = None,
    track: int | None = None,
    parallel: ParallelDecoding | None = None,
    on_damage: OnDamage | None = None,
    on_account: OnAccount | None = None,
) -> Iterator[AudioBlock]:
    """All channels of a file, in blocks of at most 5 s, until its end.

    `media`: what inspection found; without it one process decodes. `track`: index among all of the file's streams;
    None: the one that `media` describes, else the default audio track. `on_damage` gets each lost or damaged span
    before the stream ends, also one that the header promises behind the last sample; `on_account` what the decoder
    counted, if it came to the end.
    Raises BadMedia where nothing can be decoded, DecoderFailed where the decoder stalls, crashes or
    breaks off, or the file goes on far beyond its stated length.
    """
    if track is None and media is not None and media.tracks:
        track = media.track
    return _Decoding(path, limits, media, track, parallel or ParallelDecoding()).stream(on_damage, on_account)


@dataclass
class _Decoding:
    """One track's decoding."""

    path: Path
    limits: DecoderLimits
    media: Media | None
    track: int | None
    parallel: ParallelDecoding
    losses: list[Loss] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    packets: PacketTimes | None = None
    is_windowed: bool = False

    def stream(self, on_damage: OnDamage | None, on_account: OnAccount | None) -> Generator[AudioBlock]:
        longest = self._longest_seconds() * SAMPLE_RATE
        frames_read = 0
        heard: list[FrameRange] = []
        try:
            for block in self._with_fallback():
                if not block.is_pause:
                    first = heard.pop()[0] if heard and heard[-1][1] == frames_read else frames_read
                    heard.append((first, frames_read + len(block.samples)))
                frames_read += len(block.samples)
                yield replace(block, samples=sanitized(block.samples))
                if frames_read > longest:
                    raise DecoderFailed("The file is far longer than its header states.")
            if frames_read == 0:
                raise DecoderFailed("The file has no sound.", detail=" (there is no sound in it)")
        except DecoderFailed as error:
            if frames_read == 0 and error.kind is not FailureKind.TIMEOUT:
                raise BadMedia(f"No audio could be decoded from the file{error.detail}.") from None
            raise
        else:
            account = merged_account(self.accounts)
            if self.packets is not None:
                if self.is_windowed:  # some windows may lie behind the end
                    account = replace(account, frames=frames_read)
                self.losses += lost_by_packets(self.packets, account, heard, frames_read, merged_losses(self.losses))
            # Where the format changes, packets' durations are wrong, by which inspection measures.
            is_known = account.formats <= 1 or (self.media and self.media.promised_seconds)
            if self.media and account.promised_seconds is None and is_known and on_damage:
                # Sound whose length was estimated may be longer, and the rest of the file has the wrong time already.
                gap = missing_end(
                    self.media, seconds(frames_read) + ESTIMATE_TOLERANCE * account.estimated_loss_seconds
                )
                if gap is not None:
                    on_damage(gap)
            if on_account:
                on_account(replace(account, frames=frames_read))
        finally:
            if on_damage:
                for loss in merged_losses(self.losses):
                    on_damage(Gap(start=seconds(loss.start), end=seconds(loss.end), reason=loss.reason))

    def _longest_seconds(self) -> float:
        return longest_seconds(self.media, self.path.stat().st_size)

    def _with_fallback(self) -> Iterator[AudioBlock]:
        """By several decoders, else by one, which goes on where they gave up."""
        plan = plan_windows(self.media, self.parallel) if self.media else []
        frames_read = 0
        if len(plan) > 1:
            try:
                self.is_windowed = True
                with DecoderChild(self._request([], counts_packets=True), self.limits) as counting:
                    for block in self._windows(plan):
                        frames_read += len(block.samples)
                        yield block
                    self._take_count(counting)
            except DecodingMismatch as error:
                _log.info("one decoder goes on at %.1f s: %s", seconds(frames_read), error)
                self.is_windowed = False
                self.losses.clear()
                self.accounts.clear()
            else:
                return
        whole = Window(0, None)
        request = self._request([whole], counts_packets=True)
        yield from _skip(frames_read, self._blocks(DecoderChild(request, self.limits), [whole]))

    def _take_count(self, child: DecoderChild) -> None:
        try:
            self.packets = next((each for each in child.records() if isinstance(each, PacketTimes)), None)
        except DecoderFailed as error:
            _log.warning("packets not counted", extra={"fields": {"reason": error.reason}})

    def _windows(self, plan: list[Window]) -> Iterator[AudioBlock]:
        assert self.media is not None  # it says how long the windows are
        capacity = int(self.parallel.ahead_seconds * SAMPLE_RATE) // (self.parallel.children * self.media.channels)

        def start(windows: Sequence[Window]) -> ReadAhead:
            child = DecoderChild(self._request(windows), self.limits)
            return ReadAhead(self._items(child, windows), child.kill, capacity)

        return join_windows(plan, start, self.parallel.children)

    def _request(self, windows: Sequence[Window], *, counts_packets: bool = False) -> DecodingRequest:
        return DecodingRequest(
            path=str(self.path),
            demuxers=DEMUXERS,
            track=self.track,
            windows=tuple((window.decoder_start, window.decoder_frames) for window in windows),
            longest_seconds=self._longest_seconds(),
            counts_packets=counts_packets,
        )

    def _blocks(self, child: DecoderChild, windows: Sequence[Window]) -> Iterator[AudioBlock]:
        for item in self._items(child, windows):
            if isinstance(item, AudioBlock):
                yield item

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
                        self.accounts.append(record)
                    case Refusal(only_windows=True):
                        raise DecodingMismatch(record.reason)
                    case Refusal():
                        raise DecoderFailed(f"The decoder gave up: {record.reason}.", detail=f" ({record.reason})")


def merged_losses(losses: Sequence[Loss]) -> list[Loss]:
    """In order of time, those that touch as one: what lies across a join is seen from both sides."""
    merged: list[Loss] = []
    for loss in sorted(losses, key=lambda each: (each.start, each.end)):
        if merged and loss.start <= merged[-1].end and loss.reason == merged[-1].reason:
            merged[-1] = Loss(merged[-1].start, max(loss.end, merged[-1].end), loss.reason)
        else:
            merged.append(loss)
    return merged


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


def sanitized(frames: Frames) -> Frames:
    """The frames without NaN and infinity, limited to [-1, 1]."""
    if frames.min(initial=0.0) >= -1.0 and frames.max(initial=0.0) <= 1.0:  # neither holds for NaN
        return frames
    clean: Frames = np.clip(np.nan_to_num(frames, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return clean


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


def _side_by_side(streams: Sequence[Iterator[AudioBlock]]) -> Iterator[AudioBlock]:
    """Blocks of all channels of all streams; where one has ended it is silent."""
    waiting: list[AudioBlock | None] = [next(stream, None) for stream in streams]
    widths = [block.samples.shape[1] if block else 1 for block in waiting]
    while any(waiting):
        length = min(len(block.samples) for block in waiting if block)
        parts = []
        for number, block in enumerate(waiting):
            if block is None:
                parts.append(np.zeros((length, widths[number]), np.float32))
                continue
            widths[number] = block.samples.shape[1]
            parts.append(block.samples[:length])
            rest = block.samples[length:]
            waiting[number] = AudioBlock(rest, block.layout) if len(rest) else next(streams[number], None)
        yield AudioBlock(np.concatenate(parts, axis=1))
