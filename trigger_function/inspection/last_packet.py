"""When the last packet ends, for files whose header does not state it: only the end of the file is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from trigger_function.inspection.containers import CLUSTER, void_element
from trigger_function.inspection.demux import Description, Stretch, Undemuxable, stretches
from trigger_function.inspection.mp4 import free_box
from trigger_function.inspection.overlay import Head, Overlay
from trigger_function.inspection.ranged_reader import RandomAccess, ReadBudgetExceeded

TAILS_BYTES = (128 * 1024, 1024 * 1024, 4 * 1024 * 1024)
"""How far from the end the last packets are looked for, nearest first."""

PROBE_BYTES = 64 * 1024
"""Read at one place in the middle of a file."""


class _Jump(NamedTuple):
    """How much longer times may run than the packets at their byte rate."""

    factor: float
    seconds: float

    def longest(self, estimated_seconds: float) -> float:
        """Of a file estimated so long."""
        return self.factor * estimated_seconds + self.seconds


TIMES_JUMP_BY = _Jump(1.5, 10.0)
"""Pictures have varying rates; a transport stream's decoder takes a step of more than 10 s for a new clock."""

FILLER_BYTES = 16
"""Shortest gap between two parts that padding can fill."""


class Parts(NamedTuple):
    """How a container marks the parts that hold its audio, and how it can be made to skip some of them."""

    marker: bytes
    marker_offset: int
    """Bytes from a part's start to its marker."""
    filler: Callable[[int, int], bytes]
    """Header of padding between two byte offsets."""


CLUSTERS = Parts(CLUSTER, 0, void_element)
FRAGMENTS = Parts(b"moof", 4, free_box)


def last_packet_end(file: RandomAccess, audio: Description) -> float | None:
    """Seconds, for containers whose packets can be found from anywhere; None where the end shows no time."""
    for tail in TAILS_BYTES:
        start = max(file.size - tail, 0)
        try:
            file.read_at(start, tail)
            end = _end(file, audio, start)
        except (ReadBudgetExceeded, Undemuxable):
            return None
        if end is not None:
            return end
    return None


def last_packet_end_of_parts(file: RandomAccess, audio: Description, first_part: int, parts: Parts) -> float | None:
    """Seconds, for containers that are read part by part from the first one on; None where the end shows no time.

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
            end = _end(Overlay(file, gap), audio, 0)
        except (ReadBudgetExceeded, Undemuxable):
            return None
        if end is not None:
            return end
    return None


def probe_middle(file: RandomAccess, audio: Description) -> list[Stretch]:
    """The audio at three places in the middle, for containers whose packets can be found from anywhere."""
    places = [file.size * quarter // 4 for quarter in (1, 2, 3)]
    for place in places:
        file.read_at(place, PROBE_BYTES)
    # Each in a file that ends behind it, so that nothing more is read where there is no packet.
    ends = [(place, min(place + PROBE_BYTES, file.size)) for place in places]
    found: list[Stretch] = []
    for start, end in ends:
        # Where that cuts the header in two, this place tells nothing.
        with suppress(Undemuxable):
            found += stretches(Head(file, end), audio.stream_index, [(start, end)])
    return found


def times_increase(file: RandomAccess, audio: Description, last: float) -> bool:
    """Do the times rise from the start over three places in the middle to `last`? Not in recordings joined as bytes."""
    seen = [probe.start_seconds for probe in probe_middle(file, audio) if probe.start_seconds is not None]
    return all(earlier < later for earlier, later in pairwise((audio.start_seconds, *seen, last)))


def _end(file: RandomAccess, audio: Description, start: int) -> float | None:
    for stretch in stretches(file, audio.stream_index, [(start, file.size)]):
        return stretch.end_seconds
    return None
