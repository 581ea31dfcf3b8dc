"""How long the audio lasts: as stated, where the header can be trusted; else measured at the end; else by byte rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from shared.failures import BadMedia
from trigger_function.containers.demuxing import FIRST_PACKET_WITHIN, Description, Stretch, Undemuxable, stretches
from trigger_function.containers.header_sizes import HEAD_BYTES, stated_mp3_bytes, stated_size
from trigger_function.containers.matroska import CLUSTER, cluster_before, void_element
from trigger_function.containers.mp4 import Movie, Track, free_box
from trigger_function.containers.overlay import Overlay
from trigger_function.ranged_reader import RandomAccess, ReadBudgetExceeded

WHOLE_BYTES = 512 * 1024
"""Up to this size every packet is counted; also what a look at the beginning reads at most."""

SAMPLES = 12
SAMPLE_BYTES = 32 * 1024
"""Larger files of packets without times are counted in this many places of this size."""

TAILS_BYTES = (128 * 1024, 1024 * 1024, 4 * 1024 * 1024)
"""How far from the end the last packets are looked for, nearest first."""

MP3_TAG_BYTES = 4096
"""Room for the frame that holds an MP3's own table of contents."""

TOLERANCE = 0.01

_CONSTANT_RATE = frozenset(("aiff", "au", "caf", "w64", "wav"))
_PACKETS_WITHOUT_TIMES = frozenset(("aac", "ac3", "amr", "eac3", "mp3"))
_TIMES_FOUND_ANYWHERE = frozenset(("flac", "mpeg", "mpegts"))


class Duration(NamedTuple):
    """Length of the audio; an estimate where part of it was extrapolated."""

    seconds: float
    is_estimate: bool = False


class Parts(NamedTuple):
    """How a container marks the parts that hold its audio, and how it can be made to skip some of them."""

    marker: bytes
    marker_offset: int
    """Bytes from a part's start to its marker."""
    filler: Callable[[int, int], bytes]
    """Header of padding from one byte offset to another, at least FILLER_BYTES later."""


FILLER_BYTES = 16
CLUSTERS = Parts(CLUSTER, 0, void_element)
FRAGMENTS = Parts(b"moof", 4, free_box)


def duration(file: RandomAccess, audio: Description) -> Duration:
    """Length of the audio in any container but MP4. Raises BadMedia where nothing tells it."""
    if audio.first_packet_at is None and file.size <= FIRST_PACKET_WITHIN:
        return Duration(0.0)
    if audio.container in _PACKETS_WITHOUT_TIMES:
        return _counted(file, audio)
    if audio.container in _TIMES_FOUND_ANYWHERE:
        return _until(_last_time(file, audio), file, audio)
    if audio.container == "matroska,webm":
        return _of_clusters(file, audio)
    return _as_stated(file, audio)


def movie_duration(file: RandomAccess, movie: Movie, track: Track, audio: Description) -> Duration:
    """Length of an MP4's audio track. Raises BadMedia where nothing tells it.

    Fragmented files, recordings mostly, state none. Their `audio` describes the header with the first fragment.
    """
    if movie.first_fragment is None:
        return _unless_cut(track.seconds, file.size, movie.stated_size)
    last = _last_time_of_parts(movie.without_tables(file), audio, movie.first_fragment.start, FRAGMENTS)
    if last is None:
        return _extrapolated(stretches(movie.header(file), audio.stream_index, [(0, file.size)]), file.size)
    # A header that has sample tables as well holds the first samples, from 0 on, in them.
    return Duration(last if track.seconds else last - audio.start_seconds)


def _counted(file: RandomAccess, audio: Description) -> Duration:
    first = audio.first_packet_at or 0
    tag_start = max(first - MP3_TAG_BYTES, 0)
    stated = stated_mp3_bytes(file.read_at(tag_start, first - tag_start))
    if stated is not None and abs(file.size - tag_start - stated) <= TOLERANCE * stated:
        return Duration(audio.stated_seconds)
    if file.size <= WHOLE_BYTES:
        return Duration(sum(stretch.seconds for stretch in stretches(file, audio.stream_index, [(0, file.size)])))
    # AMR has no marks by which its packets could be found from the middle.
    places = [(0, WHOLE_BYTES)] if audio.container == "amr" else _samples(first, file.size)
    for start, end in places:
        # One request for what the demuxer reads piece by piece.
        file.read_at(start, end - start)
    return _extrapolated(stretches(file, audio.stream_index, places), file.size - first)


def _samples(start: int, end: int) -> list[tuple[int, int]]:
    step = (end - start) // SAMPLES
    return [(start + index * step, start + index * step + SAMPLE_BYTES) for index in range(SAMPLES)]


def _until(last: float | None, file: RandomAccess, audio: Description) -> Duration:
    if last is None or last <= audio.start_seconds:
        return _by_rate(file, audio)
    return Duration(last - audio.start_seconds)


def _last_time(file: RandomAccess, audio: Description) -> float | None:
    """Where the last packet ends, in seconds, for containers whose packets can be found from anywhere."""
    for tail in TAILS_BYTES:
        start = max(file.size - tail, 0)
        file.read_at(start, tail)
        for stretch in stretches(file, audio.stream_index, [(start, file.size)]):
            if stretch.end_seconds is not None:
                return stretch.end_seconds
    return None


def _of_clusters(file: RandomAccess, audio: Description) -> Duration:
    if audio.stated_seconds and _stated_size(file) <= file.size:
        return Duration(audio.stated_seconds)
    first = None if audio.first_packet_at is None else cluster_before(file, audio.first_packet_at)
    return _until(None if first is None else _last_time_of_parts(file, audio, first, CLUSTERS), file, audio)


def _last_time_of_parts(file: RandomAccess, audio: Description, first_part: int, parts: Parts) -> float | None:
    """Where the last packet ends, in seconds, for containers that are read part by part from the first one on.

    The demuxer is shown a file that has padding from the first part up to one near the end.
    """
    for tail in TAILS_BYTES:
        start = max(file.size - tail, first_part)
        try:
            at = file.read_at(start, file.size - start).find(parts.marker)
            part = start + at - parts.marker_offset
            if at < 0 or part < first_part:
                continue
            gap = {first_part: parts.filler(first_part, part)} if part - first_part >= FILLER_BYTES else {}
            for stretch in stretches(Overlay(file, gap), audio.stream_index, [(0, file.size)]):
                if stretch.end_seconds is not None:
                    return stretch.end_seconds
        except (ReadBudgetExceeded, Undemuxable):
            return None
    return None


def _as_stated(file: RandomAccess, audio: Description) -> Duration:
    stated = audio.stated_seconds
    if audio.container in _CONSTANT_RATE and audio.bits_per_second:
        room = (file.size - (audio.first_packet_at or 0)) * 8 / audio.bits_per_second
        if not 0 < stated <= room:
            return Duration(room, is_estimate=not audio.codec.startswith("pcm_"))
    if not stated:
        return _by_rate(file, audio)
    return _unless_cut(stated, file.size, _stated_size(file))


def _stated_size(file: RandomAccess) -> int:
    """The file's length by its header, 0 where that does not say."""
    return stated_size(file.read_at(0, HEAD_BYTES)) or 0


def _unless_cut(stated_seconds: float, size: int, stated_bytes: int) -> Duration:
    if stated_bytes <= size:
        return Duration(stated_seconds)
    return Duration(stated_seconds * size / stated_bytes, is_estimate=True)


def _by_rate(file: RandomAccess, audio: Description) -> Duration:
    """The whole file at the byte rate of its beginning, other streams' bytes included."""
    return _extrapolated(stretches(file, audio.stream_index, [(0, WHOLE_BYTES)]), file.size)


def _extrapolated(samples: Sequence[Stretch], size: int) -> Duration:
    byte_count, seconds = sum(sample.byte_count for sample in samples), sum(sample.seconds for sample in samples)
    if byte_count <= 0 or seconds <= 0:
        raise BadMedia("The file is damaged: no sound can be found in it.")
    return Duration(seconds * size / byte_count, is_estimate=True)
