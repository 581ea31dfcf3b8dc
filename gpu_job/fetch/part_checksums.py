"""The CRC32C of a file by those of its parts, whoever read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import google_crc32c

from gpu_job.fetch.arrival import PART_BYTES


def whole_checksum(parts: Sequence[int], size: int) -> int:
    """Of a file of `size` bytes. `parts`: of each of its parts of PART_BYTES, in order."""
    zeros, crc = bytes(min(size, PART_BYTES)), 0
    for number, part in enumerate(parts):
        behind = zeros[: size - number * PART_BYTES]
        # It is linear: what stands in a part shows in it independently of what came before.
        crc = google_crc32c.extend(crc, behind) ^ google_crc32c.extend(0, behind) ^ part
    return crc


def parts_of(size: int) -> int:
    """How many parts a file of so many bytes has."""
    return math.ceil(size / PART_BYTES)
