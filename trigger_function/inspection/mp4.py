"""The boxes of an MP4 or QuickTime file, read without their sample tables: a long recording's tables are megabytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from shared.errors import BadMedia
from trigger_function.inspection.overlay import Overlay
from trigger_function.inspection.ranged_reader import RandomAccess

FIRST_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx"))
ENCRYPTED_ENTRIES = frozenset((b"enca", b"drms", b"aavd"))
"""Sample entries of Common Encryption, FairPlay and Audible."""

MAX_CHILDREN = 500
"""Most boxes looked at inside one box; a hostile file may have millions."""

MAX_TABLE_BYTES = 64 * 1024
"""Read of an edit list, and of the durations of samples, which sound has few of."""

_CUT_OFF = "The file is damaged: its header is cut off."
_NO_MOOV = "The file is damaged or its recording was never finished: it has no table of contents (moov)."


class Box(NamedTuple):
    """A box by its type and its place in the file: first byte, first byte of content, end."""

    kind: bytes
    start: int
    body: int
    end: int


class Track(NamedTuple):
    """One track as its header describes it."""

    id: int
    entry: bytes
    """Four-character code of the first sample entry, for example `mp4a`."""
    seconds: float
    """0 where the header states none, as in fragmented files."""
    is_external: bool
    """The samples lie in another file."""


class Fragment(NamedTuple):
    """A movie fragment's first byte and its end, media data included."""

    start: int
    end: int


@dataclass(frozen=True)
class Movie:
    """What the header says, and how to show it to a demuxer without its tables."""

    tracks: tuple[Track, ...]
    padding: Mapping[int, bytes]
    """Patches that turn sample tables and metadata into free space."""
    first_fragment: Fragment | None
    """None where the samples stand in the header's tables."""
    share_of_data: float
    """How much of the media data the file has: less than 1 where it was cut."""

    def track(self, track_id: int) -> Track:
        """The track of this number. Raises BadMedia where there is none."""
        for track in self.tracks:
            if track.id == track_id:
                return track
        raise BadMedia(_CUT_OFF)

    def without_tables(self, file: RandomAccess) -> Overlay:
        """The file with its tables shown as padding; fragments remain."""
        return Overlay(file, self.padding)

    def header(self, file: RandomAccess) -> Overlay:
        """The same with all fragments but the first shown as padding."""
        if self.first_fragment is None or file.size - self.first_fragment.end < 16:
            return self.without_tables(file)
        end = self.first_fragment.end
        return Overlay(file, {**self.padding, end: free_box(end, file.size)})


def is_mp4(head: bytes) -> bool:
    """Do the file's first bytes open a box that such files begin with?"""
    return head[4:8] in FIRST_BOXES


def read_movie(file: RandomAccess) -> Movie:
    """The file's tracks. Raises BadMedia where the header is missing or cut off."""
    moov: Box | None = None
    fragment: Fragment | None = None
    stated_data = missing_data = 0
    for box in boxes(file, 0, file.size):
        if box.kind == b"mdat":
            stated_data += box.end - box.body
            missing_data += max(box.end - file.size, 0)
        if fragment is not None:
            fragment = fragment._replace(end=box.end)
            break
        if box.kind == b"moov":
            moov = moov or box
        elif box.kind == b"moof" and moov is not None:
            fragment = Fragment(box.start, box.end)
    if moov is None:
        raise BadMedia(_NO_MOOV)
    if moov.end > file.size:
        raise BadMedia(_CUT_OFF)
    if missing_data >= stated_data and fragment is None:
        raise BadMedia("The file is damaged: it ends where its sound should begin.")
    try:
        tracks, padding = tuple(_tracks(file, moov)), dict(_padding(file, moov))
    except struct.error:
        raise BadMedia(_CUT_OFF) from None
    return Movie(tracks, padding, fragment, share_of_data=1 - missing_data / stated_data if stated_data else 1.0)


def boxes(file: RandomAccess, start: int, end: int) -> Iterator[Box]:
    """The first boxes that begin in [start, end); the last one may state an end beyond it."""
    return islice(_boxes(file, start, end), MAX_CHILDREN)


def free_box(start: int, end: int) -> bytes:
    """The header of a box of free space that fills [start, end), at least 16 bytes."""
    return struct.pack(">I4sQ", 1, b"free", end - start)


def _boxes(file: RandomAccess, start: int, end: int) -> Iterator[Box]:
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read_at(start, 8))
        body = start + 8
        if size == 1:
            size, body = int.from_bytes(file.read_at(body, 8)), start + 16
        elif size == 0:
            size = end - start
        if size < body - start:
            return
        yield Box(kind, start, body, start + size)
        start += size


def _children(file: RandomAccess, parent: Box) -> Iterator[Box]:
    return boxes(file, parent.body, min(parent.end, file.size))


def _find(file: RandomAccess, parent: Box, *path: bytes) -> Iterator[Box]:
    """Every descendant of `parent` at `path`."""
    first, *rest = path
    for child in _children(file, parent):
        if child.kind == first:
            yield from _find(file, child, *rest) if rest else (child,)


def _content(file: RandomAccess, parent: Box, *path: bytes, limit: int = 1024) -> bytes:
    """The first bytes of the box at `path`, empty where there is none."""
    for box in _find(file, parent, *path):
        return file.read_at(box.body, min(box.end - box.body, limit))
    return b""


def _tracks(file: RandomAccess, moov: Box) -> Iterator[Track]:
    movie_timescale, _ = _timescale_and_duration(_content(file, moov, b"mvhd"))
    for trak in _find(file, moov, b"trak"):
        track_id, shown = _id_and_duration(_content(file, trak, b"tkhd"))
        timescale, duration = _timescale_and_duration(_content(file, trak, b"mdia", b"mdhd"))
        times = _content(file, trak, b"mdia", b"minf", b"stbl", b"stts", limit=MAX_TABLE_BYTES)
        media = _seconds(_sum_of_times(times) or duration, timescale)
        edits = _content(file, trak, b"edts", b"elst", limit=MAX_TABLE_BYTES)
        yield Track(
            track_id,
            entry=_content(file, trak, b"mdia", b"minf", b"stbl", b"stsd")[12:16],
            seconds=_edited(edits, media, movie_timescale, timescale) or media or _seconds(shown, movie_timescale),
            is_external=_is_external(_content(file, trak, b"mdia", b"minf", b"dinf", b"dref")),
        )


def _sum_of_times(stts: bytes) -> int:
    """Length of all samples in the media's ticks, by the table of their durations; 0 where that was not read whole."""
    (count,) = struct.unpack_from(">I", stts, 4) if len(stts) >= 8 else (0,)
    if len(stts) < 8 + 8 * count:
        return 0
    entries = struct.unpack_from(f">{2 * count}I", stts, 8)
    return sum(samples * ticks for samples, ticks in zip(entries[::2], entries[1::2], strict=True))


def _edited(elst: bytes, media_seconds: float, movie_timescale: int, timescale: int) -> float:
    """Length of the media as an edit list shows it, pauses included; 0 without one.

    An edit may state more than there is.
    """
    layout = struct.Struct(">QqI" if elst[:1] == b"\1" else ">IiI")
    (count,) = struct.unpack_from(">I", elst, 4) if len(elst) >= 8 else (0,)
    total, entries = 0.0, min(count, len(elst[8:]) // layout.size)
    for duration, start, _ in layout.iter_unpack(elst[8 : 8 + layout.size * entries]):
        shown, left = _seconds(duration, movie_timescale), max(0.0, media_seconds - _seconds(start, timescale))
        total += shown if start < 0 else min(shown or left, left)
    return total


def _padding(file: RandomAccess, moov: Box) -> Iterator[tuple[int, bytes]]:
    tables = (
        box
        for stbl in _find(file, moov, b"trak", b"mdia", b"minf", b"stbl")
        for box in _children(file, stbl)
        if box.kind != b"stsd"
    )
    metadata = (box for box in _children(file, moov) if box.kind in (b"udta", b"meta"))
    for box in (*tables, *metadata):
        yield box.start + 4, b"free"


def _timescale_and_duration(content: bytes) -> tuple[int, int]:
    """Of an `mvhd` or `mdhd` box; an unknown duration, all ones, is 0."""
    layout, offset, unknown = (">IQ", 20, 2**64 - 1) if content[:1] == b"\1" else (">II", 12, 2**32 - 1)
    timescale, duration = struct.unpack_from(layout, content, offset)
    return timescale, 0 if duration == unknown else duration


def _id_and_duration(content: bytes) -> tuple[int, int]:
    """Of a `tkhd` box; an unknown duration, all ones, is 0."""
    layout, offset, unknown = (">IIQ", 20, 2**64 - 1) if content[:1] == b"\1" else (">III", 12, 2**32 - 1)
    track_id, _, duration = struct.unpack_from(layout, content, offset)
    return track_id, 0 if duration == unknown else duration


def _seconds(duration: int, timescale: int) -> float:
    return duration / timescale if timescale else 0.0


def _is_external(dref: bytes) -> bool:
    """Does a data reference name a place outside the file?"""
    position = 8
    while position + 12 <= len(dref):
        size, _, flags = struct.unpack_from(">I4sI", dref, position)
        if not flags & 1 and dref[position + 12 : position + size].strip(b"\0"):
            return True
        position += max(size, 12)
    return False
