"""Write samples into an Ogg file with Opus, block by block."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE

BITS_PER_SECOND = 32_000
"""Of each channel: Opus's speech at 16 kHz is transparent from about 24 kbit/s on (RFC 6716 has 16-20 for wideband)."""
MOST_CHANNELS = 2


class OpusFile:
    """One or two channels of 16 kHz; more are mixed. To be used as a context."""

    def __init__(self, path: Path, channels: int) -> None:
        self.channels = channels if channels <= MOST_CHANNELS else 1
        self._layout = "mono" if self.channels == 1 else "stereo"
        self._container = av.open(str(path), "w", format="ogg")
        self._stream = self._container.add_stream("libopus", rate=SAMPLE_RATE, layout=self._layout)
        self._stream.bit_rate = BITS_PER_SECOND * self.channels
        self._written = 0

    def write(self, block: NDArray[np.float32]) -> None:
        """The next samples, [channels, T]."""
        if not block.shape[1]:
            return
        if block.shape[0] != self.channels:
            block = block.mean(axis=0, keepdims=True)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32), format="fltp", layout=self._layout)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._written
        self._written += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
