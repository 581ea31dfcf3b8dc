"""How long the audio lasts: as stated, where the header can be trusted; else measured at the end; else by byte rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.errors import BadMedia
from trigger_function.inspection.containers import cluster_before, is_chained
from trigger_function.inspection.declared_size import HEAD_BYTES, stated_mp3_bytes, stated_size
from trigger_function.inspection.demux import FIRST_PACKET_WITHIN, READ_BYTES, Description, Stretch, stretches
from trigger_function.inspection.last_packet import (
    CLUSTERS,
    FRAGMENTS,
    last_packet_end,
    last_packet_end_of_parts,
    times_increase,
)
from trigger_function.inspection.mp4 import Movie, Track
from trigger_function.inspection.ranged_reader import RandomAccess

WHOLE_BYTES = 2 * 1024 * 1024
"""Up to this size a file of packets without times is read whole, which is one request where samples are twelve."""

SAMPLES = 12
SAMPLE_BYTES = 24 * 1024
"""Of larger ones packets are counted in this many places of this size."""

MP3_TAG_BYTES = 4096
"""Read before an MP3's first packet, for the frame with its table of contents (Xing, Info or VBRI)."""

TOLERANCE = 0.01


class Duration(NamedTuple):
    """Length of the audio; an estimate where part of it was extrapolated."""

    seconds: float
    is_estimate: bool = False


def duration(file: RandomAccess, audio: Description) -> Duration:
    """Length of the audio in any container but MP4. Raises BadMedia where it cannot be determined."""
    if audio.first_packet_at is None and file.size <= FIRST_PACKET_WITHIN:
        return Duration(0.0)
    match audio.container:
        case "aac" | "ac3" | "amr" | "eac3" | "mp3":
            return _by_packets(file, audio)
        case "aiff" | "au" | "caf" | "w64" | "wav" if audio.bits_per_second:
            return _by_constant_rate(file, audio)
        case "flac":
            return _until(last_packet_end(file, audio), file, audio)
        case "mpeg" | "mpegts":
            return _unless_joined(file, audio)
        case "asf":
            return _stated_if_complete(file, audio) or _until(last_packet_end(file, audio), file, audio)
        case "matroska,webm":
            return _stated_if_complete(file, audio) or _by_clusters(file, audio)
        case "avi":
            return _stated_if_complete(file, audio) or _by_beginning(file, audio)
        case "ogg" if is_chained(file):
            return _by_beginning(file, audio)
        case _:
            return _stated(file, audio)


def movie_duration(file: RandomAccess, movie: Movie, track: Track, audio: Description) -> Duration:
    """Length of an MP4's audio track. Raises BadMedia where it cannot be determined.

    Fragmented files, recordings mostly, state none. Their `audio` describes the header with the first fragment.
    """
    if movie.first_fragment is None:
        return _cut_to(movie.share_of_data, track.seconds)
    last = last_packet_end_of_parts(movie.without_tables(file), audio, movie.first_fragment.start, FRAGMENTS)
    if last is None:
        return _by_beginning(movie.header(file), audio)
    # A header that has sample tables as well holds the first samples, from 0 on, in them.
    return Duration(last if track.seconds else last - audio.start_seconds)


def _by_packets(file: RandomAccess, audio: Description) -> Duration:
    """Of packets that carry no times; an MP3 may begin with a count of them."""
    first = audio.first_packet_at or 0
    tag_start = max(first - MP3_TAG_BYTES, 0)
    stated = stated_mp3_bytes(file.read_at(tag_start, first - tag_start))
    if stated is not None and abs(file.size - tag_start - stated) <= TOLERANCE * stated:
        return Duration(audio.stated_seconds)
    places = _places(audio, file.size)
    for start, end in places:
        # One request for what the demuxer reads piece by piece.
        file.read_at(start, end - start + READ_BYTES)
    samples = stretches(file, audio.stream_index, places)
    if file.size <= WHOLE_BYTES:
        return Duration(sum(sample.seconds for sample in samples))
    return _extrapolated(samples, file.size - first)


def _places(audio: Description, size: int) -> list[tuple[int, int]]:
    """Ranges of bytes to count packets in."""
    if size <= WHOLE_BYTES:
        return [(0, size)]
    if audio.container == "amr":
        # Nothing marks its packets, so none can be found from the middle.
        return [(0, HEAD_BYTES)]
    start = audio.first_packet_at or 0
    step = (size - start) // SAMPLES
    return [(start + index * step, start + index * step + SAMPLE_BYTES) for index in range(SAMPLES)]


def _by_constant_rate(file: RandomAccess, audio: Description) -> Duration:
    """As stated, as far as the file has bytes for it: recorders that stream cannot know, and write 0 or all ones."""
    room = (file.size - (audio.first_packet_at or 0)) * 8 / audio.bits_per_second
    if 0 < audio.stated_seconds <= room:
        return Duration(audio.stated_seconds)
    return Duration(room, is_estimate=not audio.codec.startswith("pcm_"))


def _unless_joined(file: RandomAccess, audio: Description) -> Duration:
    last = last_packet_end(file, audio)
    if last is not None and times_increase(file, audio, last):
        return Duration(last - audio.start_seconds)
    return _by_beginning(file, audio)


def _by_clusters(file: RandomAccess, audio: Description) -> Duration:
    first = None if audio.first_packet_at is None else cluster_before(file, audio.first_packet_at)
    return _until(None if first is None else last_packet_end_of_parts(file, audio, first, CLUSTERS), file, audio)


def _until(last: float | None, file: RandomAccess, audio: Description) -> Duration:
    if last is None or last <= audio.start_seconds:
        return _by_beginning(file, audio)
    return Duration(last - audio.start_seconds)


def _stated_if_complete(file: RandomAccess, audio: Description) -> Duration | None:
    size = stated_size(file.read_at(0, HEAD_BYTES))
    is_complete = size is not None and size <= file.size
    return Duration(audio.stated_seconds) if audio.stated_seconds and is_complete else None


def _stated(file: RandomAccess, audio: Description) -> Duration:
    if not audio.stated_seconds:
        return _by_beginning(file, audio)
    size = stated_size(file.read_at(0, HEAD_BYTES))
    return _cut_to(file.size / size if size else 1.0, audio.stated_seconds)


def _cut_to(share: float, stated_seconds: float) -> Duration:
    return Duration(stated_seconds * min(share, 1.0), is_estimate=share < 1)


def _by_beginning(file: RandomAccess, audio: Description) -> Duration:
    """The whole file at the byte rate of its beginning, other streams' bytes included."""
    beginning = stretches(file, audio.stream_index, [(0, HEAD_BYTES)])
    return _extrapolated(beginning, file.size - (audio.first_packet_at or 0))


def _extrapolated(samples: Sequence[Stretch], size: int) -> Duration:
    seconds = sum(sample.seconds_before_last for sample in samples)
    byte_count = sum(sample.bytes_before_last for sample in samples)
    if byte_count <= 0 or seconds <= 0:
        raise BadMedia("The file is damaged: no sound can be found in it.")
    return Duration(seconds * size / byte_count, is_estimate=True)
