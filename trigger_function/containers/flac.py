"""The metadata blocks of a FLAC file, of which pictures may be megabytes."""

from __future__ import annotations

from collections.abc import Mapping

from trigger_function.ranged_reader import RandomAccess

MAX_BLOCKS = 128
"""Most blocks looked at; real files have a handful."""

_LAST = 0x80
_PADDING, _PICTURE = 1, 6


def picture_padding(file: RandomAccess) -> Mapping[int, bytes]:
    """Patches that turn pictures into padding."""
    patches, position = {}, 4
    for _ in range(MAX_BLOCKS):
        header = file.read_at(position, 4)
        if len(header) < 4:
            break
        is_last, kind = header[0] & _LAST, header[0] & ~_LAST
        if kind == _PICTURE:
            patches[position] = bytes([is_last | _PADDING])
        if is_last:
            break
        position += 4 + int.from_bytes(header[1:])
    return patches
