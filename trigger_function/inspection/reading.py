"""Read what a file's header says of its sound, container by container, and of all recordings that it is joined from."""

from __future__ import annotations

from contextlib import suppress

from shared.errors import BadMedia, Rejected
from shared.formats.tracks import ALL_TRACKS, RequestedTrack
from trigger_function.inspection.containers import index_padding, is_avi, picture_padding
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.demux import Description, Undemuxable, describe
from trigger_function.inspection.duration import duration, movie_duration
from trigger_function.inspection.joined import recordings
from trigger_function.inspection.length import Duration
from trigger_function.inspection.mp4 import ENCRYPTED_ENTRIES, is_mp4, read_movie
from trigger_function.inspection.overlay import Overlay, Tail
from trigger_function.inspection.ranged_reader import RandomAccess

MAX_ID3_TAGS = 8

ENCRYPTED = "The file is encrypted (DRM), so it cannot be read."


def read_recordings(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    """The first recording's header, and the length of all. Raises BadMedia, Rejected and Undemuxable."""
    (first, *others), share = recordings(file)
    audio, length = _read_track(first, requested)
    lengths = [length]
    for other in others:
        try:
            lengths.append(_read_track(other, requested)[1])
        except (BadMedia, Rejected, Undemuxable):
            lengths.append(Duration(0.0, is_estimate=True))
    if not others:
        return audio, length
    promised = [one.promised_seconds for one in lengths]
    return audio, Duration(
        share * sum(one.seconds for one in lengths),
        is_estimate=share > 1 or any(one.is_estimate for one in lengths),
        promised_seconds=None if share > 1 or None in promised else sum(one or 0.0 for one in promised),
    )


def _read_track(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    audio, length = _read(file, requested)
    return audio, _longest(file, audio, length) if requested == ALL_TRACKS else length


def _read(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    head = file.read_at(0, HEAD_BYTES)
    return _read_mp4(file, requested) if is_mp4(head) else _read_other(_relevant(file, head), requested)


def _longest(file: RandomAccess, audio: Description, length: Duration) -> Duration:
    """Of all tracks that can be read, where the described one has this length."""
    lengths = [length]
    for track in audio.tracks:
        if track.is_readable and track.index != audio.stream_index:
            # A track without sound has no part in the mix.
            with suppress(BadMedia):
                lengths.append(_read(file, track.number)[1])
    promised = [one.promised_seconds for one in lengths if one.promised_seconds is not None]
    return Duration(
        max(one.seconds for one in lengths), any(one.is_estimate for one in lengths), max(promised, default=None)
    )


def _read_mp4(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    movie = read_movie(file)
    audio = describe(movie.header(file), requested)
    track = movie.track(audio.stream_id)
    if track.is_external:
        raise BadMedia("The file's sound lies in another file, which is not followed.")
    if track.entry in ENCRYPTED_ENTRIES:
        raise BadMedia(ENCRYPTED)
    return audio, movie_duration(file, movie, track, audio)


def _read_other(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    audio = describe(file, requested)
    if audio.is_encrypted:
        raise BadMedia(ENCRYPTED)
    return audio, duration(file, audio)


def _relevant(file: RandomAccess, head: bytes) -> RandomAccess:
    """The file without what would be read for nothing: an index or cover art may be megabytes."""
    if is_avi(head):
        return Overlay(file, index_padding(file))
    if head.startswith(b"fLaC"):
        return Overlay(file, picture_padding(file))
    return _after_id3(file)


def _after_id3(file: RandomAccess) -> RandomAccess:
    """The file behind its ID3v2 tags."""
    start = 0
    for _ in range(MAX_ID3_TAGS):
        tag = file.read_at(start, 10)
        if len(tag) < 10 or not tag.startswith(b"ID3"):
            break
        *_, flags, high, middle, low, lowest = tag
        has_footer = bool(flags & 0x10)
        start += 10 + (high << 21 | middle << 14 | low << 7 | lowest) + 10 * has_footer
    return Tail(file, start) if start else file
