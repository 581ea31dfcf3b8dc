"""What a file's header says of the length of one audio stream, where that is exact: what is missing then is a gap.

Lengths that FFmpeg extrapolates from a bit rate, or that are those of the picture, are none.
"""

from __future__ import annotations

import re

from av.audio.stream import AudioStream
from av.container import InputContainer

from gpu_job.audio.decoder.byte_source import ByteSource

_HEAD_BYTES = 256 * 1024
"""Where a header is looked for."""

_ID3_BYTES = 10
_TAG_WITHIN_BYTES = 4096
"""Of an MP3's first frame, which holds the table that states the length."""

_UNKNOWN_SIZES = frozenset({0, 0x7FFFFFFF, 0xFFFFFFFF})
"""What recorders that stream write for the size of a RIFF chunk."""

_STATED_BY_HEADER = frozenset({"aiff", "caf", "w64", "wv", "tta", "ape", "tak", "mpc", "mpc8"})
"""Demuxers whose stream length is the header's count of samples or of bytes of a constant rate."""


def promised_end(container: InputContainer, stream: AudioStream, source: ByteSource) -> float | None:
    """Seconds on the stream's own clock at which its sound ends according to the header; None where it says nothing."""
    start = 0.0
    if stream.start_time is not None and stream.time_base is not None:
        start = float(stream.start_time * stream.time_base)
    match container.format.name.partition(",")[0]:
        case "matroska":
            return _matroska_end(container, stream, source)
        case "flac":
            seconds = _flac_seconds(stream)
        case "mp3":
            seconds = _stated_seconds(stream) if _has_length_table(source) else None
        case "wav":
            seconds = _wave_seconds(stream, source)
        case "mov":
            seconds = _stated_seconds(stream) if stream.frames else None
        case "flv" | "asf":
            seconds = _stated_seconds(stream) if len(container.streams) == 1 else None
        case name if name in _STATED_BY_HEADER:
            seconds = _stated_seconds(stream)
        case _:
            seconds = None
    return None if seconds is None else start + seconds


def _stated_seconds(stream: AudioStream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _flac_seconds(stream: AudioStream) -> float | None:
    """STREAMINFO: 20 bits of sample rate, 3 of channels, 5 of sample size, 36 of the number of samples."""
    info = stream.codec_context.extradata or b""
    if len(info) < 18:
        return None
    fields = int.from_bytes(info[10:18])
    rate, samples = fields >> 44, fields & (1 << 36) - 1
    return samples / rate if rate and samples else None


def flac_block_sizes(stream: AudioStream) -> tuple[int, int]:
    """Fewest and most samples of a FLAC frame, as STREAMINFO has them; (0, 0) where there is none."""
    info = stream.codec_context.extradata or b""
    return int.from_bytes(info[0:2]), int.from_bytes(info[2:4])


def _has_length_table(source: ByteSource) -> bool:
    """Whether an MP3 begins with a Xing, Info or VBRI frame."""
    at = 0
    while (tag := source.read_at(at, _ID3_BYTES)).startswith(b"ID3") and len(tag) == _ID3_BYTES:
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        at += _ID3_BYTES + size
    head = source.read_at(at, _TAG_WITHIN_BYTES)
    return any(name in head for name in (b"Xing", b"Info", b"VBRI"))


def _wave_seconds(stream: AudioStream, source: ByteSource) -> float | None:
    """FFmpeg states what the file has bytes for; the header may say that there were more."""
    present = _stated_seconds(stream)
    at = 12
    while len(chunk := source.read_at(at, 8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            room = source.size - at - 8
            if size in _UNKNOWN_SIZES or present is None or room <= 0:
                return None
            return present * max(1.0, size / room)
        at += 8 + size + size % 2
    return None


def _matroska_end(container: InputContainer, stream: AudioStream, source: ByteSource) -> float | None:
    """The track's own DURATION tag, and of a file with nothing but this track the length of its segment."""
    stated = []
    tag = next((text for name, text in stream.metadata.items() if name.startswith("DURATION")), "")
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)\s*", tag):
        hours, minutes, seconds = match.groups()
        stated.append(3600 * int(hours) + 60 * int(minutes) + float(seconds))
    head = source.read_at(0, _HEAD_BYTES)
    has_duration = b"\x44\x89\x84" in head or b"\x44\x89\x88" in head  # an element of 4 or 8 bytes
    if len(container.streams) == 1 and has_duration and container.duration:
        stated.append(container.duration / 1_000_000)
    return max(stated, default=None)
