"""What the decoder writes to its standard output and the job reads: records of a kind, a length and a payload."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, NamedTuple, TypeAlias

LOWEST_BITS_PER_SECOND = 20
"""No codec stores less, silence included; inspection refuses headers by the same figure."""

ESTIMATE_TOLERANCE = 0.5
"""Share by which an estimated length of lost sound may be wrong before the end of the file is missed, too."""

HEADER = struct.Struct("<cI")
"""Before each record: its kind, and the bytes of its payload."""
_COUNT = struct.Struct("<Q")

SAMPLES, _SILENCE, _FORMAT, _LOSS, _WINDOW_END = b"S", b"Z", b"F", b"L", b"W"
_ACCOUNT, _PACKETS, _PART, _REFUSAL = b"A", b"P", b"C", b"X"


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
    counted_part: tuple[int, int | None] | None = None
    """Of the count alone: the seconds of the output in which packets begin that are counted; None: all."""
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
        part = fields.pop("counted_part")
        return cls(
            demuxers=tuple(fields.pop("demuxers")),
            windows=windows,
            counted_part=None if part is None else (part[0], part[1]),
            **fields,
        )


@dataclass(frozen=True)
class SampleBytes:
    """Interleaved float32 samples of the format before it."""

    data: bytes | memoryview


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


class PacketMark(NamedTuple):
    """By which two passes over a file know the same packet."""

    pts: int
    """In ticks of the stream, as `duration`."""
    duration: int
    size: int
    """In bytes, as `position` in the file."""
    position: int
    checksum: int
    """CRC-32 of its bytes."""


PacketSeam: TypeAlias = tuple[PacketMark, PacketMark]
"""Two packets between which a file is cut."""


@dataclass(frozen=True)
class CountedPart:
    """The packets of a part of a file, or of all of it."""

    times: PacketTimes
    begin: PacketSeam | None = None
    """Where it was cut off what lies before; None: it begins where the file does."""
    end: PacketSeam | None = None
    """Where it was cut off what follows; None: it ends where the file does."""


@dataclass(frozen=True)
class Refusal:
    """The decoder cannot do what it was asked for. Its last record."""

    reason: str
    only_windows: bool = False
    """The file can be decoded from its start to its end, but not in windows."""


Record: TypeAlias = SampleBytes | Silence | Format | Loss | WindowEnd | Account | PacketTimes | CountedPart | Refusal


class RecordWriter:
    """Writes records, each at once."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output.fileno()

    def samples(self, data: bytes | memoryview) -> None:
        """Interleaved float32 samples."""
        self._write(SAMPLES, data)

    def record(
        self, record: Silence | Format | Loss | WindowEnd | Account | PacketTimes | CountedPart | Refusal
    ) -> None:
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
            case CountedPart():
                self._write(_PART, json.dumps(asdict(record)).encode())
            case Refusal():
                self._write(_REFUSAL, json.dumps(asdict(record)).encode())

    def _write(self, kind: bytes, payload: bytes | memoryview) -> None:
        parts = [memoryview(HEADER.pack(kind, len(payload))), memoryview(payload)]
        while parts:
            written = os.writev(self._output, parts)
            while parts and written >= len(parts[0]):
                written -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][written:]


def record_of(kind: bytes, payload: bytes) -> Record:
    """The record, of any kind but SAMPLES. Raises ValueError for what no decoder writes."""
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
            return _packet_times(json.loads(payload))
        case b"C":
            fields = json.loads(payload)
            return CountedPart(_packet_times(fields["times"]), _seam(fields["begin"]), _seam(fields["end"]))
        case b"X":
            return Refusal(**json.loads(payload))
        case _:
            raise ValueError(f"no record of a decoder is of the kind {kind!r}")


def _packet_times(fields: dict[str, Any]) -> PacketTimes:
    ranges = fields.pop("ranges")
    return PacketTimes(**fields, ranges=None if ranges is None else tuple((first, last) for first, last in ranges))


def _seam(marks: list[list[int]] | None) -> PacketSeam | None:
    if marks is None:
        return None
    before, after = marks
    return PacketMark(*before), PacketMark(*after)
