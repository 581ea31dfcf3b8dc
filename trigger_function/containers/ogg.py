"""Pages of an Ogg file: which logical streams it begins and ends with."""

from __future__ import annotations

import re

from trigger_function.containers.header_sizes import HEAD_BYTES
from trigger_function.ranged_reader import RandomAccess

_PAGE = re.compile(rb"OggS\0.{9}(.{4})", re.DOTALL)
"""Capture pattern, version, flags and position, then the serial number of the logical stream."""

_LONGEST_PAGE_BYTES = 65_307


def is_chained(file: RandomAccess) -> bool:
    """Does another recording follow the first one, so that the times of the last page count from a later start?"""
    start = max(file.size - 2 * _LONGEST_PAGE_BYTES, 0)
    first, last = _serials(file.read_at(0, HEAD_BYTES)), _serials(file.read_at(start, file.size - start))
    return bool(last) and last[-1] not in first


def _serials(data: bytes) -> list[bytes]:
    return _PAGE.findall(data)
