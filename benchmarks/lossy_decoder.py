"""`python -m benchmarks.lossy_decoder STAGE START SECONDS REQUEST`: the decoder, which loses sound at one stage.

What it loses lies within [START, START + SECONDS) of the file. The pass that counts packets loses nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import av

from gpu_job.audio.decoder.__main__ import main
from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE
from gpu_job.audio.decoder.records import DecodingRequest, RecordWriter

DEMUX, DECODE, OUTPUT = "demux", "decode", "output"


class _Packet:
    """A packet that gives none of its frames."""

    def __init__(self, packet: Any) -> None:
        self._packet = packet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._packet, name)

    def __bytes__(self) -> bytes:
        return bytes(self._packet)

    def decode(self) -> list[Any]:
        """The codec's work is done and its frames are lost."""
        self._packet.decode()
        return []


class _Container:
    """A container whose packets of some seconds are lost, or their frames."""

    def __init__(self, container: Any, stage: str, start: float, end: float) -> None:
        self.__dict__.update(_container=container, _stage=stage, _start=start, _end=end)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._container, name, value)

    def __enter__(self) -> _Container:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, stream: Any) -> Iterator[Any]:
        """The packets, but for the lost ones."""
        origin = float((stream.start_time or 0) * stream.time_base)
        for packet in self._container.demux(stream):
            at = None if packet.pts is None else float(packet.pts * packet.time_base) - origin
            if at is None or not self._start <= at < self._end:
                yield packet
            elif self._stage == DECODE:
                yield _Packet(packet)


def run(stage: str, start: float, seconds: float, request: str) -> int:
    """The decoder's exit status."""
    if not DecodingRequest.from_json(request).windows:
        return main(request)
    if stage == OUTPUT:
        return _without_records(start, seconds, request)
    opened = av.open
    times = 0

    def lossy(*arguments: Any, **options: Any) -> Any:
        nonlocal times
        times += 1
        container = opened(*arguments, **options)
        return _Container(container, stage, start, start + seconds) if times == 1 else container

    with patch.object(av, "open", lossy):
        return main(request)


def _without_records(start: float, seconds: float, request: str) -> int:
    """Records of samples are lost on their way through the pipe. Of mono."""
    position = 4 * int(DecodingRequest.from_json(request).windows[0][0])
    write = RecordWriter.samples

    def samples(writer: RecordWriter, data: bytes | memoryview) -> None:
        nonlocal position
        at = position / 4 / OUTPUT_RATE
        position += len(data)
        if not start <= at < start + seconds:
            write(writer, data)

    with patch.object(RecordWriter, "samples", samples):
        return main(request)


if __name__ == "__main__":
    status = run(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
    sys.stdout.flush()
    os._exit(status)
