"""Places in a stream without times at which frames are missing: what stands on both sides was joined as bytes.

Nothing tells how much is missing there, only that something is: the frame that was torn apart is refused, or fails its
checksum, or the bytes behind it begin no frame and the demuxer leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.packet import Packet

CHECKED_CODECS = frozenset({"ac3", "eac3", "mlp", "truehd"})
"""Codecs whose frames carry a checksum, so that a complaint means damage. Decoders of others complain of good files."""

CHECKS = {"err_detect": "crccheck"}
"""FFmpeg's decoders of AC-3 and E-AC-3 look at the checksum only where they are told to."""

LONGEST_MPEG_FRAME = 1729
"""Bytes; more zeros than this in front of a frame are padding between files, not the end of a torn frame."""

DTS_CORE, DTS_EXTENSION = bytes.fromhex("7ffe8001"), bytes.fromhex("64582025")

PADDED_CONTAINERS = frozenset({"spdif"})
"""Demuxers that leave padding out between any two frames."""


class Seams:
    """Watches one stream's packets."""

    def __init__(self, context: AudioCodecContext, container: str, *, has_times: bool) -> None:
        """Before the decoder is opened. `container`: the demuxer's first name; `has_times`: whether it has timestamps,
        which show what is missing: then a frame whose checksum is wrong is decoded as well as it can be."""
        self._has_checksums = not has_times and context.name in CHECKED_CODECS
        if self._has_checksums:
            context.options = {**context.options, **CHECKS}
        self._holds_more = None if has_times else _HOLD_MORE.get(context.name)
        self._is_contiguous = container not in PADDED_CONTAINERS
        self._end: int | None = None
        self._is_torn = False

    def demuxed(self, packet: Packet[AudioStream]) -> None:
        """The next packet, before it is decoded."""
        if packet.size and self._is_contiguous:
            if self._end is not None and packet.pos is not None and packet.pos > self._end:
                self._is_torn = True
            self._end = None if packet.pos is None else packet.pos + packet.size
        if packet.size and self._holds_more is not None and self._holds_more(memoryview(packet)):
            self._is_torn = True

    def sought(self) -> None:
        """What comes next stands elsewhere in the file, and only what follows it tells of seams."""
        self._end, self._is_torn = None, False

    def complained(self) -> None:
        """The decoder wrote an error."""
        self._is_torn = self._is_torn or self._has_checksums

    def refused(self) -> None:
        """The decoder made nothing of a packet with sound in it."""
        self._is_torn = True

    def passed(self) -> bool:
        """Whether there was one since this was asked last."""
        was, self._is_torn = self._is_torn, False
        return was


def _starts_with_zeros(packet: memoryview) -> bool:
    """The decoder skips them without a word: the end of a torn frame is mostly zeros."""
    if packet[0]:
        return False
    zeros = len(packet) - len(bytes(packet).lstrip(b"\0"))
    return 0 < zeros < min(len(packet), LONGEST_MPEG_FRAME)


def _has_other_dts_size(packet: memoryview) -> bool:
    """A packet of DTS has more than the frame whose size its header states, and what is more is no extension."""
    if len(packet) < 10 or packet[:4] != DTS_CORE:
        return False
    # Behind the sync word: 1 + 5 + 1 + 7 bits, then 14 of the size less one.
    size = ((packet[5] & 3) << 12 | packet[6] << 4 | packet[7] >> 4) + 1
    return len(packet) > size and packet[size : size + 4] != DTS_EXTENSION


_HOLD_MORE: dict[str, Callable[[memoryview], bool]] = {
    **dict.fromkeys(("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float"), _starts_with_zeros),
    "dca": _has_other_dts_size,
}
"""By FFmpeg's decoder: whether a packet has bytes that are no part of its frame."""
