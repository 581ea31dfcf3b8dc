"""Pages of an Ogg file: which logical streams it begins and ends with."""

from __future__ import annotations

import re
from itertools import takewhile

from trigger_function.containers.header_sizes import HEAD_BYTES
from trigger_function.ranged_reader import RandomAccess

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
