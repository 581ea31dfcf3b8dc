"""Several tracks as one stream with the channels of all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gpu_job.audio.samples import AudioBlock


def side_by_side(streams: Sequence[Iterator[AudioBlock]]) -> Iterator[AudioBlock]:
    """Blocks of all channels of all streams; where one has ended it is silent."""
    waiting: list[AudioBlock | None] = [next(stream, None) for stream in streams]
    widths = [block.samples.shape[1] if block else 1 for block in waiting]
    while any(waiting):
        length = min(len(block.samples) for block in waiting if block)
        parts = []
        for number, block in enumerate(waiting):
            if block is None:
                parts.append(np.zeros((length, widths[number]), np.float32))
                continue
            widths[number] = block.samples.shape[1]
            parts.append(block.samples[:length])
            rest = block.samples[length:]
            waiting[number] = AudioBlock(rest, block.layout) if len(rest) else next(streams[number], None)
        yield AudioBlock(np.concatenate(parts, axis=1))
