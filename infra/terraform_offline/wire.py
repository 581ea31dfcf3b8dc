"""Protobuf's wire format, as far as Terraform's plugin protocol needs it here: bytes, messages, small numbers."""

from __future__ import annotations

_LENGTH_DELIMITED = 2


def field(number_of: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number_of << 3 | _LENGTH_DELIMITED) + varint(len(value)) + value


def number(number_of: int, value: int) -> bytes:
    """A number's field; none for 0, its default."""
    return varint(number_of << 3) + varint(value) if value else b""


def varint(value: int) -> bytes:
    """A number in seven bits a byte."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields(message: bytes) -> dict[int, bytes]:
    """The length-delimited fields of a message, the last of each number; numbers are passed over."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        value, place = _read_varint(message, place)
        if key & 7 == _LENGTH_DELIMITED:
            found[key >> 3] = message[place : place + value]
            place += value
    return found


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            return value, place
