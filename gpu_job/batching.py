"""Batching: waiting chunks of all uploads -> the chunks that run together next. Pure.

A batch costs as much as its longest chunk times its size, so chunks of like length belong together; the longest go
first, so that the largest batch, and with it any trouble with memory, comes at the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may be."""

    max_chunks: int
    max_samples: int
    """Padding included: chunks x samples of the longest."""


def next_batch(lengths: Sequence[int], limits: BatchLimits) -> list[int]:
    """Lengths of waiting chunks, in samples -> indices of those to run now, longest first. One chunk always fits."""
    longest_first = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    if not longest_first:
        return []
    longest = max(1, lengths[longest_first[0]])
    size = max(1, min(limits.max_chunks, limits.max_samples // longest))
    return longest_first[:size]
