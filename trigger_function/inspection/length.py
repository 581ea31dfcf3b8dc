"""A length, and how it is estimated where neither the header nor the end of the file shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.errors import BadMedia
from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.demux import Description, Stretch, stretches
from trigger_function.inspection.ranged_reader import RandomAccess


class Duration(NamedTuple):
    """Length of the sound in a file; an estimate where part of it was extrapolated."""

    seconds: float
    is_estimate: bool = False
    promised_seconds: float | None = None
    """By the header, where that is exact; more than there is where the file was cut."""


def by_beginning(file: RandomAccess, audio: Description, promised: float | None = None) -> Duration:
    """The whole file at the byte rate of its beginning, other streams' bytes included. Raises BadMedia."""
    beginning = stretches(file, audio.stream_index, [(0, HEAD_BYTES)])
    return extrapolated(beginning, file.size - (audio.first_packet_at or 0), promised)


def extrapolated(samples: Sequence[Stretch], size: int, promised: float | None = None) -> Duration:
    """So many bytes at the rate of the samples, but not more than is promised. Raises BadMedia."""
    seconds = sum(sample.seconds_before_last for sample in samples)
    byte_count = sum(sample.bytes_before_last for sample in samples)
    if byte_count <= 0 or seconds <= 0:
        raise BadMedia("The file is damaged: no sound can be found in it.")
    estimate = seconds * size / byte_count
    return Duration(
        estimate if promised is None else min(estimate, promised), is_estimate=True, promised_seconds=promised
    )
