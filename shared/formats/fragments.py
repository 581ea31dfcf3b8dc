"""The fragments of an MP4, as recorders and streams write it; and the patches for a clock that begins again in them.

FFmpeg sorts the samples of all fragments by time: what a second session has at the times of the first is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from shared.formats.chunks import ReadableBytes
from shared.formats.mp4_boxes import Box, BytesInFile, boxes

MAX_INDEX_BYTES = 4 * 2**20
"""A longer `moov` or `moof` is not that of a file in fragments."""

RESTART_SECONDS = 1.0
"""A clock that goes back to within this of where the first fragment began was started again."""

# Flags of `trun` and `tfhd`: which optional fields are there, in this order.
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _TIME_OFFSET = 0x100, 0x200, 0x400, 0x800
_BASE_OFFSET, _DESCRIPTION, _DEFAULT_DURATION = 0x1, 0x2, 0x8


class Track(NamedTuple):
    """What the file's header says of one track."""

    scale: int
    """Ticks a second of its clock."""
    sample_ticks: int
    """Duration of its samples where a fragment does not state it."""


@dataclass(frozen=True)
class TrackRun:
    """What a fragment has of one track, in ticks of the track's clock."""

    track_id: int
    time: int
    """Of its first sample."""
    time_at: int
    """Offset of that number in the file."""
    time_bytes: int
    ticks: int
    """How long it lasts."""
    scale: int
    """Ticks a second."""


@dataclass(frozen=True)
class Fragment:
    """One `moof` box."""

    start: int
    number: int
    runs: tuple[TrackRun, ...]
    """Of the tracks that the file's header has, and whose times are stated."""
    has_orphan: bool
    """Whether more media data stands behind it than the one box that is its own."""


def fragments(file: ReadableBytes, within: int | None = None) -> Iterator[Fragment]:
    """All of a file, in its order. `within`: bytes from the start in which they begin; None: everywhere."""
    tracks: dict[int, Track] = {}
    found, data_boxes = None, 0
    for box in boxes(file, 0, within):
        if box.kind == b"moov" and box.end - box.body <= MAX_INDEX_BYTES:
            tracks = _tracks(file, box)
        elif box.kind == b"moof" and box.end - box.body <= MAX_INDEX_BYTES:
            if found is not None:
                yield found
            found, data_boxes = _fragment(file, box, tracks), 0
        elif box.kind == b"mdat":
            data_boxes += 1
            if found is not None and data_boxes > 1:
                found = replace(found, has_orphan=True)
    if found is not None:
        yield found


def fragment_patches(file: ReadableBytes, within: int | None = None) -> Mapping[int, bytes]:
    """Of the times of fragments whose clock begins again: they go on where the sound before them ends."""
    patches: dict[int, bytes] = {}
    clocks: dict[int, _RunClock] = {}
    for fragment in fragments(file, within):
        for run in fragment.runs:
            time = clocks.setdefault(run.track_id, _RunClock(run)).place(run)
            if time != run.time and time < 1 << 8 * run.time_bytes:
                patches[run.time_at] = time.to_bytes(run.time_bytes)
    return patches


class _RunClock:
    """Where a track's runs belong, in ticks of its clock."""

    def __init__(self, first: TrackRun) -> None:
        self._tolerance = round(RESTART_SECONDS * first.scale)
        self._latest_restart = first.time + self._tolerance
        self._shift = 0
        self._end = first.time

    def place(self, run: TrackRun) -> int:
        """The time at which it begins."""
        if run.time <= self._latest_restart and run.time + self._shift < self._end - self._tolerance:
            self._shift = self._end - run.time
        begin = run.time + self._shift
        self._end = max(self._end, begin + run.ticks)
        return begin


def _tracks(file: ReadableBytes, movie: Box) -> dict[int, Track]:
    """By the track's number."""
    scales: dict[int, int] = {}
    samples: dict[int, int] = {}
    moov = BytesInFile(file.read_at(movie.body, movie.end - movie.body))
    for part in boxes(moov):
        inside = {box.kind: box for box in boxes(moov, part.body, part.end)}
        if part.kind == b"trak" and b"tkhd" in inside and b"mdia" in inside:
            media = {box.kind: box for box in boxes(moov, inside[b"mdia"].body, inside[b"mdia"].end)}
            if b"mdhd" in media:
                scales[_behind_times(moov, inside[b"tkhd"])] = _behind_times(moov, media[b"mdhd"])
        elif part.kind == b"mvex":
            for box in boxes(moov, part.body, part.end):
                if box.kind == b"trex" and len(fields := moov.read_at(box.body + 4, 12)) == 12:
                    track_id, _, samples[track_id] = struct.unpack(">III", fields)
    return {track_id: Track(scale, samples.get(track_id, 0)) for track_id, scale in scales.items() if scale}


def _behind_times(moov: BytesInFile, box: Box) -> int:
    """The number behind the two times, of 32 or 64 bits, with which a box begins."""
    is_long = moov.read_at(box.body, 1) == b"\1"
    return int.from_bytes(moov.read_at(box.body + (20 if is_long else 12), 4))


def _fragment(file: ReadableBytes, box: Box, tracks: Mapping[int, Track]) -> Fragment:
    moof = BytesInFile(file.read_at(box.body, box.end - box.body))
    number, runs = 0, []
    for part in boxes(moof):
        if part.kind == b"mfhd":
            number = int.from_bytes(moof.read_at(part.body + 4, 4))
        elif part.kind == b"traf":
            run = _track_run(moof, part, tracks)
            if run is not None:
                runs.append(replace(run, time_at=box.body + run.time_at))
    return Fragment(box.start, number, tuple(runs), has_orphan=False)


def _track_run(moof: BytesInFile, part: Box, tracks: Mapping[int, Track]) -> TrackRun | None:
    """`time_at` within the fragment; None where it states no time, or is of no track that the header has."""
    parts = list(boxes(moof, part.body, part.end))
    inside = {box.kind: box for box in parts}
    if b"tfhd" not in inside or b"tfdt" not in inside:
        return None
    header, clock = inside[b"tfhd"], inside[b"tfdt"]
    flags, track_id = struct.unpack(">II", moof.read_at(header.body, 8).ljust(8, b"\0"))
    track = tracks.get(track_id)
    if track is None:
        return None
    sample_ticks = track.sample_ticks
    if flags & _DEFAULT_DURATION:
        place = header.body + 8 + 8 * bool(flags & _BASE_OFFSET) + 4 * bool(flags & _DESCRIPTION)
        sample_ticks = int.from_bytes(moof.read_at(place, 4))
    ticks = sum(_ticks(moof, box, sample_ticks) for box in parts if box.kind == b"trun")
    time_bytes = 8 if moof.read_at(clock.body, 1) == b"\1" else 4
    time = int.from_bytes(moof.read_at(clock.body + 4, time_bytes))
    return TrackRun(track_id, time, clock.body + 4, time_bytes, ticks, track.scale)


def _ticks(moof: BytesInFile, run: Box, sample_ticks: int) -> int:
    """How long a run's samples last."""
    flags: int
    count: int
    flags, count = struct.unpack(">II", moof.read_at(run.body, 8).ljust(8, b"\0"))
    if not flags & _DURATION:
        return count * sample_ticks
    first = run.body + 8 + 4 * bool(flags & _DATA_OFFSET) + 4 * bool(flags & _FIRST_FLAGS)
    fields = sum(bool(flags & field) for field in (_DURATION, _SIZE, _FLAGS, _TIME_OFFSET))
    data = moof.read_at(first, run.end - first)
    numbers = struct.unpack(f">{len(data) // 4}I", data[: len(data) // 4 * 4])
    total: int = sum(numbers[: count * fields : fields])
    return total
