"""Inspection: what an upload is, from a few ranged reads and without decoding it."""

from __future__ import annotations

import math

from shared.errors import BadMedia
from shared.formats.header_sizes import header_patches
from shared.formats.junk import junk_bytes
from shared.formats.tracks import ALL_TRACKS, RequestedTrack
from shared.media import Media
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.demux import Description, Undemuxable
from trigger_function.inspection.length import Duration
from trigger_function.inspection.overlay import Overlay, Tail
from trigger_function.inspection.ranged_reader import MAX_BYTES, Fetch, RandomAccess, RangedReader, ReadBudgetExceeded
from trigger_function.inspection.reading import ENCRYPTED, read_recordings
from trigger_function.inspection.sniff import is_encrypted_asf, is_media, is_scrambled_ts, looks_like

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included: a header that states a longer recording is wrong."""

SAMPLE_RATES_HZ = range(1_000, 768_001)
MAX_CHANNELS = 64
"""As many as FFmpeg's resampler takes; the job's decoder has the same limit."""
MOST_STATED_CHANNELS = 1024
"""More than this no recorder has: the header is damaged."""


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
        raise BadMedia(ENCRYPTED)
    junk = junk_bytes(file)
    if junk:
        file = Tail(file, junk)
        head = file.read_at(0, HEAD_BYTES)
    patches = header_patches(file, parts_within=HEAD_BYTES)
    if patches:
        file = Overlay(file, patches)
    try:
        audio, length = read_recordings(file, requested)
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
        size_bytes=junk + file.size,
        has_video=audio.has_video,
        has_wrong_header=bool(patches or junk),
        tracks=audio.tracks,
        track=audio.stream_index,
        mixes_tracks=requested == ALL_TRACKS and len(audio.tracks) > 1,
    )


def _check(audio: Description, length: Duration, size: int) -> None:
    """Raise BadMedia where the header says what cannot be."""
    if audio.channels in range(MAX_CHANNELS + 1, MOST_STATED_CHANNELS + 1):
        raise BadMedia(f"The recording has {audio.channels} channels; at most {MAX_CHANNELS} can be read.")
    if audio.sample_rate_hz not in SAMPLE_RATES_HZ or not 0 < audio.channels <= MAX_CHANNELS:
        stated = f"{audio.channels} channels at {audio.sample_rate_hz} Hz"
        raise BadMedia(f"The file is damaged: its header states {stated}.")
    if length.seconds <= 0:
        raise BadMedia("The recording is 0 seconds long.")
    if not math.isfinite(length.seconds) or length.seconds * LOWEST_BITS_PER_SECOND > size * 8:
        raise BadMedia("The file is damaged: its header says that it lasts longer than it can.")
