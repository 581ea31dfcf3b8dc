"""Put together what was counted of the packets of a file in parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS
from gpu_job.audio.decoder.records import CountedPart, PacketTimes


def counted_together(parts: Sequence[CountedPart | None]) -> PacketTimes | None:
    """What one count of the whole file counts, of parts in order; None where they are not all of it.

    Where two parts meet, both saw the same two packets at the same place in the file. What was counted from the file's
    beginning to its end, by who decoded all of it, is enough.
    """
    last = parts[-1] if parts else None
    if last is not None and last.begin is None and last.end is None:
        return last.times
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or known[0].begin is not None or known[-1].end is not None:
        return None
    if any(before.end is None or before.end != after.begin for before, after in pairwise(known)):
        return None
    ranges: list[tuple[float, float]] = []
    for part in known:
        if part.times.ranges is None:
            return None
        for start, end in part.times.ranges:
            # As packets are: those that follow nearly at once are one stretch.
            if ranges and start - ranges[-1][1] < TOLERANCE_SECONDS:
                ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
            else:
                ranges.append((start, end))
    packets = sum(part.times.packets for part in known)
    return PacketTimes(packets, sum(part.times.seconds for part in known), tuple(ranges))
