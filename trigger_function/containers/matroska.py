"""Clusters of a Matroska or WebM file: what a recording that was never finished has instead of a duration."""

from __future__ import annotations

from trigger_function.ranged_reader import RandomAccess

CLUSTER = bytes.fromhex("1f43b675")

_VOID = bytes.fromhex("ec01")
"""The id of padding, and the first byte of a size that has seven more."""


def cluster_before(file: RandomAccess, block_at: int) -> int | None:
    """Byte offset of the cluster that the block at `block_at`, early in the file, belongs to; None where none does."""
    at = file.read_at(0, block_at).rfind(CLUSTER)
    return None if at < 0 else at


def void_element(start: int, end: int) -> bytes:
    """The header of an element of padding that fills [start, end), at least 9 bytes."""
    return _VOID + (end - start - 9).to_bytes(7)
