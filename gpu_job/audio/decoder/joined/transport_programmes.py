"""Find where a transport stream goes on with other sound: another recording appended, or a channel that was switched.

FFmpeg keeps to the streams that it found first. Where a programme's table names other ones instead, or the packets have
another length, what follows is read as a recording of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gpu_job.audio.decoder.byte_source import ByteSource

_SCAN_BYTES = 4 * 2**20
_SYNC = 0x47
_PACKET = 188
_STRIDES = (188, 192, 204)
"""From one packet to the next: plain, with a time code before each, with error correction behind each."""
_TIME_CODE_BYTES = 4

_PAT = b"\x47\x40\x00"
"""A packet of PID 0 that begins a section: the table of programmes."""
_PAT_TABLE, _PMT_TABLE = 0x00, 0x02

_NO_SOUND = frozenset(
    {0x01, 0x02, 0x05, 0x0A, 0x0B, 0x0C, 0x0D, 0x10, 0x14, 0x15, 0x16, 0x1B, 0x20, 0x21, 0x24, 0x33, 0x86, 0xEA}
)
"""Stream types of pictures, tables and data. The private type 6 may be sound."""

Sound = frozenset[tuple[int, int]]
"""PID and type of each stream of a programme that may be sound."""


@dataclass
class _Tables:
    """What was seen last."""

    programmes: dict[int, int] = field(default_factory=dict)
    """PMT's PID -> number of the programme."""
    sounds: dict[int, Sound] = field(default_factory=dict)
    """By the number of the programme."""
    stride: int = 0


def programme_starts(source: ByteSource) -> Iterator[int]:
    """Byte offsets, of the first packet each, from which on other streams have the sound."""
    tables = _Tables()
    for at, block, here in _table_places(source):
        stride = _stride(block, here)
        if stride and tables.stride and stride != tables.stride:
            tables = _Tables(stride=stride)
            yield at - (_TIME_CODE_BYTES if stride == 192 else 0)
        tables.stride = stride or tables.stride
        section = _section(block[here : here + _PACKET], _PAT_TABLE)
        if section is not None:
            tables.programmes = _programmes(section) or tables.programmes
        if _changes(tables, block, here):
            yield at - (_TIME_CODE_BYTES if tables.stride == 192 else 0)


def _table_places(source: ByteSource) -> Iterator[tuple[int, bytes, int]]:
    """Offset in the file of each table of programmes, and a block of bytes with the place in it."""
    at = 0
    while block := source.read_at(at, _SCAN_BYTES + _STRIDES[-1] * 3):
        here = block.find(_PAT)
        while 0 <= here < _SCAN_BYTES:
            if _stride(block, here) or at + here + _PACKET >= source.size:
                yield at + here, block, here
            here = block.find(_PAT, here + 1)
        at += _SCAN_BYTES


def _stride(block: bytes, here: int) -> int:
    """From the packet here to the next; 0 where none follows."""
    for stride in _STRIDES:
        following = block[here + stride : here + 2 * stride + 1 : stride]
        if len(following) == 2 and set(following) == {_SYNC}:
            return stride
    return 0


def _changes(tables: _Tables, block: bytes, here: int) -> bool:
    """Whether up to the next table of programmes one of them has other sound than before, and not more beside it."""
    end = block.find(_PAT, here + _PACKET)
    end = len(block) if end < 0 else end
    is_other = False
    for pid, number in tables.programmes.items():
        found = block.find(bytes((_SYNC, 0x40 | pid >> 8, pid & 0xFF)), here, end)
        section = _section(block[found : found + _PACKET], _PMT_TABLE) if found >= 0 else None
        sound = _sound(section, number) if section is not None else None
        if not sound:
            continue
        before = tables.sounds.get(number, sound)
        is_other = is_other or bool(sound - before and before - sound)
        tables.sounds[number] = sound
    return is_other


def _section(packet: bytes, table: int) -> bytes | None:
    """The section of that table which begins in a packet, without its checksum; None where not all of one is there."""
    if len(packet) < _PACKET or packet[3] & 0xC0 or not packet[3] & 0x10:
        return None
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if start >= len(packet):
        return None
    start += 1 + packet[start]
    if start + 3 > len(packet) or packet[start] != table:
        return None
    end = start + 3 + (int.from_bytes(packet[start + 1 : start + 3]) & 0x0FFF)
    return packet[start : end - 4] if end <= len(packet) and end - 4 > start + 8 else None


def _programmes(section: bytes) -> dict[int, int]:
    """PID of each programme's own table, and the programme's number, which is not 0."""
    entries = (section[at : at + 4] for at in range(8, len(section) - 3, 4))
    return {int.from_bytes(one[2:]) & 0x1FFF: int.from_bytes(one[:2]) for one in entries if any(one[:2])}


def _sound(section: bytes, number: int) -> Sound | None:
    """Of the programme of that number; None where the table is another one's."""
    if int.from_bytes(section[3:5]) != number or len(section) < 12:
        return None
    found = set()
    at = 12 + (int.from_bytes(section[10:12]) & 0x0FFF)
    while at + 5 <= len(section):
        if section[at] not in _NO_SOUND:
            found.add((int.from_bytes(section[at + 1 : at + 3]) & 0x1FFF, section[at]))
        at += 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0x0FFF)
    return frozenset(found)
