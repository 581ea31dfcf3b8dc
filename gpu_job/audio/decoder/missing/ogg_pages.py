"""The numbers of Ogg's pages: FFmpeg goes on behind a lost page without a word, and it looks like a pause."""

from __future__ import annotations

_CAPTURE = b"OggS\0"
_HEADER_BYTES = 27


def page_breaks(data: bytes, span: int) -> bool:
    """Whether a page is missing between the one that `data` begins with and the one `span` bytes behind it."""
    if data[:5] != _CAPTURE:
        return False
    serial, before = data[14:18], int.from_bytes(data[18:22], "little")
    at = 0
    while at < span and at + _HEADER_BYTES <= len(data):
        segments = data[at + 26]
        at += _HEADER_BYTES + segments + sum(data[at + _HEADER_BYTES : at + _HEADER_BYTES + segments])
        if at + _HEADER_BYTES > len(data):
            return at > span
        if data[at : at + 5] != _CAPTURE:
            return True
        if data[at + 14 : at + 18] == serial:
            number = int.from_bytes(data[at + 18 : at + 22], "little")
            if number not in (before, before + 1):  # some writers leave all at 0
                return True
            before = number
    return False
