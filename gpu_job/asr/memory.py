"""Memory: how much a batch takes, and how large a batch may be. Pure.

Formulas by the encoder's own tensors, their factors measured on parakeet-tdt-0.6b's architecture in bf16 (November
2026): a batch of B chunks of m minutes takes at most max(190..213 B m, B (62.7 m^2 + 26 m)) MiB beside the weights,
37 m^2 with PyTorch's scaled_dot_product_attention; fp32 takes twice that. Above 2,621 s of audio NeMo runs the
subsampling convolutions in parts of the batch, and the first term grows no further.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum

from gpu_job.audio.samples import SAMPLE_RATE

GIB = 2**30

_HOP = SAMPLE_RATE // 100
"""Samples per mel frame."""
_SUBSAMPLING = 8
"""Mel frames per encoder frame."""
_MEL_BYTES = 512 * 4 + 257 * (8 + 8 + 4)
"""Per mel frame, in fp32: the window's samples, the complex spectrum, its parts squared, the power."""
_CONVOLVED_TENSORS = 2.1
"""Outputs of the first convolution that live at once: its own, its activation's, and smaller ones."""
_MOST_CONVOLVED = 2**31
"""Values of the first convolution's output, from which on NeMo's ConvSubsampling takes a batch in parts: no index of a
tensor may be larger (pytorch issue 80020)."""
_WIDE_TENSORS = 17.8
"""[chunks, frames, width] tensors that live at once in a layer: four times the width twice, for the feed-forward."""
_LOCAL_CONTEXT = 128
"""Frames seen to either side with local attention."""

_RESERVE = 0.1
"""Share of the memory left to fragments, the decoder and libraries."""
_LARGEST_BATCH = 2**24
"""More chunks than this are never meant."""
_CORRECTIONS = (0.5, 3.0)
"""A measurement outside of this says more about the measuring than about the model."""


class Attention(StrEnum):
    """How the encoder's self-attention is computed."""

    FULL = "full"
    SDPA = "sdpa"
    LOCAL = "local"


_SCORE_TENSORS = {Attention.FULL: 7.3, Attention.SDPA: 4.3, Attention.LOCAL: 7.3}
"""[chunks, heads, frames, context] tensors that live at once."""


@dataclass(frozen=True)
class Architecture:
    """The dimensions of a FastConformer that decide about memory. The defaults are parakeet-tdt-0.6b's."""

    parameters: int = 617_825_926
    mels: int = 128
    channels: int = 256
    """Of the subsampling convolutions."""
    width: int = 1024
    heads: int = 8


@dataclass(frozen=True)
class MemoryModel:
    """What the model needs, in bytes."""

    architecture: Architecture
    value_bytes: int
    """2 in bf16, 4 in fp32."""
    attention: Attention

    @property
    def weights(self) -> int:
        """Taken at all times."""
        return self.architecture.parameters * self.value_bytes

    def activations(self, chunks: int, samples: int) -> int:
        """The peak of a batch of so many chunks, padded to so many samples each, beside the weights."""
        return self._peak(chunks, samples, convolved=self.convolved_at_once(chunks, samples))

    def most_activations(self, chunks: int, samples: int) -> int:
        """The same of the batch that takes most among those of at most so many chunks: one that is convolved in parts
        may take less than a smaller one that is not."""
        return self._peak(chunks, samples, convolved=min(chunks, max(1, self._most_convolved(samples))))

    def convolved_at_once(self, chunks: int, samples: int) -> int:
        """Chunks that go through the first convolutions together: half, a quarter, ... of them where all would be too
        many, as NeMo's `conv_split_by_batch` has it. A chunk that is too long by itself is not divided here."""
        if chunks <= self._most_convolved(samples):
            return chunks
        parts = 1 << math.ceil(math.log2(chunks * self._convolved(samples) / _MOST_CONVOLVED))
        return max(1, chunks // parts)

    def _most_convolved(self, samples: int) -> int:
        return int(_MOST_CONVOLVED / max(1.0, self._convolved(samples)))

    def _convolved(self, samples: int) -> float:
        """Values of the first convolution's output, of one chunk: it halves time and mels."""
        shape = self.architecture
        return shape.channels * (shape.mels / 2) * (samples / _HOP / 2)

    def _peak(self, chunks: int, samples: int, *, convolved: int) -> int:
        frames = samples / _HOP
        stages = (chunks * frames * _MEL_BYTES, self._convolution(chunks, samples, convolved))
        return int(max(*stages, chunks * self._layer(frames / _SUBSAMPLING)))

    def _convolution(self, chunks: int, samples: int, convolved: int) -> float:
        """What the first convolution makes lives beside the spectrogram, and beside what other parts were made into."""
        shape = self.architecture
        frames = samples / _HOP
        spectrogram = chunks * shape.mels * frames * (4 + self.value_bytes)
        at_once = convolved * _CONVOLVED_TENSORS * self._convolved(samples) * self.value_bytes
        if convolved == chunks:
            return at_once + spectrogram
        subsampled = shape.channels * (shape.mels / _SUBSAMPLING) * (frames / _SUBSAMPLING) * self.value_bytes
        return at_once + spectrogram + chunks * subsampled

    def _layer(self, frames: float) -> float:
        shape = self.architecture
        context = 2 * _LOCAL_CONTEXT + 1 if self.attention is Attention.LOCAL else frames
        scores = _SCORE_TENSORS[self.attention] * shape.heads * frames * context
        return (scores + _WIDE_TENSORS * shape.width * frames) * self.value_bytes


@dataclass(frozen=True)
class MemoryBudget:
    """The memory the model may use, and what was learned from batches that ran."""

    model: MemoryModel
    limit_bytes: int
    """Weights included."""
    correction: float = 1.0
    """Measured by predicted activations, of the largest batch that ran."""
    corrected_by_bytes: int = 0
    """Predicted activations of that batch, in bytes."""
    others_bytes: int = 0
    """Weights of other models beside this one."""

    @classmethod
    def of_device(cls, model: MemoryModel, free_bytes: int, limit_gb: float) -> MemoryBudget:
        """What the device has for the model, weights included, or the setting where that is less."""
        return cls(model, min(free_bytes, int(limit_gb * GIB)))

    def largest_batch(self, samples: int) -> int:
        """How many chunks of this length fit; 0 where not even one is predicted to."""
        room = (1 - _RESERVE) * self.limit_bytes - self.model.weights - self.others_bytes
        fewest = self.correction * self.model.most_activations(1, samples)
        if room < fewest:
            return 0

        def taken(chunks: int) -> float:
            return self.correction * self.model.most_activations(chunks, samples)

        return bisect_right(range(1, _LARGEST_BATCH + 1), room, key=taken)

    def after(self, chunks: int, samples: int, peak_bytes: int, others_bytes: int = 0) -> MemoryBudget:
        """The budget once a batch's peak, weights included, is known. Larger batches say more than smaller ones.

        `others_bytes`: of the peak those that are neither this model's nor the batch's."""
        predicted = self.model.activations(chunks, samples)
        if not predicted or predicted < self.corrected_by_bytes:
            return self
        low, high = _CORRECTIONS
        correction = min(high, max(low, (peak_bytes - others_bytes - self.model.weights) / predicted))
        return replace(self, correction=correction, corrected_by_bytes=predicted)
