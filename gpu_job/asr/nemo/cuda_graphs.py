"""The decoder's storage on a GPU. It grows in few steps, for each of them costs a capture of CUDA graphs.

NeMo keeps storage and graphs for one size of batch. One with more chunks or more frames has it allocate and capture
anew, and for exactly that size: more chunks with fewer frames, and the frames are lost again. Batches here differ all
the time, the shorter the chunks the more of them. So storage grows to powers of two, and does not shrink but where
chunks are very long.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad

_log = logging.getLogger(__name__)

MOST_CELLS = 2**18
"""Chunks x frames of storage larger than its batch. 0.5 GB with parakeet-tdt-0.6b in bf16: a frame takes 1,280 bytes
of projected encoder output, and twice 260 bytes of hypotheses, up to ten symbols long."""


class Size(NamedTuple):
    """Of a batch, or of storage."""

    chunks: int
    frames: int
    """Of the encoder, for each chunk."""

    def holds(self, batch: Size) -> bool:
        """Whether NeMo decodes such a batch without a new capture."""
        return batch.chunks <= self.chunks and batch.frames <= self.frames


def grown(kept: Size, batch: Size, max_chunks: int) -> Size:
    """The storage for a batch where so much is kept, of batches with at most so many chunks.

    What holds them all takes too much memory where chunks are very long; then the batch gets what NeMo would give it.
    """
    if kept.holds(batch):
        return kept
    size = Size(
        max(kept.chunks, batch.chunks, min(max_chunks, _power_of_two(batch.chunks))),
        max(kept.frames, _power_of_two(batch.frames)),
    )
    return size if size.chunks * size.frames <= MOST_CELLS else batch


def _power_of_two(number: int) -> int:
    """The smallest one that is not less."""
    return 1 << (number - 1).bit_length()


class TdtDecoder:
    """NeMo's batched decoder. Belongs to the thread that owns the model."""

    def __init__(self, computer: Any, max_chunks: int, *, on_gpu: bool) -> None:
        self.computer = computer
        """NeMo's label-looping computer."""
        self._max_chunks = max_chunks
        self._on_gpu = on_gpu
        self._promised = self.mode
        self._logged: str | None = None

    @property
    def _captures(self) -> bool:
        return self._on_gpu and self.computer.cuda_graphs_mode is not None

    @property
    def mode(self) -> str:
        """How NeMo decodes here: without conditional nodes, which a driver before CUDA 12.6 lacks, it is slower."""
        return str(self.computer.cuda_graphs_mode.value) if self._captures else "eager"

    def __call__(self, encoded: torch.Tensor, frames: torch.Tensor, trees: torch.Tensor | None = None) -> Any:
        """[chunks, frames, width] and how many frames count -> the hypotheses; there may be more rows than chunks.

        `trees`: NeMo's number of each chunk's boosting tree, [chunks]."""
        if self._captures:
            encoded, frames = self._roomy(encoded, frames)
            if trees is not None:
                trees = pad(trees, (0, encoded.shape[0] - len(trees)), value=-1)
        mode = self.computer.cuda_graphs_mode
        try:
            found, _ = self.computer(x=encoded, out_len=frames, multi_biasing_ids=trees)
        except Exception:
            # It may have new storage and still the graphs of the old: its loop would wait for them for ever. And where
            # memory ran out while whole graphs were captured, it would take slower ones from then on.
            self.computer.cuda_graphs_mode = mode
            self.computer.reset_cuda_graphs_state()
            raise
        if self._captures and self.mode != self._logged:
            # Known by the first capture only: where whole graphs fail NeMo takes slower ones, and says so to nobody.
            self._logged = self.mode
            level = logging.INFO if self.mode == self._promised else logging.WARNING
            fields = {"decoder": self.mode, "promised": self._promised}
            _log.log(level, "decoder captured", extra={"fields": fields})
        return found

    def _roomy(self, encoded: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch, padded where it makes NeMo allocate, so that it allocates what was decided here."""
        state = self.computer.state
        kept = Size(state.batch_size, state.max_time) if state is not None else Size(0, 0)
        batch = Size(encoded.shape[0], encoded.shape[1])
        if kept.holds(batch):
            return encoded, frames
        size = grown(kept, batch, self._max_chunks)
        chunks = size.chunks - batch.chunks
        return pad(encoded, (0, 0, 0, size.frames - batch.frames, 0, chunks)), pad(frames, (0, chunks))
