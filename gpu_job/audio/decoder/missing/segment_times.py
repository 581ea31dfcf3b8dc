"""The times of HLS segments of bare AAC or MP3 that were joined: each begins with an ID3 tag that has its own."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS

_TIME = b"com.apple.streaming.transportStreamTimestamp\0"
"""Owner of the private frame; behind it stand 33 bits, in ticks of MPEG's clock (RFC 8216, section 3.4)."""
_WITHIN_BYTES = 4096
_TICKS, _WRAP = 90_000, 2**33

LONGEST_LOSS_SECONDS = 3600.0
"""A longer jump is another programme."""


@dataclass
class SegmentTimes:
    """Compares the times of one segment after the other with how much sound came before."""

    _stated: float | None = None
    _begun: float = 0.0

    def missing_before(self, segment: ByteSource, position: float) -> float:
        """Seconds of sound that are missing before a segment that begins at `position` of the output."""
        stated = _seconds(segment)
        missing = 0.0
        if stated is not None and self._stated is not None:
            missing = (stated - self._stated) % (_WRAP / _TICKS) - (position - self._begun)
        missing = missing if 2 * TOLERANCE_SECONDS < missing < LONGEST_LOSS_SECONDS else 0.0
        self._stated, self._begun = stated, position + missing
        return missing


def _seconds(segment: ByteSource) -> float | None:
    head = segment.read_at(0, _WITHIN_BYTES)
    _, owner, behind = head.partition(_TIME)
    if not head.startswith(b"ID3") or not owner or len(behind) < 8:
        return None
    return int.from_bytes(behind[:8]) % _WRAP / _TICKS
