"""Read the records of a decoder from its pipe to where they stay: samples are copied by the kernel alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.decoder.records import HEADER, SAMPLES, Record, SampleBytes, record_of

JOINED_BYTES = 16 * 64_000
"""Of samples, 16 s of one channel: a block costs the job 0.1 ms of its one interpreter, whatever its length."""


class RecordReader:
    """Says where the next bytes of a pipe are to be put, and gives the records that are complete then.

    Records of samples are joined as long as JOINED_BYTES hold them and no other record or the end follows.
    """

    def __init__(self) -> None:
        self._buffer = _buffer()
        """Whole records of samples that are not given out yet, then as much as is there of the next record and of the
        header behind it. Headers of samples are written over."""
        self._complete = 0
        """Bytes of whole records of samples."""
        self._filled = 0
        self._kind = b""
        """Of the next record; empty until its header is there."""
        self._end = 0
        """Of its payload, in the buffer."""

    def room(self) -> memoryview:
        """For the next bytes, at least one: of the payload that comes and of the header behind it."""
        if self._filled == len(self._buffer):
            # Only as fast as it comes, whatever the header says.
            self._buffer = np.concatenate((self._buffer, np.empty_like(self._buffer)))
        return self._buffer.data[self._filled : (self._end if self._kind else self._complete) + HEADER.size]

    def take(self, count: int) -> Iterator[Record]:
        """So many bytes are in the room now -> the records that they complete. To be exhausted before the next call.
        Raises ValueError for what no decoder writes."""
        self._filled += count
        while True:
            if not self._kind:
                if self._filled < self._complete + HEADER.size:
                    return
                self._kind, length = HEADER.unpack_from(self._buffer.data, self._complete)
                self._filled, self._end = self._complete, self._complete + length
                if self._kind != SAMPLES or self._end + HEADER.size > len(self._buffer):
                    yield from self.end()
            if self._filled < self._end:
                return
            kind, self._kind = self._kind, b""
            if kind == SAMPLES:
                self._complete = self._end
                continue
            record = record_of(kind, self._buffer[: self._end].tobytes())
            header = self._buffer[self._end : self._filled].copy()
            self._buffer[: len(header)], self._filled = header, len(header)
            yield record

    def end(self) -> Iterator[Record]:
        """The samples that are not given out yet, where no more are to be waited for."""
        samples = self._buffer[: self._complete]
        if self._complete:
            self._buffer = _buffer()
            self._end -= self._complete
            self._complete = self._filled = 0
            yield SampleBytes(samples.data)


def _buffer() -> NDArray[np.uint8]:
    return np.empty(JOINED_BYTES + HEADER.size, np.uint8)
