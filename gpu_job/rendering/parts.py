"""What worker and rendering process send each other: a number of parts of bytes, each with its length."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


def write_parts(stream: IO[bytes], parts: Sequence[bytes]) -> None:
    """Send them, all at once."""
    stream.write(_COUNT.pack(len(parts)) + b"".join(_LENGTH.pack(len(part)) for part in parts))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_parts(stream: IO[bytes]) -> list[bytes]:
    """The next parts. Raises EOFError where the other side has ended."""
    (count,) = _COUNT.unpack(_exactly(stream, _COUNT.size))
    lengths = [_LENGTH.unpack(_exactly(stream, _LENGTH.size))[0] for _ in range(count)]
    return [_exactly(stream, length) for length in lengths]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other side has ended")
    return data
