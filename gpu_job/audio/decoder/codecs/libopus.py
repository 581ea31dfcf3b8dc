"""Opus by libopus itself, at the output's rate: less than half of what FFmpeg's decoder and resampler take.

libopus is the codec's reference and decodes to 16 kHz without a resampler. FFmpeg's libraries come with it, but have no
word for a rate other than 48 kHz; so it is called here, in the library that PyAV has loaded. Where that has none, and
for more than two channels, FFmpeg decodes.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av._core
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.error import InvalidDataError
from av.packet import Packet

from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, OutputFrame, SoundFormat

CODEC_RATE = 48_000
"""In which Opus counts samples, whatever it is decoded to."""

LONGEST_PACKET_SAMPLES = OUTPUT_RATE * 120 // 1000
"""Of a channel: a packet has up to 120 ms (RFC 6716)."""

EMPTY_PACKET_BYTES = 2
"""Up to here a packet has no sound: so encoders say that they send nothing in a pause (DTX). libopus would put noise
there, which follows from all that it ever decoded: one that began in mid-file would give other samples."""

SET_GAIN, RESET_STATE = 4034, 4028
"""Requests of opus_defines.h."""

_HEAD_BYTES = 19
_LAYOUTS = {1: "mono", 2: "stereo"}
_INVALID_DATA = -1094995529
"""FFmpeg's AVERROR_INVALIDDATA."""


@dataclass(frozen=True)
class _Head:
    """What OpusHead states (RFC 7845, 5.1), of a stream with one or two channels."""

    channels: int
    gain: int
    """In 1/256 dB."""


class OpusDecoder:
    """Of one stream."""

    def __init__(self, library: ctypes.CDLL, head: _Head, time_base: Fraction) -> None:
        """`time_base`: seconds of a tick of the packets' times."""
        channels = head.channels
        self._decode = library.opus_decode_float
        self._count = library.opus_packet_get_nb_samples
        self._control = library.opus_decoder_ctl
        self._state = ctypes.create_string_buffer(library.opus_decoder_get_size(channels))
        self._samples = (ctypes.c_float * (LONGEST_PACKET_SAMPLES * channels))()
        self._bytes = memoryview(self._samples).cast("B")
        # ctypes takes a number much faster than what it is the address of.
        self._state_at, self._samples_at = ctypes.addressof(self._state), ctypes.addressof(self._samples)
        self._frame_bytes = 4 * channels
        self._format = SoundFormat(OUTPUT_RATE, "flt", _LAYOUTS[channels], channels)
        self._time_base = time_base
        self._skipped = 0
        library.opus_decoder_init(self._state, OUTPUT_RATE, channels)
        self._control(self._state, SET_GAIN, ctypes.c_int32(head.gain))

    def decode(self, packet: Packet[AudioStream]) -> list[OutputFrame]:
        """The packet's samples, without those that its container says are not to be heard. As FFmpeg's decoders.

        Raises InvalidDataError for what is no packet of Opus.
        """
        size = packet.size
        if not size:
            return []
        if size > EMPTY_PACKET_BYTES:
            count = self._decode(self._state_at, packet.buffer_ptr, size, self._samples_at, LONGEST_PACKET_SAMPLES, 0)
        else:
            count = self._count(packet.buffer_ptr, size, OUTPUT_RATE)
            ctypes.memset(self._samples, 0, len(self._bytes))
        if count < 0:
            raise InvalidDataError(_INVALID_DATA, "libopus makes nothing of the packet")
        stated = None
        for data in packet.iter_sidedata():  # not `has_sidedata`, which takes as long as the rest of the loop
            if data.data_type == "skip_samples":
                stated = bytes(data)
                break
        if self._skipped or stated is not None or packet.is_discard:
            return self._trimmed(packet, count, stated)
        return [OutputFrame(self._bytes[: count * self._frame_bytes].tobytes(), count, packet.pts, self._format)]

    def reset(self) -> None:
        """What follows is from another place of the stream."""
        self._control(self._state, RESET_STATE)
        self._skipped = 0

    def _trimmed(self, packet: Packet[AudioStream], count: int, stated: bytes | None) -> list[OutputFrame]:
        """Without the padding that is stated beside the packet, as FFmpeg leaves it out of what its decoders give."""
        padding = 0
        if stated is not None:
            self._skipped = int.from_bytes(stated[0:4], "little")
            padding = int.from_bytes(stated[4:8], "little")
        whole = count * CODEC_RATE // OUTPUT_RATE
        skipped = min(whole, self._skipped)
        self._skipped -= skipped
        first = round(skipped * OUTPUT_RATE / CODEC_RATE)
        last = count - (round(padding * OUTPUT_RATE / CODEC_RATE) if padding <= whole - skipped else 0)
        if packet.is_discard or first >= last:
            return []
        data = self._bytes[first * self._frame_bytes : last * self._frame_bytes].tobytes()
        ticks = math.floor(Fraction(skipped, CODEC_RATE) / self._time_base + Fraction(1, 2))
        pts = None if packet.pts is None else packet.pts + ticks
        return [OutputFrame(data, last - first, pts, self._format)]


def opus_decoder(stream: AudioStream) -> OpusDecoder | None:
    """For a stream that libopus decodes; None for all that FFmpeg does."""
    context = stream.codec_context
    head = _head(context) if context.name in ("opus", "libopus") and stream.time_base else None
    library = None if head is None else _library()
    if head is None or library is None or not stream.time_base:
        return None
    return OpusDecoder(library, head, stream.time_base)


def _head(context: AudioCodecContext) -> _Head | None:
    """None where there is none, and for what takes several streams of Opus."""
    data = context.extradata or b""
    is_usual = len(data) >= _HEAD_BYTES and data.startswith(b"OpusHead") and data[8] < 16
    if not is_usual or data[9] not in _LAYOUTS or data[18] != 0:
        return None
    return _Head(data[9], int.from_bytes(data[16:18], "little", signed=True))


@cache
def _library() -> ctypes.CDLL | None:
    """Symbols are looked for in all that PyAV's core is linked with."""
    library = ctypes.CDLL(av._core.__file__)
    try:
        decode, control = library.opus_decode_float, library.opus_decoder_ctl
        size, init = library.opus_decoder_get_size, library.opus_decoder_init
        count = library.opus_packet_get_nb_samples
    except AttributeError:
        return None
    decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    count.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32]
    control.argtypes = [ctypes.c_void_p, ctypes.c_int]
    size.argtypes, init.argtypes = [ctypes.c_int], [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
    for function in (decode, count, control, size, init):
        function.restype = ctypes.c_int
    return library
