"""Whether bytes are missing where a file's times jump: then sound is lost there, else it pauses."""

from __future__ import annotations

from collections.abc import Callable

from av.audio.stream import AudioStream
from av.packet import Packet

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS
from gpu_job.audio.decoder.missing.fragment_numbers import FragmentNumbers
from gpu_job.audio.decoder.missing.mpeg_breaks import program_breaks, transport_breaks
from gpu_job.audio.decoder.missing.ogg_pages import page_breaks
from gpu_job.audio.decoder.missing.stated_sizes import lacks_bytes

SEARCHED_BYTES = 16 * 2**20
"""Looked at for one jump; in a longer pause of one stream beside a picture nothing is looked for behind that."""

Check = Callable[[int, int], bool]
"""Offsets of two packets that follow each other -> whether bytes are missing between them."""

_LONGEST_HEADER = 27
"""Bytes that are read behind the second packet's offset: an Ogg page's, of which two follow each other."""

_IN_BYTES: dict[str, Callable[[bytes, int], bool]] = {
    "mpegts": transport_breaks,
    "mpeg": program_breaks,
    "ogg": page_breaks,
}
"""By the demuxer's first name: of the bytes from one packet on, and how far behind it the next one stands."""


class Breaks:
    """Looks at the packets of one stream as they come."""

    def __init__(self, source: ByteSource, container: str, stream: AudioStream) -> None:
        """`container`: the demuxer's first name."""
        self._is_broken = _check(source, container, stream)
        self._tick = float(stream.time_base or 0)
        self._end: float | None = None
        self._place: int | None = None
        """Offset of the last packet."""
        self._place_before: int | None = None
        """Of the last one that stood elsewhere: Ogg's packets have their page's, whose second one has its time."""

    def before(self, packet: Packet[AudioStream]) -> bool:
        """Whether the times jump at this packet, and bytes are missing between it and the one before."""
        if self._is_broken is None or packet.pts is None or not packet.size:
            return False
        start, before = packet.pts * self._tick, self._end
        self._end = start + (packet.duration or 0) * self._tick
        if packet.pos is not None and packet.pos != self._place:
            self._place_before, self._place = self._place, packet.pos
        jumps = before is not None and start - before > TOLERANCE_SECONDS
        at, pos = self._place_before, self._place
        return jumps and at is not None and pos is not None and pos > at and self._is_broken(at, pos)


def _check(source: ByteSource, container: str, stream: AudioStream) -> Check | None:
    if container == "mov":
        return FragmentNumbers(source, stream.id).is_broken
    if lacks_bytes(source, container):
        return lambda at, pos: True
    look = _IN_BYTES.get(container)
    if look is None:
        return None
    return lambda at, pos: look(source.read_at(at, min(pos - at + _LONGEST_HEADER, SEARCHED_BYTES)), pos - at)
