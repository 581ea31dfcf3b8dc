"""What the decoder writes to its standard output and the job reads: records of a kind, a length and a payload."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO, TypeAlias

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included; inspection refuses headers by the same figure."""

ESTIMATE_TOLERANCE = 0.5
"""Share by which an estimated length of lost sound may be wrong before the end of the file is missed, too."""

_HEADER = struct.Struct("<cI")
_COUNT = struct.Struct("<Q")

_SAMPLES, _SILENCE, _FORMAT, _LOSS, _WINDOW_END = b"S", b"Z", b"F", b"L", b"W"
_ACCOUNT, _PACKETS, _REFUSAL = b"A", b"P", b"X"


def longest_possible_seconds(size: int) -> float:
    """How long the sound in so many bytes may be."""
    return 60.0 + size * 8 / LOWEST_BITS_PER_SECOND


@dataclass(frozen=True)
class DecodingRequest:
    """What the decoder is asked for; travels as its one argument."""

    path: str
    demuxers: tuple[str, ...]
    """FFmpeg's names of those that may open the file."""
    arrival: str | None = None
    """Path of the ArrivalMap of a file that is still fetched."""
    track: int | None = None
    """Index among all streams; None: the default-flagged audio stream, else the first."""
    windows: tuple[tuple[int, int | None], ...] = ((0, None),)
    """First frame and number of frames of each stretch of the output, in order; None: to the end of the file."""
    longest_seconds: float = float("inf")
    """A pause that would make the file longer than this is no pause but a clock that was set anew."""
    counts_packets: bool = False
    """Whether the packets of the whole track are counted, too; with no windows, nothing else is done."""
    max_allocation: int = 256 * 2**20
    """Bytes that one field of a file's header may have FFmpeg reserve."""

    def to_json(self) -> str:
        """ASCII, whatever bytes the path is made of."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DecodingRequest:
        """The request that `to_json` wrote."""
        fields = json.loads(text)
        windows = tuple((start, frames) for start, frames in fields.pop("windows"))
        return cls(demuxers=tuple(fields.pop("demuxers")), windows=windows, **fields)


@dataclass(frozen=True)
class SampleBytes:
    """Interleaved float32 samples of the format before it."""

    data: bytearray


@dataclass(frozen=True)
class Silence:
    """So many frames of silence."""

    frames: int


@dataclass(frozen=True)
class Format:
    """What the samples that follow are: of the first record, and of each that comes after a change."""

    channels: int
    layout: tuple[str, ...] | None
    """FFmpeg's name of each channel; None where the file does not state any."""


@dataclass(frozen=True)
class Loss:
    """Sound of the file that is not in the samples, in frames of the output.

    `start == end` where the samples go on without a hole. It may lie behind the last sample.
    """

    start: int
    end: int
    reason: str


@dataclass(frozen=True)
class WindowEnd:
    """The window is complete; the next one's samples follow."""


@dataclass(frozen=True)
class Account:
    """What the decoder counted, from the file's first packet to its last. Its last record."""

    packets: int
    packet_seconds: float
    """Sum of the packets' durations: how much sound the file has, whether or not it could be decoded."""
    decoded_seconds: float
    """Sound that came out of the packets, pauses not counted."""
    refused_packets: int
    """Packets that the codec made nothing of."""
    formats: int
    """Stretches of one sample rate and one set of channels. Where they change, packets' durations may be wrong."""
    frames: int
    """Of the output, with all silence."""
    estimated_loss_seconds: float
    """Lost sound whose length is only known by the bytes that it took."""
    promised_seconds: float | None
    """What the header says of this stream's length, where that is exact and the file had to keep it; else None."""


@dataclass(frozen=True)
class PacketTimes:
    """What another pass over the file counted, which decoded nothing."""

    packets: int
    seconds: float
    """Sum of their durations."""
    ranges: tuple[tuple[float, float], ...] | None
    """Where there are packets, in seconds of the output, in order; None where the file's clock is counted or is set
    anew on the way."""


@dataclass(frozen=True)
class Refusal:
    """The decoder cannot do what it was asked for. Its last record."""

    reason: str
    only_windows: bool = False
    """The file can be decoded from its start to its end, but not in windows."""


Record: TypeAlias = SampleBytes | Silence | Format | Loss | WindowEnd | Account | PacketTimes | Refusal


class RecordWriter:
    """Writes records, each at once."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output.fileno()

    def samples(self, data: bytes | memoryview) -> None:
        """Interleaved float32 samples."""
        self._write(_SAMPLES, data)

    def record(self, record: Silence | Format | Loss | WindowEnd | Account | PacketTimes | Refusal) -> None:
        """Any other record."""
        match record:
            case Silence():
                self._write(_SILENCE, _COUNT.pack(record.frames))
            case Format():
                self._write(_FORMAT, json.dumps(asdict(record)).encode())
            case Loss():
                self._write(_LOSS, json.dumps(asdict(record)).encode())
            case WindowEnd():
                self._write(_WINDOW_END, b"")
            case Account():
                self._write(_ACCOUNT, json.dumps(asdict(record)).encode())
            case PacketTimes():
                self._write(_PACKETS, json.dumps(asdict(record)).encode())
            case Refusal():
                self._write(_REFUSAL, json.dumps(asdict(record)).encode())

    def _write(self, kind: bytes, payload: bytes | memoryview) -> None:
        parts = [memoryview(_HEADER.pack(kind, len(payload))), memoryview(payload)]
        while parts:
            written = os.writev(self._output, parts)
            while parts and written >= len(parts[0]):
                written -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][written:]


JOINED_FRAMES = 4 * 16_000
"""Of the output, 4 s: a block costs the job 0.1 ms of its one interpreter, whatever its length."""


class RecordReader:
    """Takes bytes as they come out of a pipe and gives the records that are complete. Each byte is copied once.

    Samples are joined until they are JOINED_FRAMES or more, or another record or the end follows.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._payload = bytearray()
        """Of the record that comes, behind the samples before it that are not given out yet."""
        self._kind = b""
        self._missing = 0
        """Bytes of the payload that are still to come."""
        self._complete = 0
        """Bytes of the payload that are whole records of samples."""
        self._frame_bytes = 4

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that these bytes complete. To be exhausted before the next call. Raises ValueError for what no
        decoder writes."""
        left = memoryview(data)
        while left or (self._kind and not self._missing):
            if not self._kind:
                size = _HEADER.size - len(self._header)
                self._header += left[:size]
                left = left[size:]
                if len(self._header) < _HEADER.size:
                    return
                self._kind, self._missing = _HEADER.unpack(self._header)
                self._header.clear()
                if self._kind != _SAMPLES:
                    yield from self.end()
            part = left[: self._missing]
            self._payload += part
            self._missing -= len(part)
            left = left[len(part) :]
            if self._missing:
                continue
            if self._kind == _SAMPLES:
                self._complete = len(self._payload)
                if self._complete >= JOINED_FRAMES * self._frame_bytes:
                    yield from self.end()
            else:
                record = _record(self._kind, self._payload)
                self._payload = bytearray()
                if isinstance(record, Format):
                    self._frame_bytes = 4 * record.channels
                yield record
            self._kind = b""

    def end(self) -> Iterator[Record]:
        """The samples that are not given out yet, where no more are to be waited for."""
        payload, complete = self._payload, self._complete
        self._payload, self._complete = bytearray(), 0
        if complete:
            del payload[complete:]
            yield SampleBytes(payload)


def _record(kind: bytes, payload: bytearray) -> Record:
    match kind:
        case b"Z":
            return Silence(*_COUNT.unpack(payload))
        case b"F":
            fields = json.loads(payload)
            layout = fields["layout"]
            return Format(fields["channels"], None if layout is None else tuple(layout))
        case b"L":
            return Loss(**json.loads(payload))
        case b"W":
            return WindowEnd()
        case b"A":
            return Account(**json.loads(payload))
        case b"P":
            fields = json.loads(payload)
            ranges = fields.pop("ranges")
            return PacketTimes(**fields, ranges=ranges and tuple((first, last) for first, last in ranges))
        case b"X":
            return Refusal(**json.loads(payload))
        case _:
            raise ValueError(f"no record of a decoder is of the kind {kind!r}")
