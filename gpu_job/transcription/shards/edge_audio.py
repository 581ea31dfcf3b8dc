"""The audio at both ends of a shard: who assembles the upload audits the chunks there beside the next shard's."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gpu_job.audio.chunker import Chunk

EDGE_CHUNKS = 2
"""At each end of a channel: the outermost chunk, which is audited later, and its neighbour."""


class EdgeChunk(NamedTuple):
    """A chunk of a channel."""

    channel: int
    chunk: Chunk


def packed_audio(chunks: Iterable[EdgeChunk]) -> bytes:
    """Their samples and levels, to the last bit: with chunks of 30 s, 2 MB each."""
    arrays: dict[str, np.ndarray] = {}
    for channel, chunk in chunks:
        arrays[f"{channel}-{chunk.start}-samples"] = chunk.samples
        arrays[f"{channel}-{chunk.start}-levels"] = chunk.levels
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]  # names with a dash are none of its own arguments
    return packed.getvalue()


def unpacked_audio(data: bytes) -> Sequence[EdgeChunk]:
    """By channel and time. Raises ValueError for what `packed_audio` does not write."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = sorted(tuple(map(int, name.split("-")[:2])) for name in arrays.files if name.endswith("-samples"))
            return [
                EdgeChunk(
                    channel,
                    Chunk(
                        start,
                        arrays[f"{channel}-{start}-samples"],
                        known_levels=arrays[f"{channel}-{start}-levels"],
                    ),
                )
                for channel, start in names
            ]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, RuntimeError) as error:
        raise ValueError(f"no audio of a shard's ends: {error}") from error
