"""What inspection knows of single containers: AVI, FLAC, Matroska and Ogg. MP4 has a module of its own."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from itertools import pairwise, takewhile

from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.ranged_reader import RandomAccess

# The chunks of an AVI file, whose index is megabytes for a long recording and of no use to inspection.

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


# The metadata blocks of a FLAC file, of which pictures may be megabytes.

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


# Clusters of a Matroska or WebM file: what a recording that was never finished has instead of a duration.

CLUSTER = bytes.fromhex("1f43b675")

_VOID = bytes.fromhex("ec01")
"""The id of padding, and the first byte of a size that has seven more."""


def cluster_before(file: RandomAccess, block_at: int) -> int | None:
    """Byte offset of the cluster that the block at `block_at`, early in the file, belongs to; None where none does."""
    at = file.read_at(0, block_at).rfind(CLUSTER)
    return None if at < 0 else at


_TIMECODE = 0xE7
_CLUSTER_PROBES, _CLUSTER_PROBE_BYTES = 4, 64 * 1024
_READ_WHOLE_BYTES = 512 * 1024


def times_of_clusters_increase(file: RandomAccess, first: int) -> bool:
    """Do the times of clusters rise, in a few places from the first one on? Not in recordings joined as bytes."""
    step = (file.size - first) // _CLUSTER_PROBES
    if file.size - first <= _READ_WHOLE_BYTES:
        data = file.read_at(first, file.size - first)
        times = [_cluster_time(data, match.start()) for match in re.finditer(CLUSTER, data)]
    else:
        times = []
        for number in range(_CLUSTER_PROBES):
            data = file.read_at(first + number * step, _CLUSTER_PROBE_BYTES)
            times.append(_cluster_time(data, data.find(CLUSTER)))
    seen = [time for time in times if time is not None]
    return all(earlier <= later for earlier, later in pairwise(seen))


def _cluster_time(data: bytes, at: int) -> int | None:
    """The time of a cluster that stands there, in the segment's units; None where it cannot be seen."""
    if at < 0 or at + len(CLUSTER) >= len(data) or not data[at + len(CLUSTER)]:
        return None
    body = at + len(CLUSTER) + 9 - data[at + len(CLUSTER)].bit_length()
    for _ in range(3):
        if body + 2 > len(data) or not data[body + 1] & 0x80:
            return None
        kind, size = data[body], data[body + 1] & 0x7F
        if kind == _TIMECODE:
            return int.from_bytes(data[body + 2 : body + 2 + size])
        body += 2 + size
    return None


def void_element(start: int, end: int) -> bytes:
    """The header of an element of padding that fills [start, end), at least 9 bytes."""
    return _VOID + (end - start - 9).to_bytes(7)


# Pages of an Ogg file: which logical streams it begins and ends with.

_PAGE = re.compile(rb"OggS\0(?P<flags>.).{8}(?P<serial>.{4})", re.DOTALL)
"""Capture pattern, version, flags, position, and the serial number of the page's logical stream."""

_FIRST_OF_STREAM = 2
_LONGEST_PAGE_BYTES = 65_307


def is_chained(file: RandomAccess) -> bool:
    """Does another recording follow the first one, so that the times of the last page count from a later start?"""
    pages = _PAGE.finditer(file.read_at(0, HEAD_BYTES))
    first = [page["serial"] for page in takewhile(lambda page: page["flags"][0] & _FIRST_OF_STREAM, pages)]
    start = max(file.size - 2 * _LONGEST_PAGE_BYTES, 0)
    last = [page["serial"] for page in _PAGE.finditer(file.read_at(start, file.size - start))][-1:]
    return any(serial not in first for serial in last)
