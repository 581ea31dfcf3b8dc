"""The numbers of Ogg's pages: FFmpeg goes on behind a lost page without a word, and it looks like a pause."""

from __future__ import annotations

from gpu_job.audio.decoder.byte_source import ByteSource

_CAPTURE = b"OggS\0"
_HEADER_BYTES = 27
_LONGEST_PAGE = _HEADER_BYTES + 255 + 255 * 255


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


def ticks_behind(source: ByteSource, place: int) -> int:
    """How long a stream goes on behind the end of its page at `place`, by its last page in the file, whether that can
    be read or not: FFmpeg leaves out pages with a wrong checksum."""
    here = source.read_at(place, _HEADER_BYTES)
    if here[:5] != _CAPTURE or (begin := _granule(here)) < 0:
        return 0
    first = max(place + 1, source.size - 2 * _LONGEST_PAGE)
    data = source.read_at(first, source.size - first)
    at = data.rfind(_CAPTURE)
    while at >= 0:
        page = data[at : at + _HEADER_BYTES]
        has_sound = len(page) == _HEADER_BYTES and page[14:18] == here[14:18] and page[26] > 0
        if has_sound and (end := _granule(page)) >= 0:
            return max(0, end - begin)
        at = data.rfind(_CAPTURE, 0, at)
    return 0


def _granule(header: bytes) -> int:
    """The stream's time at the page's end; -1 where no packet ends on it."""
    return int.from_bytes(header[6:14], "little", signed=True)
