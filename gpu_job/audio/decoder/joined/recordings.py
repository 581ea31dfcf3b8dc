"""Find the complete recordings in a file: recorders and people append one to the other (`cat a.flac b.flac > c.flac`).

FFmpeg reads the first one's header only. What comes then it skips, or plays on the first one's clock.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.joined.transport_programmes import programme_starts
from gpu_job.audio.decoder.promise import id3_bytes

SCAN_BYTES = 2**20
"""Read at a time where a marker is looked for."""

MAX_RECORDINGS = 10_000
"""More than this are left to the last one: a radio stream's Ogg has one a song."""


def recording_starts(source: ByteSource, container: str) -> list[int]:
    """Byte offsets at which a recording begins, the first one's 0 included. `container`: the demuxer's first name."""
    find = _FINDERS.get(container)
    starts = [0]
    for start in find(source) if find else ():
        if start > starts[-1] and len(starts) < MAX_RECORDINGS:
            starts.append(start)
    return starts


def _scan(source: ByteSource, marker: bytes, start: int) -> Iterator[int]:
    """Offsets of a marker from `start` on."""
    at = start
    while block := source.read_at(at, SCAN_BYTES + len(marker) - 1):
        found = block.find(marker)
        while found >= 0:
            yield at + found
            found = block.find(marker, found + 1)
        at += SCAN_BYTES


# A recording of another kind, appended.

_OTHER_KIND = re.compile(
    rb"fLaC[\x00\x80]\x00\x00\x22|RIFF.{4}WAVE|OggS\x00\x02|\x1a\x45\xdf\xa3|\x00\x00\x00.ftyp|ID3[\x02-\x04]\x00",
    re.DOTALL,
)
"""How those begin that people send."""
_MARKS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22", b"OggS\0\2", b"WAVEfmt ", b"ftypM4A ", b"ftypisom")
_DISTANCES = {b"WAVEfmt ": 8, b"ftypM4A ": 4, b"ftypisom": 4}
"""How far behind the beginning a mark stands; of all others not at all."""


def _is_other_kind(source: ByteSource, at: int) -> bool:
    return _OTHER_KIND.match(source.read_at(at, 16)) is not None


def _in_bare_frames(source: ByteSource) -> Iterator[int]:
    """Tagged parts of bare frames, and files of other kinds behind the first tag, whose picture may look like one."""
    first = id3_bytes(source)
    others = (at - _DISTANCES.get(mark, 0) for mark in _MARKS for at in _scan(source, mark, first + 1))
    yield from sorted({*_tagged_parts(source), *(at for at in others if _is_other_kind(source, at))})


# Ogg: a link of a chain begins with pages that are marked as the first of their streams.

_FIRST_PAGE = b"OggS\0\x02"
_PAGE_HEADER_BYTES = 27


def _ogg_links(source: ByteSource) -> Iterator[int]:
    group_end = 0
    for at in _scan(source, _FIRST_PAGE, 0):
        header = source.read_at(at, _PAGE_HEADER_BYTES + 255)
        if len(header) <= _PAGE_HEADER_BYTES:
            return
        if at != group_end:
            yield at
        segments = header[26]
        group_end = at + _PAGE_HEADER_BYTES + segments + sum(header[27 : 27 + segments])


# Matroska: a second EBML header. Where a segment states its size, only what comes behind it is looked at.

_EBML, _SEGMENT, _DOC_TYPE = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067"), bytes.fromhex("4282")
_MAX_EBML_HEADER_BYTES = 1024


def _matroska_segments(source: ByteSource) -> Iterator[int]:
    at = 0
    while at < source.size:
        head = source.read_at(at, 16)
        kind = head[:4]
        size_at = 4 if kind in (_EBML, _SEGMENT) else _vint_length(head[:1])
        size_length = _vint_length(head[size_at : size_at + 1])
        if at and kind != _EBML and _is_other_kind(source, at):
            yield at
            return
        if not size_at or not size_length:
            break
        if kind == _EBML:
            yield at
        size = int.from_bytes(head[size_at : size_at + size_length]) & ((1 << 7 * size_length) - 1)
        is_unknown = size == (1 << 7 * size_length) - 1
        end = at + size_at + size_length + size
        if is_unknown or end > source.size:
            break
        at = end
    for found in _scan(source, _EBML, max(at, 1)):
        if _DOC_TYPE in source.read_at(found, _MAX_EBML_HEADER_BYTES)[4:]:
            yield found


def _vint_length(first: bytes) -> int:
    """Bytes of the EBML number that begins with this byte; 0 for none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


# MP4: a second `moov`, with its `ftyp`.

_MAX_BOXES = 1_000_000


def _mp4_movies(source: ByteSource) -> Iterator[int]:
    at, has_movie, type_at = 0, False, 0
    for _ in range(_MAX_BOXES):
        head = source.read_at(at, 16)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head[:8])
        if has_movie and kind != b"ftyp" and _is_other_kind(source, at):
            yield at
            return
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        if kind == b"ftyp":
            if has_movie:
                type_at = at
        elif kind == b"moov":
            if has_movie:
                yield type_at or at
            has_movie, type_at = True, 0
        if size < 8:
            return
        at += size


# RIFF and AIFF: a form that is followed by another one. AVI's parts after the first are `AVIX`.


_LONG_FORMS = (b"RF64", b"BW64")


def _forms(kinds: dict[bytes, tuple[bytes, ...]], byte_order: str) -> Callable[[ByteSource], Iterator[int]]:
    def find(source: ByteSource) -> Iterator[int]:
        at = 0
        while True:
            head = source.read_at(at, 12)
            if len(head) < 12 or head[8:] not in kinds.get(head[:4], ()) + ((b"AVIX",) if at else ()):
                if at and _is_other_kind(source, at):
                    yield at
                return
            if at and head[8:] != b"AVIX":
                yield at
            size = int.from_bytes(head[4:8], "little" if byte_order == "<" else "big")
            if head[:4] in _LONG_FORMS:
                # The size of 64 bits begins the `ds64` chunk, which is the first.
                size = int.from_bytes(source.read_at(at + 20, 8), "little")
            at += 8 + size + size % 2

    return find


def _markers(*markers: bytes) -> Callable[[ByteSource], Iterator[int]]:
    def find(source: ByteSource) -> Iterator[int]:
        yield from sorted(at for marker in markers for at in _scan(source, marker, 1))

    return find


# MP3: ID3v2 tags, with the pictures in them, between the parts.

_ID3_TAGS = (b"ID3\x02\0", b"ID3\x03\0", b"ID3\x04\0")
_ID3_BYTES = 10


def _tagged_parts(source: ByteSource) -> Iterator[int]:
    end = 0
    for at in _markers(*_ID3_TAGS)(source):
        size = source.read_at(at, _ID3_BYTES)[6:]
        length = sum(byte << 7 * place for place, byte in enumerate(reversed(size)))
        behind = source.read_at(at + _ID3_BYTES + length, 2)
        if at >= end and len(size) == 4 and max(size) < 0x80 and len(behind) == 2:
            is_sound = behind[0] == 0xFF and behind[1] >= 0xE0
            if is_sound:
                yield at
            end = at + _ID3_BYTES + length


_WAVE64_START = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_WTV_START = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

_FINDERS: dict[str, Callable[[ByteSource], Iterator[int]]] = {
    "ogg": _ogg_links,
    # The head of STREAMINFO, which is always the first metadata block and 34 bytes long.
    "flac": _markers(b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"),
    "matroska": _matroska_segments,
    "mov": _mp4_movies,
    "wav": _forms(dict.fromkeys((b"RIFF", *_LONG_FORMS), (b"WAVE",)), "<"),
    "avi": _forms({b"RIFF": (b"AVI ",)}, "<"),
    "aiff": _forms({b"FORM": (b"AIFF", b"AIFC")}, ">"),
    "flv": _markers(b"FLV\x01\x04\0\0\0\x09", b"FLV\x01\x05\0\0\0\x09"),
    "asf": _markers(_ASF_HEADER),
    "mp3": _in_bare_frames,
    "aac": _in_bare_frames,
    "caf": _markers(b"caff\0\1\0\0desc"),
    "w64": _markers(_WAVE64_START),
    "nut": _markers(b"nut/multimedia container\0"),
    "tta": _markers(b"TTA1\1\0"),
    "voc": _markers(b"Creative Voice File\x1a"),
    "rm": _markers(b".RMF\0\0\0\x12"),
    "wtv": _markers(_WTV_START),
    "mpegts": programme_starts,
    "amr": _markers(b"#!AMR\n", b"#!AMR-WB\n"),
}
