"""MP4 edit lists that leave nothing of their track: FFmpeg reads no sound then, players play all of it."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from shared.formats.chunks import ReadableBytes
from shared.formats.mp4_boxes import Box, boxes

MAX_EDITS = 1000
"""A longer list leaves something."""


def edit_list_patches(file: ReadableBytes) -> Mapping[int, bytes]:
    """That turn lists whose edits all last 0 into padding. In a file of fragments, 0 stands for `to the end`."""
    movie = next((box for box in boxes(file) if box.kind == b"moov"), None)
    if movie is None:
        return {}
    parts = list(boxes(file, movie.body, movie.end))
    if any(part.kind == b"mvex" for part in parts):
        return {}
    tracks = (part for part in parts if part.kind == b"trak")
    lists = (box for track in tracks for box in boxes(file, track.body, track.end) if box.kind == b"edts")
    return {box.start + 4: b"free" for box in lists if _leaves_nothing(file, box)}


def _leaves_nothing(file: ReadableBytes, edits: Box) -> bool:
    box = next((box for box in boxes(file, edits.body, edits.end) if box.kind == b"elst"), None)
    if box is None:
        return False
    head = file.read_at(box.body, 8)
    count = int.from_bytes(head[4:])
    form = ">QqI" if head[:1] == b"\1" else ">IiI"
    content = file.read_at(box.body + 8, count * struct.calcsize(form)) if count <= MAX_EDITS else b""
    if not count or len(content) < count * struct.calcsize(form):
        return False
    return not any(seconds for seconds, start, _ in struct.iter_unpack(form, content) if start >= 0)
