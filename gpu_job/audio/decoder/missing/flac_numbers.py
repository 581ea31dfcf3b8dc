"""The numbers in FLAC frames: an Ogg page only has the time of its end, so FFmpeg counts on behind a lost one."""

from __future__ import annotations

_SYNC, _VARIABLE = 0x3FFE, 1
_HEADER_BYTES = 4
NUMBERED_BYTES = _HEADER_BYTES + 7
"""Of a frame, in which its number stands."""


class FlacNumbers:
    """Compares each frame's number with the one before."""

    def __init__(self, block_size: int) -> None:
        """`block_size`: samples of a frame, of a stream in which all have as many."""
        self._block_size = block_size
        self._next: int | None = None

    def sought(self) -> None:
        """What comes next stands elsewhere in the file."""
        self._next = None

    def missing(self, head: bytes, samples: int) -> int:
        """Samples that are missing before a frame of so many that begins with these bytes; 0 where nothing shows it."""
        number = _number(head)
        if number is None:
            return 0
        is_variable = bool(head[1] & _VARIABLE)
        start = number if is_variable else number * self._block_size
        missing = 0 if self._next is None else start - self._next
        self._next = start + (samples if is_variable else self._block_size)
        return max(0, missing)


def _number(head: bytes) -> int | None:
    """Of the frame, or of its first sample: as UTF-8 codes a character, of up to 36 bits."""
    if len(head) <= _HEADER_BYTES or int.from_bytes(head[:2]) >> 2 != _SYNC:
        return None
    first = head[_HEADER_BYTES]
    length = 8 - (first ^ 0xFF).bit_length()  # ones in front
    if length == 0:
        return first
    rest = head[_HEADER_BYTES + 1 : _HEADER_BYTES + length]
    if length == 1 or len(rest) < length - 1 or any(byte >> 6 != 0b10 for byte in rest):
        return None
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number
