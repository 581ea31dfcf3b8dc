"""What a file's header says of the length of one audio stream, where that is exact: what is missing then is a gap.

Lengths that FFmpeg extrapolates from a bit rate, or that are those of the picture, are none.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from av.audio.stream import AudioStream
from av.container import InputContainer

from gpu_job.audio.decoder.byte_source import ByteSource
from shared.formats.iff_sizes import caf_sound_bytes
from shared.formats.rifx import rifx_patches
from shared.formats.wave_sizes import wave_data

_HEAD_BYTES = 256 * 1024
"""Where a header is looked for."""

_ID3_BYTES = 10
_TABLE_WITHIN_BYTES = 4096
"""Of the first frame of an MP3, which holds the table that states the length."""
_LENGTH_TABLE = re.compile(rb"(?:Xing|Info)\0\0\0(?P<flags>.)(?P<frames>.{4})|VBRI.{10}(?P<vbri>.{4})", re.DOTALL)

_LOWEST_MPEG_1_RATE = 32_000
"""Hz; MPEG-2 and 2.5 have half as many samples in a frame."""

_CONSTANT_RATE = ("pcm_", "adpcm_", "g722", "g726", "gsm", "truespeech")
"""Beginnings of the names of codecs that store every second in as many bytes."""

_COUNTED_BY_HEADER = frozenset({"aiff", "wv", "tta", "ape", "tak", "mpc", "mpc8"})
"""Demuxers whose stream length is the header's count of samples."""


class Promise(NamedTuple):
    """What the header states; each None where it says nothing."""

    end_seconds: float | None = None
    """Where the sound ends, on the stream's own clock."""
    sound_bytes: int | None = None
    """Of sound that every second has as many of."""

    def end(self, packet_bytes: int, packet_seconds: float) -> float | None:
        """Seconds on the stream's clock; `packet_bytes` and `packet_seconds` of sound were read."""
        if self.sound_bytes is not None and packet_bytes > 0:
            return self.sound_bytes * packet_seconds / packet_bytes
        return self.end_seconds


def header_promise(container: InputContainer, stream: AudioStream, source: ByteSource) -> Promise:
    """What the header says of the stream. `source`: the bytes as they are in the file."""
    start = 0.0
    if stream.start_time is not None and stream.time_base is not None:
        start = float(stream.start_time * stream.time_base)
    seconds: float | None = None
    match container.format.name.partition(",")[0]:
        case "matroska":
            return Promise(_matroska_end(container, stream, source))
        case "wav" | "w64" | "caf" | "au" as name:
            return _sized(name, stream, source)
        case "flac":
            seconds = _flac_seconds(stream)
        case "mp3":
            seconds = _mp3_seconds(stream, source)
        case "mov":
            seconds = _indexed_seconds(stream) if stream.frames else None
        case "avi":
            seconds = _avi_seconds(stream, source)
        case "flv" if len(container.streams) == 1:
            seconds = _flv_seconds(source)
        case "asf":
            return Promise(_asf_end(source, is_alone=len(container.streams) == 1))
        case "sox":
            return Promise(sound_bytes=_sox_bytes(source))
        case name if name in _COUNTED_BY_HEADER:
            seconds = _stated_seconds(stream)
    return Promise(None if seconds is None else start + seconds)


def _stated_seconds(stream: AudioStream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _indexed_seconds(stream: AudioStream) -> float | None:
    """Of the samples in the index, which has the edit list applied; the track's length may count what that cuts off."""
    stated, entries = _stated_seconds(stream), stream.index_entries
    if stated is None or len(entries) < 2 or stream.time_base is None:
        return stated
    last, before = entries[len(entries) - 1].timestamp, entries[len(entries) - 2].timestamp
    indexed = float((2 * last - before - (stream.start_time or 0)) * stream.time_base)
    return min(stated, indexed) if indexed > 0 else stated


def _sized(name: str, stream: AudioStream, source: ByteSource) -> Promise:
    """Containers whose header has the number of bytes of sound; what FFmpeg states is what the file has room for."""
    data = wave_data(source) if name in ("wav", "w64") else None
    if not stream.codec_context.name.startswith(_CONSTANT_RATE):
        stated = _stated_seconds(stream)
        if data and stated is not None:
            stated = data.promised_seconds(stated, stream.codec_context.sample_rate)
        return Promise(stated if name == "caf" or data is not None else None)
    match name:
        case "caf":
            return Promise(sound_bytes=caf_sound_bytes(source))
        case "au":
            head = source.patched(rifx_patches(source)).read_at(0, 12).ljust(12, b"\xff")
            size = int.from_bytes(head[8:])
            return Promise(sound_bytes=size if size < 2**32 - 2**16 else None)
        case _:
            return Promise(sound_bytes=(data.stated_bytes or None) if data else None)


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


def _mp3_seconds(stream: AudioStream, source: ByteSource) -> float | None:
    """By the count of frames in the first one (Xing, Info or VBRI). FFmpeg states what fits the file's size instead."""
    head = source.read_at(id3_bytes(source), _TABLE_WITHIN_BYTES)
    rate = stream.codec_context.sample_rate
    table = _LENGTH_TABLE.search(head)
    if table is None or not rate:
        return None
    if table["vbri"] is not None:
        frames = int.from_bytes(table["vbri"])
    else:
        frames = int.from_bytes(table["frames"]) if table["flags"][0] & 1 else 0
    samples = 1152 if rate >= _LOWEST_MPEG_1_RATE else 576
    return frames * samples / rate or None


def id3_bytes(source: ByteSource) -> int:
    """Of the ID3v2 tags at the beginning."""
    at = 0
    while (tag := source.read_at(at, _ID3_BYTES)).startswith(b"ID3") and len(tag) == _ID3_BYTES:
        at += _ID3_BYTES + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    return at


def _avi_seconds(stream: AudioStream, source: ByteSource) -> float | None:
    """The stream's header, where the file is shorter than its RIFF chunk; whole files are read by their index."""
    head = source.read_at(0, _HEAD_BYTES)
    if int.from_bytes(head[4:8], "little") + 8 <= source.size:
        return None
    headers = list(re.finditer(rb"strh....(?P<kind>....)", head, re.DOTALL))
    if stream.index >= len(headers) or headers[stream.index]["kind"] != b"auds":
        return None
    fields = head[headers[stream.index].start() + 8 :][:36]
    if len(fields) < 36:
        return None
    scale, rate, _, length = struct.unpack("<4I", fields[20:36])
    return length * scale / rate if rate and length else None


def _flv_seconds(source: ByteSource) -> float | None:
    """`duration` of the metadata: a name of 8 bytes, the type 0, and a double."""
    head = source.read_at(0, _HEAD_BYTES)
    at = head.find(b"\0\x08duration\0")
    number = head[at + 11 : at + 19]
    return struct.unpack(">d", number)[0] or None if at >= 0 and len(number) == 8 else None


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _asf_end(source: ByteSource, *, is_alone: bool) -> float | None:
    """Play duration without the preroll, which counts from 0 on the stream's clock; a live recording states none.

    It is that of the longest stream: beside a picture it says something of the sound only where the file was cut.
    """
    head = source.read_at(0, _HEAD_BYTES)
    at = head.find(_ASF_FILE_PROPERTIES)
    fields = head[at + 24 :][:68]
    if at < 0 or len(fields) < 68:
        return None
    (play,), (preroll, flags) = struct.unpack_from("<Q", fields, 40), struct.unpack_from("<QI", fields, 56)
    is_live, is_cut = bool(flags & 1), struct.unpack_from("<Q", fields, 16)[0] > source.size
    return None if is_live or not play or not (is_alone or is_cut) else play / 10_000_000 - preroll / 1000


def _sox_bytes(source: ByteSource) -> int | None:
    """Of the samples of 32 bits that the header counts, over all channels; 0 where their number was never written."""
    head = source.read_at(0, 16)
    (samples,) = struct.unpack("<Q" if head.startswith(b".SoX") else ">Q", head[8:].ljust(8, b"\0"))
    return 4 * samples or None


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
