"""Sizes of Matroska's clusters that are behind their content, and the patches that correct them.

A recorder writes a cluster's size when it ends. One that cannot go back leaves 0, and FFmpeg skips what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from shared.formats.chunks import ReadableBytes

EBML = bytes.fromhex("1a45dfa3")
_SEGMENT, _CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")
_LONG_KINDS = frozenset(
    (
        EBML,
        _SEGMENT,
        _CLUSTER,
        *map(bytes.fromhex, ["114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367"]),
    )
)
"""EBML, Segment, Cluster, SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags."""
_SHORT_KINDS = frozenset({0xEC, 0xBF})
"""Void, CRC-32: one byte, which may stand anywhere by chance."""

_HEADER_BYTES = 12
"""Longest: an identifier of 4 bytes and a size of 8."""
_CLUSTER_START = re.compile(rb"\x1f\x43\xb6\x75[\x01-\xff]")
_FIRST_IN_CLUSTER = (b"\xe7", b"\xbf", b"\xec", b"\xa7", b"\xab")
"""Time, CRC-32, Void, Position, PrevSize."""
_SCAN_BYTES = 2**20
_SEARCHED_BYTES = 4 * 2**20
"""How far the next cluster is looked for where only the beginning is looked at: as far as a long cluster reaches."""


class _Element(NamedTuple):
    kind: bytes
    size_at: int
    body: int
    end: int | None
    """None where the size is unknown: to the next element of its level."""


def matroska_patches(file: ReadableBytes, within: int | None = None) -> Mapping[int, bytes]:
    """Of the size of each cluster that does not lead to the next element: unknown, so that FFmpeg reads on.

    `within`: bytes from the start in which clusters are looked at; None: everywhere.
    """
    patches: dict[int, bytes] = {}
    limit = file.size if within is None else min(within, file.size)
    searched = file.size if within is None else _SEARCHED_BYTES
    at: int | None = 0
    while at is not None and at < limit:
        element = _element(file, at)
        if element is None:
            break
        if element.kind == _SEGMENT:
            at = element.body
        elif element.end is None:
            break  # a live recording: none of its clusters states a size
        elif element.kind == _CLUSTER and not _leads_on(file, element, searched):
            at = _next_cluster(file, element.body, limit)
            if at is not None or element.end < file.size:
                patches[element.size_at] = _unknown(element.body - element.size_at)
        else:
            at = element.end
    return patches


def _element(file: ReadableBytes, at: int) -> _Element | None:
    header = file.read_at(at, _HEADER_BYTES)
    if header[:4] in _LONG_KINDS:
        size_at = 4
    elif header and header[0] in _SHORT_KINDS:
        size_at = 1
    else:
        return None
    length = 9 - header[size_at].bit_length() if len(header) > size_at and header[size_at] else 0
    if not 0 < length <= len(header) - size_at:
        return None
    size = int.from_bytes(header[size_at : size_at + length]) & ((1 << 7 * length) - 1)
    body = at + size_at + length
    is_unknown = size == (1 << 7 * length) - 1
    return _Element(header[:size_at], at + size_at, body, None if is_unknown else body + size)


def _leads_on(file: ReadableBytes, cluster: _Element, searched: int) -> bool:
    """Whether the file ends where the cluster does, or another element stands there.

    `searched`: bytes of a cluster behind whose end there is nothing that are searched for another one.
    """
    end = cluster.end
    while end is not None and end < file.size:
        following = _element(file, end)
        if following is None:
            return False
        if len(following.kind) > 1:
            return True
        end = following.end
    # A cluster of which the end is missing is no shorter than it says; one of an absurd size has others in it.
    reach = min(file.size, cluster.body + searched)
    return end is not None and (end == file.size or _next_cluster(file, cluster.body, reach) is None)


def _next_cluster(file: ReadableBytes, at: int, limit: int) -> int | None:
    """Where the next cluster begins; None where there is none before `limit`."""
    while at < limit:
        data = file.read_at(at, min(_SCAN_BYTES, limit - at) + _HEADER_BYTES)
        for found in _CLUSTER_START.finditer(data):
            cluster = _element(file, at + found.start())
            if cluster is not None and file.read_at(cluster.body, 1) in _FIRST_IN_CLUSTER:
                return at + found.start()
        at += _SCAN_BYTES
    return None


def _unknown(length: int) -> bytes:
    """A size of so many bytes that says `to the next cluster`."""
    return ((1 << 7 * length + 1) - 1).to_bytes(length)
