"""PyAV restricted: known demuxers only, no second file, no protocol, no video decoder, no line on stderr."""

from __future__ import annotations

import ctypes
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import av
import av._core
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from shared.errors import BadMedia
from shared.formats.av_tracks import audio_tracks
from shared.formats.tracks import AudioTrack, RequestedTrack, chosen_track
from shared.media import DEMUXERS
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.ranged_reader import RandomAccess

PROBING_DECODERS = (
    "aac", "aac_latm", "ac3", "eac3", "dca", "flac", "mlp", "pcm_bluray", "pcm_dvd", "s302m", "truehd"
)  # fmt: skip
"""Codecs whose streams show channels and sample rate only to a decoder of one frame."""

OPTIONS = {
    "format_whitelist": ",".join(DEMUXERS),
    "protocol_whitelist": "none",
    "codec_whitelist": ",".join(PROBING_DECODERS),
    "probesize": str(HEAD_BYTES),
    "skip_estimate_duration_from_pts": "1",
    "use_odml": "0",
}
"""For every demuxer; `use_odml`, AVI only, leaves indexes that are spread over the whole file unread."""

READ_BYTES = 8 * 1024
"""What FFmpeg reads at a time, so also the most it reads for nothing where it is stopped."""

FIRST_PACKET_WITHIN = 512 * 1024
"""Bytes into the file within which the audio should begin."""

RESYNC_BYTES = 8 * 1024
"""Skipped after a seek: a parser takes arbitrary bytes for frames before it finds the true ones."""

MAX_ALLOCATION_BYTES = 64 * 2**20
"""Largest block of memory that FFmpeg may ask for: a chunk header of eight bytes can make it claim gigabytes."""

# PyAV has no word for this; the symbol is found through what its core module is linked with.
ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


class Undemuxable(Exception):
    """No known demuxer can read the file."""


@dataclass(frozen=True)
class Description:
    """What the header says about one audio stream; 0 where it says nothing."""

    container: str
    decoder: str
    """FFmpeg's name of the decoder that it has for the codec."""
    tracks: tuple[AudioTrack, ...]
    """All of the file."""
    codec: str
    stream_index: int
    stream_id: int
    sample_rate_hz: int
    channels: int
    bits_per_second: int
    stated_seconds: float
    """Of the stream, else of the file."""
    track_seconds: float | None
    """When the stream ends, by a tag of its own; None without one."""
    start_seconds: float
    """When the file's first stream begins."""
    first_packet_at: int | None
    """Byte offset; None where no audio packet begins within FIRST_PACKET_WITHIN."""
    is_encrypted: bool
    has_video: bool
    is_only_stream: bool
    """Whether the file has nothing but this stream, so that its length is the stream's."""


class _Packet(NamedTuple):
    """Byte offset (its group's, where several share one) and size; presentation time and duration in stream ticks."""

    pos: int
    size: int
    pts: int | None
    duration: int


class Stretch(NamedTuple):
    """The audio packets that begin in one range of bytes."""

    seconds: float
    """Sum of the packets' durations."""
    packet_bytes: int
    """Sum of the packets' sizes."""
    seconds_before_last: float
    bytes_before_last: int
    """The same without the last packet, and how far that begins behind the first, whatever stands between them."""
    start_seconds: float | None
    end_seconds: float | None
    """Earliest start and latest end of the packets that carry a time."""


def describe(file: RandomAccess, requested: RequestedTrack | None = None) -> Description:
    """Header of the audio stream that is to be transcribed; one frame is decoded where only that has the channels.

    Raises BadMedia where the file has none, Rejected where it has no such track, else as `demuxer` does.
    """
    found = _describe(file, requested, PROBING_DECODERS)
    if (found.channels and found.sample_rate_hz) or found.codec.startswith("pcm_"):
        return found
    found = _describe(file, requested, (*PROBING_DECODERS, found.decoder))
    # What one frame does not tell, the job will know; nothing but a quote for split channels depends on it.
    return found if found.channels else replace(found, channels=1)


def _describe(file: RandomAccess, requested: RequestedTrack | None, decoders: Sequence[str]) -> Description:
    with demuxer(file, decoders) as container:
        tracks = audio_tracks(container)
        has_video = any(not video.disposition & _STILL for video in container.streams.video)
        if not tracks:
            raise BadMedia("The file has no audio track (video only)." if has_video else "The file has no audio track.")
        chosen = chosen_track(tracks, requested)
        if not chosen.is_readable:
            raise BadMedia(f"The file's sound has a codec that is not read: {codec_title(chosen.codec)}.")
        stream = next(one for one in container.streams.audio if one.index == chosen.index)
        return Description(
            container=container.format.name,
            decoder=stream.codec_context.codec.name,
            tracks=tracks,
            codec=chosen.codec,
            stream_index=stream.index,
            stream_id=stream.id,
            sample_rate_hz=chosen.sample_rate_hz,
            channels=chosen.channels,
            bits_per_second=stream.codec_context.bit_rate or 0,
            stated_seconds=_stated_seconds(container, stream),
            track_seconds=_tagged_seconds(stream),
            start_seconds=(container.start_time or 0) / av.time_base,
            first_packet_at=_first_packet_at(container, stream),
            is_encrypted="enc_key_id" in stream.metadata,
            has_video=has_video,
            is_only_stream=len(container.streams) == 1,
        )


_CODEC_TITLES = {"ac4": "AC-4", "mpegh_3d_audio": "MPEG-H 3D Audio", "unknown": "an unknown one"}


def codec_title(codec: str) -> str:
    """A codec's name as people write it."""
    return _CODEC_TITLES.get(codec, codec.upper().replace("_", " "))


def stretches(file: RandomAccess, stream_index: int, ranges: Sequence[tuple[int, int]]) -> list[Stretch]:
    """The stretch of each range [start, end) of bytes in which packets of the stream begin.

    A range from 0 is read from the first packet on; any other needs a container that a demuxer can
    enter anywhere: MPEG audio and transport streams, ADTS, AC-3, FLAC, Ogg, ASF. Raises as `demuxer` does.
    """
    with demuxer(file) as container:
        stream = next((stream for stream in container.streams.audio if stream.index == stream_index), None)
        if stream is None:
            raise Undemuxable(f"stream {stream_index} is not audio here")
        return [found for start, end in ranges if (found := _stretch(container, stream, start, end)) is not None]


@contextmanager
def demuxer(file: RandomAccess, decoders: Sequence[str] = PROBING_DECODERS) -> Iterator[InputContainer]:
    """The file opened for demuxing, for as long as the block runs; `decoders` may look at a frame.

    Raises Undemuxable for what FFmpeg refuses, BadMedia where the file names another file or address. What a read of
    `file` raised goes before both, whatever FFmpeg made of it.
    """
    source = _Source(file)
    try:
        with av.open(
            source,
            mode="r",
            buffer_size=READ_BYTES,
            container_options=OPTIONS | {"codec_whitelist": ",".join(decoders)},
            metadata_errors="replace",
            io_open=source.refuse_to_open,
        ) as container:
            yield container
    except Exception as error:
        if source.failure is not None:
            raise source.failure from None
        if isinstance(error, av.FFmpegError):
            raise Undemuxable(str(error)) from error
        raise
    if source.failure is not None:
        raise source.failure


class _Source:
    """What PyAV reads from. It never raises: PyAV prints an exception that follows another one to stderr."""

    def __init__(self, file: RandomAccess) -> None:
        self.failure: Exception | None = None
        self._file = file
        file.seek(0)
        self.seek = file.seek
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        if self.failure is None:
            try:
                return self._file.read(count) or b""
            except Exception as error:
                self.failure = error
        return b""

    def refuse_to_open(self, url: str, flags: int, options: dict[str, str]) -> io.BytesIO:
        """An empty file in place of the one that the upload asks for."""
        self.failure = self.failure or BadMedia("The file refers to another file or address, which is not followed.")
        return io.BytesIO()


def _stated_seconds(container: InputContainer, stream: AudioStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _tagged_seconds(stream: AudioStream) -> float | None:
    """By Matroska's tag, for example `00:00:10.034000000`."""
    text = next((value for key, value in stream.metadata.items() if key.startswith("DURATION")), "")
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)\s*", text)
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]) if match else None


def _first_packet_at(container: InputContainer, stream: AudioStream) -> int | None:
    return next((packet.pos for packet in _packets(container, stream, FIRST_PACKET_WITHIN)), None)


def _stretch(container: InputContainer, stream: AudioStream, start: int, end: int) -> Stretch | None:
    if start:
        container.seek(start, unsupported_byte_offset=True)
    reliable_from = start + RESYNC_BYTES if start else 0
    packets = [packet for packet in _packets(container, stream, end) if packet.pos >= reliable_from]
    if not packets:
        return None
    tick = float(stream.time_base or 0)
    times = [(packet.pts, packet.pts + packet.duration) for packet in packets if packet.pts is not None]
    return Stretch(
        seconds=tick * sum(packet.duration for packet in packets),
        packet_bytes=sum(packet.size for packet in packets),
        seconds_before_last=tick * sum(packet.duration for packet in packets[:-1]),
        bytes_before_last=packets[-1].pos - packets[0].pos,
        start_seconds=tick * min(start for start, _ in times) if times else None,
        end_seconds=tick * max(end for _, end in times) if times else None,
    )


def _packets(container: InputContainer, stream: AudioStream, end: int) -> Iterator[_Packet]:
    """The stream's packets up to the first packet, of any stream, that begins at or after the byte `end`."""
    position = 0
    try:
        for packet in container.demux():
            if packet.pos is not None:
                position = packet.pos
            if position >= end:
                return
            if packet.stream_index == stream.index and packet.size:
                yield _Packet(position, packet.size, packet.pts, packet.duration or 0)
    except (av.FFmpegError, IndexError):
        # Damage in the middle of a file ends what can be measured, not the measurement. PyAV ends with an IndexError
        # where a stream appears that the file did not begin with.
        return
