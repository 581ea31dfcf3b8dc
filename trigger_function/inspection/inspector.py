"""Inspection: what an upload is, from a few ranged reads and without decoding it."""

from __future__ import annotations

import math
from contextlib import suppress

from shared.errors import BadMedia
from shared.formats.header_sizes import header_patches
from shared.formats.tracks import ALL_TRACKS, RequestedTrack
from shared.media import Media
from trigger_function.inspection.containers import index_padding, is_avi, picture_padding
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.demux import Description, Undemuxable, describe
from trigger_function.inspection.duration import duration, movie_duration
from trigger_function.inspection.length import Duration
from trigger_function.inspection.mp4 import ENCRYPTED_ENTRIES, is_mp4, read_movie
from trigger_function.inspection.overlay import Overlay, Tail
from trigger_function.inspection.ranged_reader import MAX_BYTES, Fetch, RandomAccess, RangedReader, ReadBudgetExceeded
from trigger_function.inspection.sniff import is_encrypted_asf, is_media, is_scrambled_ts, looks_like

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included: a header that states a longer recording is wrong."""

SAMPLE_RATES_HZ = range(1_000, 768_001)
CHANNELS = range(1, 65)

MAX_ID3_TAGS = 8

_ENCRYPTED = "The file is encrypted (DRM), so it cannot be read."


def inspect(fetch: Fetch, size: int, *, track: RequestedTrack | None = None, max_bytes: int = MAX_BYTES) -> Media:
    """The upload of `size` bytes behind `fetch`, by at most `max_bytes` of them.

    `track`: which audio track is to be transcribed; None: as `chosen_track` does.
    Raises BadMedia where the file cannot be transcribed, Rejected where it has no such track, and whatever `fetch`
    raises as it is.
    """
    if size <= 0:
        raise BadMedia("The file is empty.")
    try:
        return _inspect(RangedReader(fetch, size, max_bytes=max_bytes), track)
    except ReadBudgetExceeded:
        raise BadMedia("The file's header is too large to be read.") from None


def _inspect(file: RandomAccess, requested: RequestedTrack | None) -> Media:
    head = file.read_at(0, HEAD_BYTES)
    if not is_media(head) and (kind := looks_like(head)):
        raise BadMedia(f"This is not an audio or video file (it looks like {kind}).")
    if is_encrypted_asf(head) or is_scrambled_ts(head):
        raise BadMedia(_ENCRYPTED)
    patches = header_patches(file)
    if patches:
        file = Overlay(file, patches)
    try:
        audio, length = _read(file, head, requested)
        if requested == ALL_TRACKS:
            length = _longest(file, head, audio, length)
    except Undemuxable:
        if is_media(head):
            raise BadMedia("The file is damaged: its header is cut off or cannot be read.") from None
        raise BadMedia("This is not an audio or video file of a known kind.") from None
    _check(audio, length, file.size)
    return Media(
        container=audio.container,
        codec=audio.codec,
        duration_seconds=length.seconds,
        duration_is_estimate=length.is_estimate,
        promised_seconds=length.promised_seconds,
        sample_rate_hz=audio.sample_rate_hz,
        channels=audio.channels,
        size_bytes=file.size,
        has_video=audio.has_video,
        has_wrong_sizes=bool(patches),
        tracks=audio.tracks,
        track=audio.stream_index,
        mixes_tracks=requested == ALL_TRACKS and len(audio.tracks) > 1,
    )


def _read(file: RandomAccess, head: bytes, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    return _read_mp4(file, requested) if is_mp4(head) else _read_other(_relevant(file, head), requested)


def _longest(file: RandomAccess, head: bytes, audio: Description, length: Duration) -> Duration:
    """Of all tracks that can be read, where the described one has this length."""
    lengths = [length]
    for track in audio.tracks:
        if track.is_readable and track.index != audio.stream_index:
            # A track without sound has no part in the mix.
            with suppress(BadMedia):
                lengths.append(_read(file, head, track.number)[1])
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
        raise BadMedia(_ENCRYPTED)
    return audio, movie_duration(file, movie, track, audio)


def _read_other(file: RandomAccess, requested: RequestedTrack | None) -> tuple[Description, Duration]:
    audio = describe(file, requested)
    if audio.is_encrypted:
        raise BadMedia(_ENCRYPTED)
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


def _check(audio: Description, length: Duration, size: int) -> None:
    """Raise BadMedia where the header says what cannot be."""
    if audio.sample_rate_hz not in SAMPLE_RATES_HZ or audio.channels not in CHANNELS:
        stated = f"{audio.channels} channels at {audio.sample_rate_hz} Hz"
        raise BadMedia(f"The file is damaged: its header states {stated}.")
    if length.seconds <= 0:
        raise BadMedia("The recording is 0 seconds long.")
    if not math.isfinite(length.seconds) or length.seconds * LOWEST_BITS_PER_SECOND > size * 8:
        raise BadMedia("The file is damaged: its header says that it lasts longer than it can.")
