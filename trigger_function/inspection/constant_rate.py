"""The length of WAV, Wave64, AIFF, AU and CAF, whose codecs mostly store every second in as many bytes."""

from __future__ import annotations

from shared.formats.iff_sizes import caf_sound_bytes
from shared.formats.wave_sizes import wave_data
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.demux import Description, stretches
from trigger_function.inspection.length import Duration, by_beginning
from trigger_function.inspection.ranged_reader import RandomAccess

_CONSTANT = ("pcm_", "adpcm_", "g722", "g726", "gsm", "truespeech")
"""Beginnings of codec names."""


def wave_duration(file: RandomAccess, audio: Description) -> Duration:
    """By the bytes of sound at the rate of the first packets: what headers state as byte rate of ADPCM is often wrong.

    Codecs that vary have their number of samples in a `fact` chunk.
    """
    data = wave_data(file)
    rate = _seconds_per_byte(file, audio)
    if data is None or rate is None:
        return by_beginning(file, audio, audio.stated_seconds or None)
    present = rate * min(data.stated_bytes or data.sound_bytes, data.sound_bytes)
    promised = rate * data.stated_bytes or None
    if audio.codec.startswith(_CONSTANT):
        return Duration(present, promised_seconds=promised)
    if promised is None or not audio.stated_seconds:
        return Duration(present, is_estimate=True)
    share = data.sound_bytes / data.stated_bytes
    return _cut_to(min(share, 1.0), data.promised_seconds(audio.stated_seconds, audio.sample_rate_hz))


def sized_duration(file: RandomAccess, audio: Description) -> Duration:
    """As the header states, as far as the file has bytes for it."""
    rate, stated = _seconds_per_byte(file, audio), audio.stated_seconds
    if rate is None:
        return by_beginning(file, audio, stated or None)
    if audio.container == "caf" and audio.codec.startswith(_CONSTANT):
        # FFmpeg states what there is.
        stated = rate * (caf_sound_bytes(file) or 0) or stated
    room = rate * (file.size - (audio.first_packet_at or 0))
    is_constant = audio.codec.startswith(_CONSTANT)
    if not stated:
        return Duration(room, is_estimate=not is_constant)
    if is_constant:
        return Duration(min(room, stated), promised_seconds=stated)
    # A variable rate: what looks like a cut file may be one that becomes denser.
    return Duration(stated, promised_seconds=stated)


def _cut_to(share: float, stated_seconds: float) -> Duration:
    return Duration(stated_seconds * share, is_estimate=share < 1, promised_seconds=stated_seconds)


def _seconds_per_byte(file: RandomAccess, audio: Description) -> float | None:
    for first in stretches(file, audio.stream_index, [(0, HEAD_BYTES)]):
        if first.seconds > 0 and first.packet_bytes > 0:
            return first.seconds / first.packet_bytes
    return 8 / audio.bits_per_second if audio.bits_per_second > 0 else None
