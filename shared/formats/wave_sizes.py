"""Sizes in the headers of WAV, RF64, BW64 and Wave64 files that are behind, and the patches that correct them.

Recorders write the sizes when they end. One that dies leaves those of its last update, or of its start; a size of 32
bits begins anew after 4 GB.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from shared.formats.chunks import PLACEHOLDERS, Chunk, ChunkLayout, ReadableBytes, is_four_characters

_KNOWN = frozenset(
    [
        *b"LIST bext iXML axml chna smpl inst plst fact PEAK JUNK junk FLLR cart DISP acid data RIFF RF64".split(),
        b"id3 ",
        b"ID3 ",
        b"cue ",
        b"PAD ",
    ]
)
RIFF = ChunkLayout(4, "<I", is_four_characters, known=_KNOWN)

_GUID_ENDS = (bytes.fromhex("f3acd3118cd100c04f8edb8a"), bytes.fromhex("2f91cf11a5d628db04c10000"))
WAVE64 = ChunkLayout(16, "<q", lambda guid: guid.endswith(_GUID_ENDS), counts_header=True, alignment=8)
_WAVE64_FIRST_CHUNK = 40

MAX_WRAPS = 16
"""How often a size of 32 bits may have begun anew: 64 GB."""

_LARGEST = 2**60
"""A size of 64 bits above this stands for `unknown`."""

_UNKNOWN = 0
"""A data size with which FFmpeg reads a WAV file to its end."""


FACT_TOLERANCE = 0.02
"""Share by which FFmpeg's length may differ from the `fact` chunk that it is taken from: frames are whole."""


class WaveData(NamedTuple):
    """The data chunk of a file: its place, the size that its header states, and the true one."""

    chunk: Chunk
    stated_bytes: int
    """As it is meant: of RF64 the one in the `ds64` chunk; 0 where it is a placeholder."""
    sound_bytes: int
    """Of sound that the file has."""
    patches: Mapping[int, bytes]
    """What FFmpeg has to be shown to read all of it."""
    fact_samples: int = 0
    """As a `fact` chunk states them; 0 where there is none."""

    def promised_seconds(self, ffmpeg_seconds: float, rate: int) -> float:
        """How long sound of a varying rate should be, by FFmpeg's length for it at `rate` samples a second.

        That is either the one of the `fact` chunk, or by bit rate of what the file has.
        """
        is_fact = abs(self.fact_samples - ffmpeg_seconds * rate) < FACT_TOLERANCE * self.fact_samples
        if is_fact or not self.stated_bytes > self.sound_bytes > 0:
            return ffmpeg_seconds
        return ffmpeg_seconds * self.stated_bytes / self.sound_bytes


def wave_data(file: ReadableBytes) -> WaveData | None:
    """The first data chunk of a WAV, RF64 or Wave64 file; None where there is none."""
    data = _data(file)
    if data is None or file.read_at(0, 4) == b"riff":
        return data
    fact = next((chunk for chunk in RIFF.chunks(file, 12) if chunk.kind in (b"fact", b"data")), data.chunk)
    samples = file.read_at(fact.body, 4) if fact.kind == b"fact" else b""
    return data._replace(fact_samples=int.from_bytes(samples, "little"))


def _data(file: ReadableBytes) -> WaveData | None:
    head = file.read_at(0, 12)
    if head.startswith(b"riff\x2e\x91\xcf\x11"):
        return _wave64_data(file)
    if head[8:] != b"WAVE":
        return None
    match head[:4]:
        case b"RIFF":
            return _riff_data(file)
        case b"RF64" | b"BW64":
            return _rf64_data(file)
    return None


def _riff_data(file: ReadableBytes) -> WaveData | None:
    chunk = next((chunk for chunk in RIFF.chunks(file, 12) if chunk.kind == b"data"), None)
    if chunk is None:
        return None
    stated, room = chunk.end - chunk.body, file.size - chunk.body
    if stated > room:
        is_known = not any(stated in placeholder for placeholder in PLACEHOLDERS)
        return WaveData(chunk, stated if is_known else 0, room, {})
    if RIFF.goes_on_behind(file, chunk):
        return WaveData(chunk, stated, stated, {})
    if stated == 0:
        return WaveData(chunk, 0, room, {})
    true = _unwrapped(file, chunk)
    size = struct.pack(RIFF.size, true if true < 0xFFFF_FFFF else _UNKNOWN)
    return WaveData(chunk, true, true, {chunk.start + 4: size})


def _unwrapped(file: ReadableBytes, chunk: Chunk) -> int:
    """The true size of a data chunk that does not end where it says: with the bits that were lost, or all there is."""
    for more in range(2**32, min(file.size - chunk.end, MAX_WRAPS * 2**32) + 1, 2**32):
        longer = chunk._replace(end=chunk.end + more, next=chunk.next + more)
        if RIFF.goes_on_behind(file, longer):
            return longer.end - longer.body
    return file.size - chunk.body


def _rf64_data(file: ReadableBytes) -> WaveData | None:
    sizes_at: int | None = None
    for chunk in RIFF.chunks(file, 12):
        if chunk.kind == b"ds64":
            sizes_at = chunk.body + 8
        if chunk.kind == b"data" and sizes_at is not None:
            (stated,) = struct.unpack("<Q", file.read_at(sizes_at, 8))
            room = file.size - chunk.body
            chunk = chunk._replace(end=chunk.body + stated, next=chunk.body + stated + stated % 2)
            if room < stated < _LARGEST:
                return WaveData(chunk, stated, room, {})
            if 0 < stated <= room and RIFF.goes_on_behind(file, chunk):
                return WaveData(chunk, stated, stated, {})
            return WaveData(chunk, room, room, {sizes_at: struct.pack("<Q", room)})
    return None


def _wave64_data(file: ReadableBytes) -> WaveData | None:
    chunk = next((one for one in WAVE64.chunks(file, _WAVE64_FIRST_CHUNK) if one.kind.startswith(b"data")), None)
    if chunk is None:
        return None
    stated, room = chunk.end - chunk.body, file.size - chunk.body
    if room < stated < _LARGEST:
        return WaveData(chunk, stated, room, {})
    if 0 < stated <= room and WAVE64.goes_on_behind(file, chunk):
        return WaveData(chunk, stated, stated, {})
    return WaveData(chunk, room, room, {chunk.start + 16: struct.pack("<q", file.size - chunk.start)})
