"""MP4 files whose media data states a wrong size, so that the boxes behind it are not found."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from shared.formats.chunks import ReadableBytes

TOP_LEVEL_BOXES = frozenset(
    b"ftyp moov mdat free skip wide pnot styp moof sidx mfra meta uuid emsg prft ssix pdin".split()
)
MAX_BOXES = 500
"""Most boxes looked at; a fragmented file may have thousands, of which the first show how it was written."""

_SEARCHED_BYTES = 4 * 2**20
"""How far a box is looked for: from the stated end of media data on, and from the file's end back."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    body: int
    end: int
    """Behind the file's end where it was cut; the file's end where its size is 0."""


def mp4_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """Of the size of media data that swallows the boxes behind it, or ends where none is."""
    patches: dict[int, bytes] = {}
    at, has_index, has_fragments, before = 0, False, False, b""
    for _ in range(MAX_BOXES):
        box = _box(file, at)
        if box is None:
            break
        has_index = has_index or box.kind == b"moov"
        has_fragments = has_fragments or box.kind == b"moof"
        if box.kind == b"mdat":
            true_end = _end_of_data(file, box, has_index=has_index, has_fragments=has_fragments)
            if true_end is not None:
                patches |= _resized(box, true_end, before)
                box = box._replace(end=true_end)
        before = box.kind
        at = box.end
    return patches


def _box(file: ReadableBytes, at: int) -> _Box | None:
    header = file.read_at(at, 16)
    if len(header) < 8 or header[4:8] not in TOP_LEVEL_BOXES:
        return None
    size, body = int.from_bytes(header[:4]), at + 8
    if size == 1 and len(header) == 16:
        size, body = int.from_bytes(header[8:]), at + 16
    end = file.size if size == 0 else at + size
    return None if end < body else _Box(header[4:8], at, body, end)


def _end_of_data(file: ReadableBytes, box: _Box, *, has_index: bool, has_fragments: bool) -> int | None:
    """Where the media data really ends; None where that is as it says, or does not matter, or cannot be found."""
    if box.end > file.size or (box.end < file.size and _leads_on(file, box.end)):
        return None
    if has_fragments:
        return _next_fragment(file, box.body if box.end == file.size else box.end)
    # The index of a file that has it tells where each packet is, whatever the size.
    return None if has_index else _last_index(file, box.body)


def _leads_on(file: ReadableBytes, at: int) -> bool:
    """Whether the file ends here, or goes on with a box."""
    return file.size - at < 8 or _box(file, at) is not None


def _next_fragment(file: ReadableBytes, start: int) -> int | None:
    """The next fragment, of which a fragmented file has one behind each piece of media data."""
    data = file.read_at(start, _SEARCHED_BYTES)
    at = data.find(b"moof")
    while at >= 4:
        box = _box(file, start + at - 4)
        if box is not None and (next_box := _box(file, box.end)) is not None and next_box.kind == b"mdat":
            return box.start
        at = data.find(b"moof", at + 1)
    return None


def _last_index(file: ReadableBytes, behind: int) -> int | None:
    """The last `moov` from which boxes lead to the end of the file."""
    start = max(behind, file.size - _SEARCHED_BYTES)
    tail = file.read_at(start, file.size - start)
    at = tail.rfind(b"moov")
    while at >= 4:
        first = box = _box(file, start + at - 4)
        while box is not None and box.end < file.size:
            box = _box(file, box.end)
        if first is not None and box is not None and box.end == file.size:
            return first.start
        at = tail.rfind(b"moov", 0, at)
    return None


def _resized(box: _Box, end: int, before: bytes) -> Mapping[int, bytes]:
    """Patches that have the box end there; empty where its header has no room for the size."""
    size = end - box.start
    if box.body - box.start == 16:
        return {box.start + 8: struct.pack(">Q", size)}
    if size < 2**32:
        return {box.start: struct.pack(">I", size)}
    if before == b"wide":
        return {box.start - 8: struct.pack(">I4sQ", 1, b"mdat", size + 8)}
    return {}
