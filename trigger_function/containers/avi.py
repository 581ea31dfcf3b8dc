"""The chunks of an AVI file, whose index is megabytes for a long recording and of no use to inspection."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from trigger_function.ranged_reader import RandomAccess

MAX_CHUNKS = 32
"""Most chunks looked at; the index is the fifth or so."""


def is_avi(head: bytes) -> bool:
    """Do the file's first bytes open an AVI file?"""
    return head.startswith(b"RIFF") and head[8:12] == b"AVI "


def index_padding(file: RandomAccess) -> Mapping[int, bytes]:
    """The patch that turns the index into padding; empty where there is none."""
    position = 12
    for _ in range(MAX_CHUNKS):
        header = file.read_at(position, 8)
        if len(header) < 8:
            break
        kind, size = struct.unpack("<4sI", header)
        if kind == b"idx1":
            return {position: b"JUNK"}
        position += 8 + size + size % 2
    return {}
