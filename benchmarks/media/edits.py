"""What recorders, networks and other programs do to files, as edits of their bytes."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from benchmarks.media.recipes import Encoding, NotMade, Workshop

SECTOR_BYTES = 1536
"""A multiple of 512, and of 2, 3, 4, 6 and 8 bytes."""


@dataclass(frozen=True)
class Cut:
    """The upload ended early: this share of the bytes is there."""

    share: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """The beginning."""
        return data[: int(self.share * len(data))]

    def __str__(self) -> str:
        return f"keep the first {self.share:.0%} of the bytes"


@dataclass(frozen=True)
class Removed:
    """A stretch of bytes is missing."""

    first: float
    last: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the stretch, which is whole sectors long, so that samples of any size stay whole."""
        start = int(self.first * len(data))
        size = int((self.last - self.first) * len(data)) // SECTOR_BYTES * SECTOR_BYTES
        return data[:start] + data[start + size :]

    def __str__(self) -> str:
        return f"remove the bytes from {self.first:.0%} to {self.last:.0%}"


@dataclass(frozen=True)
class Overwritten:
    """A stretch of bytes was overwritten with noise, or with zeros."""

    first: float
    last: float
    is_noise: bool = True

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before."""
        start, end = int(self.first * len(data)), int(self.last * len(data))
        return data[:start] + (_noise(end - start) if self.is_noise else bytes(end - start)) + data[end:]

    def __str__(self) -> str:
        return f"overwrite {self.first:.0%} to {self.last:.0%} with {'noise' if self.is_noise else 'zeros'}"


@dataclass(frozen=True)
class Appended:
    """Another file of the same recorder stands behind it."""

    encoding: Encoding

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Both, one after the other."""
        return data + workshop.encoded(self.encoding)

    def __str__(self) -> str:
        return "append the file of the second session (cat a b)"


@dataclass(frozen=True)
class Prefixed:
    """So many bytes stand before the file: noise, zeros, text or an ID3 tag."""

    kind: str
    size: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """With the bytes in front."""
        match self.kind:
            case "noise":
                front = _noise(self.size)
            case "zeros":
                front = bytes(self.size)
            case "text":
                front = (b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" * self.size)[: self.size]
            case "id3":
                body = b"TXXX" + (self.size - 10).to_bytes(4) + b"\0\0" + bytes(self.size - 10)
                size = len(body)
                front = b"ID3\x03\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + body
            case _:
                raise ValueError(self.kind)
        return front + data

    def __str__(self) -> str:
        return f"put {self.size} bytes of {self.kind} in front"


@dataclass(frozen=True)
class Followed:
    """So many bytes of noise or zeros stand behind the file."""

    kind: str
    size: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """With the bytes behind it."""
        return data + (_noise(self.size) if self.kind == "noise" else bytes(self.size))

    def __str__(self) -> str:
        return f"put {self.size} bytes of {self.kind} behind it"


@dataclass(frozen=True)
class Patched:
    """The bytes at a distance behind the first, or last, place where `mark` stands are replaced."""

    mark: bytes
    behind: int
    value: bytes
    from_end: bool = False

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before. Raises NotMade where the mark is not there."""
        at = data.rfind(self.mark) if self.from_end else data.find(self.mark)
        if at < 0:
            raise NotMade(f"no {self.mark!r} in the file")
        at += len(self.mark) + self.behind
        return data[:at] + self.value + data[at + len(self.value) :]

    def __str__(self) -> str:
        return f"write {self.value.hex()} {self.behind} bytes behind {self.mark!r}"


@dataclass(frozen=True)
class PatchedAll:
    """Every place where `mark` stands gets these bytes instead, as many."""

    mark: bytes
    value: bytes

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before. Raises NotMade where the mark is not there."""
        if self.mark not in data or len(self.mark) != len(self.value):
            raise NotMade(f"no {self.mark!r} in the file")
        return data.replace(self.mark, self.value)

    def __str__(self) -> str:
        return f"replace {self.mark!r} by {self.value!r}"


@dataclass(frozen=True)
class Scaled:
    """A number behind a mark is multiplied: a header that states another length than there is."""

    mark: bytes
    behind: int
    form: str
    """Of struct."""
    factor: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before. Raises NotMade where the mark is not there."""
        at = data.find(self.mark)
        if at < 0:
            raise NotMade(f"no {self.mark!r} in the file")
        at += len(self.mark) + self.behind
        (number,) = struct.unpack_from(self.form, data, at)
        changed = bytearray(data)
        struct.pack_into(self.form, changed, at, type(number)(number * self.factor))
        return bytes(changed)

    def __str__(self) -> str:
        return f"multiply the number {self.behind} bytes behind {self.mark!r} by {self.factor:g}"


@dataclass(frozen=True)
class FramesRemoved:
    """FLAC frames are missing, whole ones, so that no decoder complains."""

    first: float
    last: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the frames."""
        sync = b"\xff" + data[data.index(b"\xff\xf8", 42) + 1 :][:1]
        start, end = (data.index(sync, int(share * len(data))) for share in (self.first, self.last))
        return data[:start] + data[end:]

    def __str__(self) -> str:
        return f"remove the FLAC frames between {self.first:.0%} and {self.last:.0%} of the bytes"


@dataclass(frozen=True)
class WithoutPid:
    """A transport stream whose tables name a stream that never comes."""

    pid: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the packets of this PID."""
        packets = (data[at : at + 188] for at in range(0, len(data), 188))
        return b"".join(one for one in packets if int.from_bytes(one[1:3]) & 0x1FFF != self.pid)

    def __str__(self) -> str:
        return f"remove the transport packets of PID {self.pid:#x}"


@dataclass(frozen=True)
class FlacSamples:
    """The total number of samples in STREAMINFO, which is 36 bits, multiplied."""

    factor: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before. Raises NotMade for what is no FLAC file."""
        if not data.startswith(b"fLaC"):
            raise NotMade("no FLAC file")
        number = int.from_bytes(data[18:26])
        kept, samples = number >> 36 << 36, number & (1 << 36) - 1
        return data[:18] + (kept | int(samples * self.factor)).to_bytes(8) + data[26:]

    def __str__(self) -> str:
        return f"multiply STREAMINFO's total samples by {self.factor:g}"


@dataclass(frozen=True)
class BrokenPicture:
    """The pixels of the PNG cover are overwritten with noise."""

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before. Raises NotMade where there is no PNG."""
        start = data.find(b"IDAT")
        end = data.find(b"IEND", start)
        if start < 0 or end < 0:
            raise NotMade("no PNG in the file")
        return data[: start + 4] + _noise(end - start - 8) + data[end - 4 :]

    def __str__(self) -> str:
        return "overwrite the cover picture's pixels with noise"


def _noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)
