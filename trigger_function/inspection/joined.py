"""Recordings appended one to the other, whose sizes tell where each ends: WAV, AIFF, AVI, Matroska, MP4, ASF, FLV."""

from __future__ import annotations

from collections.abc import Iterator

from shared.formats.chunks import ChunkLayout, is_four_characters
from shared.formats.wave_sizes import RIFF, wave_data
from trigger_function.inspection.declared_size import stated_size
from trigger_function.inspection.mp4 import boxes, is_mp4
from trigger_function.inspection.overlay import Head, Tail
from trigger_function.inspection.ranged_reader import RandomAccess

MAX_RECORDINGS = 8
"""Most that are measured; the length of more is estimated by their bytes."""

_FORM = ChunkLayout(4, ">I", is_four_characters)
_WAVES, _AIFFS = (b"RIFF", b"RF64", b"BW64"), (b"AIFF", b"AIFC")
_ASF_HEADER, _MAX_ASF_OBJECTS = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), 16
_FLV = b"FLV\1"
_EBML = bytes.fromhex("1a45dfa3")
_HEAD_BYTES = 1024


def recordings(file: RandomAccess) -> tuple[list[RandomAccess], float]:
    """The first MAX_RECORDINGS of the file, and how many times their bytes the whole file has."""
    starts = list(_starts(file))
    ends = [*starts[1:], file.size]
    parts = list(zip(starts, ends, strict=True))[:MAX_RECORDINGS]
    if len(starts) == 1:
        return [file], 1.0
    return [Tail(Head(file, end), start) for start, end in parts], file.size / parts[-1][1]


def _starts(file: RandomAccess) -> Iterator[int]:
    start: int | None = 0
    at = 0
    for _ in range(MAX_RECORDINGS + 1):
        if start is None:
            return
        at += start
        yield at
        start = _second(Tail(file, at))


def _second(file: RandomAccess) -> int | None:
    """Where the recording behind the first one begins; None where there is none."""
    head = file.read_at(0, _HEAD_BYTES)
    kind, form = head[:4], head[8:12]
    if kind in (_EBML, _FLV):
        end = stated_size(head)
        return end if end and file.read_at(end, 4) == kind else None
    if form == b"WAVE" and kind in _WAVES:
        data = wave_data(file)
        return _first_form(file, RIFF, data.chunk.next, _WAVES, (b"WAVE",)) if data else None
    if kind == b"FORM" and form in _AIFFS:
        return _first_form(file, _FORM, 12, (b"FORM",), _AIFFS)
    if kind == b"RIFF" and form == b"AVI ":
        # The parts of one long file are `AVIX`.
        return _first_form(file, RIFF, 0, (b"RIFF",), (b"AVI ",))
    if head.startswith(_ASF_HEADER):
        return _second_asf(file)
    return _second_movie(file) if is_mp4(head) else None


def _first_form(
    file: RandomAccess, layout: ChunkLayout, at: int, kinds: tuple[bytes, ...], forms: tuple[bytes, ...]
) -> int | None:
    """The first such form behind the start of the file, among the chunks from `at` on."""
    starts = (chunk.start for chunk in layout.chunks(file, at) if chunk.start and chunk.kind in kinds)
    return next((start for start in starts if _form(file, start) in forms), None)


def _form(file: RandomAccess, start: int) -> bytes:
    return file.read_at(start + 8, 4)


def _second_asf(file: RandomAccess) -> int | None:
    """Behind the objects of the first file: header, data, and a few indexes."""
    at = 0
    for _ in range(_MAX_ASF_OBJECTS):
        kind_and_size = file.read_at(at, 24)
        if len(kind_and_size) < 24:
            return None
        if at and kind_and_size.startswith(_ASF_HEADER):
            return at
        size = int.from_bytes(kind_and_size[16:], "little")
        if size < 24:
            return None
        at += size
    return None


def _second_movie(file: RandomAccess) -> int | None:
    """Not of fragments, which may be thousands."""
    has_index = False
    for box in boxes(file, 0, file.size):
        if box.kind == b"moof":
            return None
        if box.kind == b"ftyp" and has_index:
            return box.start
        has_index = has_index or box.kind == b"moov"
    return None
