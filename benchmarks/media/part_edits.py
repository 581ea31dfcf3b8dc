"""What is done to the parts that a container consists of: pages, clusters, fragments, packets, segments."""

from __future__ import annotations

import random
import re
import struct
from dataclasses import dataclass

from benchmarks.media.recipes import Encoding, NotMade, Workshop
from shared.formats.mp4_boxes import BytesInFile, boxes

CLUSTER = bytes.fromhex("1f43b675")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA_HEADER_BYTES = 50
_ASF_PACKET_BYTES = 3200
_TS_PACKET_BYTES = 188
_AMR_HEAD, _AMR_FRAME_BYTES = b"#!AMR\n", 32
_AMR_NO_DATA = b"\x7c"


@dataclass(frozen=True)
class PageRemoved:
    """One Ogg page never arrived."""

    number: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the page."""
        starts = [found.start() for found in re.finditer(rb"OggS\0", data)]
        return data[: starts[self.number]] + data[starts[self.number + 1] :]

    def __str__(self) -> str:
        return f"remove the Ogg page {self.number}"


@dataclass(frozen=True)
class ClusterRemoved:
    """One Matroska cluster is missing."""

    number: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the cluster."""
        starts = [found.start() for found in re.finditer(re.escape(CLUSTER), data)]
        return data[: starts[self.number]] + data[starts[self.number + 1] :]

    def __str__(self) -> str:
        return f"remove the cluster {self.number}"


@dataclass(frozen=True)
class ClusterSizes:
    """The recorder wrote this share of each cluster's size."""

    share: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before."""
        changed = bytearray(data)
        for found in re.finditer(re.escape(CLUSTER), data):
            at, length = found.end(), 9 - data[found.end()].bit_length()
            marker = 1 << 7 * length
            size = int((int.from_bytes(data[at : at + length]) - marker) * self.share)
            changed[at : at + length] = (marker | size).to_bytes(length)
        return bytes(changed)

    def __str__(self) -> str:
        return f"multiply the clusters' sizes by {self.share:g}"


@dataclass(frozen=True)
class FragmentRemoved:
    """One fragment of an MP4 is missing, or only its index."""

    number: int
    keeps_data: bool = False

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the fragment."""
        parts = list(boxes(BytesInFile(data)))
        moofs = [place for place, part in enumerate(parts) if part.kind == b"moof"]
        first = parts[moofs[self.number]]
        behind = parts[moofs[self.number] + 1] if self.keeps_data else parts[moofs[self.number + 1]]
        return data[: first.start] + data[behind.start :]

    def __str__(self) -> str:
        return f"remove the {'index of the ' if self.keeps_data else ''}fragment {self.number}"


@dataclass(frozen=True)
class FragmentTimesZero:
    """Each fragment of an MP4 says that it begins at 0."""

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before."""
        return re.sub(rb"(tfdt\x01...).{8}", rb"\1" + bytes(8), data, flags=re.DOTALL)

    def __str__(self) -> str:
        return "set the times of all fragments to 0"


@dataclass(frozen=True)
class FragmentsAppended:
    """The fragments of the second session, without its header."""

    encoding: Encoding

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Both, one after the other."""
        second = workshop.encoded(self.encoding)
        start = next(box.start for box in boxes(BytesInFile(second)) if box.kind == b"moof")
        return data + second[start:]

    def __str__(self) -> str:
        return "append the fragments of the second session"


@dataclass(frozen=True)
class Scrambled:
    """A stretch of a transport stream's PID is encrypted."""

    pid: int
    first: float
    last: float

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """As long as before."""
        draw, changed = random.Random(2), bytearray(data)
        for at in range(
            int(self.first * len(data)) // _TS_PACKET_BYTES * _TS_PACKET_BYTES, len(data), _TS_PACKET_BYTES
        ):
            if at < self.last * len(data) and int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF == self.pid:
                changed[at + 3] = data[at + 3] & 0x0F | 0x90
                changed[at + 4 : at + _TS_PACKET_BYTES] = draw.randbytes(_TS_PACKET_BYTES - 4)
        return bytes(changed)

    def __str__(self) -> str:
        return f"encrypt the packets of PID {self.pid:#x} from {self.first:.0%} to {self.last:.0%}"


@dataclass(frozen=True)
class AsfPacketsRemoved:
    """Whole packets of an ASF are missing."""

    first: int
    last: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Without the packets."""
        start = data.index(ASF_DATA) + _ASF_DATA_HEADER_BYTES
        return data[: start + self.first * _ASF_PACKET_BYTES] + data[start + self.last * _ASF_PACKET_BYTES :]

    def __str__(self) -> str:
        return f"remove the ASF packets {self.first} to {self.last}"


@dataclass(frozen=True)
class AmrPause:
    """A telephone that sends nothing while nobody speaks: frames without data, in place of so many of 20 ms."""

    first: int
    count: int

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """Shorter by what the frames held. Raises NotMade for what is no AMR at 12.2 kbit/s."""
        if not data.startswith(_AMR_HEAD) or (len(data) - len(_AMR_HEAD)) % _AMR_FRAME_BYTES:
            raise NotMade("no AMR of one frame size")
        start = len(_AMR_HEAD) + self.first * _AMR_FRAME_BYTES
        return data[:start] + self.count * _AMR_NO_DATA + data[start + self.count * _AMR_FRAME_BYTES :]

    def __str__(self) -> str:
        return f"put frames without data in place of the frames {self.first} to {self.first + self.count}"


@dataclass(frozen=True)
class HlsSegments:
    """ADTS in segments of so many frames, each behind a tag with its time, and joined; one may be missing."""

    frames: int
    missing: int | None = None

    def apply(self, data: bytes, workshop: Workshop) -> bytes:
        """With tags."""
        packets, at = list[bytes](), 0
        while at + 7 <= len(data):
            size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            packets.append(data[at : at + size])
            at += size
        segments = [packets[first : first + self.frames] for first in range(0, len(packets), self.frames)]
        return b"".join(
            self._tag(number) + b"".join(segment) for number, segment in enumerate(segments) if number != self.missing
        )

    def _tag(self, number: int) -> bytes:
        ticks = round(number * self.frames * 1024 / 44_100 * 90_000)
        content = b"com.apple.streaming.transportStreamTimestamp\0" + struct.pack(">Q", ticks)
        frame = b"PRIV" + struct.pack(">IH", len(content), 0) + content
        return b"ID3\4\0\0" + struct.pack(">I", len(frame)) + frame

    def __str__(self) -> str:
        return f"HLS segments of {self.frames} frames, without the one of number {self.missing}"
