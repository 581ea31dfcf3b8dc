"""Open an upload with FFmpeg's demuxers, choose the track, and say what the times of its container mean."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import av
import av._core
from av.audio.stream import AudioStream
from av.container import Flags, InputContainer
from av.stream import Discard, Disposition

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import ClockRules
from gpu_job.audio.decoder.placing import CannotDecode
from gpu_job.audio.decoder.records import DecodingRequest
from shared.formats.header_sizes import header_patches

READ_BYTES = 64 * 1024
"""Read from the file at a time."""

PROBED_BYTES, PROBED_AGAIN_BYTES = 5 * 2**20, 100 * 2**20
"""How far FFmpeg looks for streams (its default); and once more where it found no sound: a film's may begin late."""

PROBING_DECODERS = ("aac", "aac_latm", "ac3", "eac3", "dca", "flac", "pcm_bluray", "pcm_dvd", "s302m", "truehd", "mlp")
"""Codecs whose streams show channels and sample rate only to a decoder. Pictures are never decoded."""

REFUSED_DECODER = "not on whitelist"
"""Logged under the name of a decoder that is none of those above; that of Flash video is called as its demuxer is."""

COUNTED_CONTAINERS = frozenset((
    "aac", "ac3", "act", "aea", "amr", "amrnb", "amrwb", "dss", "dts", "dtshd", "eac3", "gsm", "loas", "mlp", "mp3",
    "oma", "qcp", "spdif", "truehd",
))  # fmt: skip
"""Demuxers whose timestamps are FFmpeg's own count of packets, those included that turn out to be none."""

NUMBERED_CONTAINERS = frozenset({"ape", "dsf", "flac", "mpc", "mpc8", "shn", "tak", "tta", "wv"})
"""Demuxers of codecs that number their samples or frames: there can be no pause."""

JUMPING_CLOCKS = frozenset({"mpeg", "mpegts"})
DISCONTINUITY_SECONDS = 3600.0
"""In MPEG streams another programme with its own clock, anywhere within 26 h, may follow; a longer jump is no pause."""


def bound_allocations(limit: int) -> None:
    """Bytes that FFmpeg may ask for at once. PyAV has no word for this; its core module is linked with the symbol."""
    ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(limit))


@contextmanager
def opened(source: ByteSource, request: DecodingRequest) -> Iterator[InputContainer]:
    """The bytes as a container with sound; `source.damaged_until` is set. Raises CannotDecode."""
    shown = source.patched(header_patches(source))
    for probed in (PROBED_BYTES, PROBED_AGAIN_BYTES):
        shown.seek(0)
        with av.logging.Capture() as logs:
            container = _open(shown, request, probed)
        names = container.format.name.split(",")
        complaints = [name for _, name, text in logs if REFUSED_DECODER not in text]
        source.damaged_until = shown.tell() if any(name in names for name in complaints) else 0
        if container.streams.audio or probed >= source.size:
            break
        container.close()
    with container:
        # PyAV sets it: FFmpeg would read far ahead for a missing timestamp.
        container.flags &= ~cast(int, Flags.gen_pts.value)
        yield container


def _open(source: ByteSource, request: DecodingRequest, probed: int) -> InputContainer:
    options = {
        "format_whitelist": ",".join(request.demuxers),
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(PROBING_DECODERS),
        "probesize": str(probed),
        "skip_estimate_duration_from_pts": "1",
    }
    try:
        return av.open(
            source,
            mode="r",
            buffer_size=READ_BYTES,
            container_options=options,
            metadata_errors="replace",
            io_open=source.refuse_to_open,
        )
    except av.FFmpegError as error:
        raise CannotDecode(source.failure or str(error.strerror)) from None


def choose_stream(container: InputContainer, track: int | None, *, is_first: bool) -> AudioStream:
    """The stream of that index, else the default one, else the first; the packets of the others are left out.

    Raises CannotDecode.
    """
    streams = container.streams.audio
    chosen = next((stream for stream in streams if stream.index == track), None)
    if chosen is None:
        if track is not None and is_first:
            raise CannotDecode(f"it has no sound in stream {track}")
        readable = [stream for stream in streams if stream.codec_context] or list(streams)
        if not readable:
            raise CannotDecode("it has no audio track")
        chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if not chosen.codec_context:
        raise CannotDecode("its sound is of a codec that is not read")
    for other in container.streams:
        other.discard = Discard.none if other.index == chosen.index else Discard.all
    return chosen


def demuxer_name(container: InputContainer) -> str:
    """The first name of FFmpeg's demuxer."""
    return container.format.name.partition(",")[0]


def origin(container: InputContainer, stream: AudioStream) -> float:
    """Seconds on the container's clock at which a player begins."""
    if demuxer_name(container) == "mov" and stream.frames:
        # What edit lists leave empty is played as silence. Fragments have the clock of a recorder that ran before.
        return 0.0
    if container.start_time is None:
        return 0.0
    start = container.start_time / av.time_base
    if stream.start_time is not None and stream.time_base is not None:
        own = float(stream.start_time * stream.time_base)
        if abs(own - start) < 2 / av.time_base:
            return own  # not rounded to microseconds
    return start


def clock_rules(container: InputContainer, request: DecodingRequest) -> ClockRules:
    """What the times of this container mean."""
    name = demuxer_name(container)
    return ClockRules(
        has_times=name not in COUNTED_CONTAINERS,
        has_pauses=name not in NUMBERED_CONTAINERS,
        discontinuity_seconds=DISCONTINUITY_SECONDS if name in JUMPING_CLOCKS else float("inf"),
        longest_seconds=request.longest_seconds,
    )
