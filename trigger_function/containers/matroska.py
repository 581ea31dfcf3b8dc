"""Clusters of a Matroska or WebM file: what a recording that was never finished has instead of a duration."""

from __future__ import annotations

from trigger_function.ranged_reader import RandomAccess

CLUSTER = bytes.fromhex("1f43b675")

_VOID = bytes.fromhex("ec01")
"""The id of padding, and the first byte of a size that has seven more."""

_CLUSTER_HEADER_BYTES = 64 * 1024
"""Most bytes between the start of a cluster and its first audio block; a video keyframe may stand between."""


def cluster_before(file: RandomAccess, block_at: int) -> int | None:
    """Byte offset of the cluster that the block at `block_at` belongs to; None where none begins close before it."""
    start = max(block_at - _CLUSTER_HEADER_BYTES, 0)
    at = file.read_at(start, block_at - start).rfind(CLUSTER)
    return None if at < 0 else start + at


def void_element(start: int, end: int) -> bytes:
    """The header of an element of padding that fills [start, end), at least 9 bytes."""
    return _VOID + (end - start - 9).to_bytes(7)
