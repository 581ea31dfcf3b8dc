"""Batching: waiting chunks of all uploads -> the chunks that run together next. Pure.

A batch costs as much as its longest chunk times its size, so chunks of like length belong together; the longest go
first, so that the largest batch, and with it any trouble with memory, comes at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gpu_job.asr.memory import MemoryBudget
from gpu_job.audio.samples import SAMPLE_RATE, Samples

LEAST_FILL = 0.5
"""No chunk of a batch is shorter than this share of the longest: at most half of a batch is padding."""

LIKE_LENGTHS = 1.15
"""Lengths within this factor count as equal: among them the chunks with more speech go first."""

PATIENCE = 8
"""After so many batches a chunk that was passed over goes first; otherwise short ones could wait for ever."""


MODEL_PATIENCE = 2 * PATIENCE
"""The same for a chunk whose model is not loaded, and so many batches have to run between two loads of models that take
turns in memory: on two cores, at 320 s of audio each, minutes to a load's seconds."""


@dataclass(frozen=True)
class BatchCandidate:
    """A chunk that waits for the model."""

    samples: int
    speech_share: float = 1.0
    """Part of the chunk that is speech, 0 to 1."""
    urgent: bool = False
    """An upload's end waits for this chunk: repairs."""
    passed_over: int = 0
    """Batches that ran since it came."""
    model: Hashable = None
    """What it is heard with: chunks of one batch have the same."""
    is_loaded: bool = True
    """Whether that is in memory; loading it costs more than a few batches."""
    since_load: int = MODEL_PATIENCE
    """Batches that ran since a model was loaded."""

    @property
    def has_waited_for_model(self) -> bool:
        """Whether its model is to be loaded now, whatever the loaded ones still have to do."""
        if self.is_loaded:
            return False
        # Urgent chunks of two models would else have them loaded in turns, for a batch each.
        return (self.urgent and self.since_load >= PATIENCE) or min(self.passed_over, self.since_load) >= MODEL_PATIENCE

    @property
    def goes_first(self) -> bool:
        """Whether it goes before longer ones."""
        return self.urgent or self.passed_over >= PATIENCE


@dataclass(frozen=True)
class SafeSizes:
    """The largest batches left after memory did not suffice: seconds of the longest chunk -> chunks."""

    sizes: Mapping[int, int] = field(default_factory=dict)

    def largest(self, samples: int) -> int | None:
        """How many chunks of this length are safe; None where nothing is known. What is too much for shorter chunks
        is too much for longer ones.
        """
        return min((size for length, size in self.sizes.items() if length <= _length(samples)), default=None)

    def without(self, samples: int, chunks: int) -> SafeSizes:
        """Once a batch of so many chunks of this length was too large: half of it is the most from now on."""
        return self.merged(SafeSizes({_length(samples): max(1, chunks // 2)}))

    def merged(self, other: SafeSizes) -> SafeSizes:
        """The smaller of both, length by length."""
        lengths = sorted({*self.sizes, *other.sizes})
        return SafeSizes(
            {length: min(sizes[length] for sizes in (self.sizes, other.sizes) if length in sizes) for length in lengths}
        )


def _length(samples: int) -> int:
    """Whole seconds, so that chunks of nearly the same length share what is known."""
    return samples // SAMPLE_RATE


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may be."""

    max_chunks: int
    max_samples: int
    """Padding included: chunks x samples of the longest."""
    memory: MemoryBudget | None = None
    """None where memory is no concern."""
    safe: SafeSizes = SafeSizes()

    def largest(self, samples: int) -> int:
        """How many chunks of this length may run together: at least one."""
        most = [self.max_chunks, self.max_samples // max(1, samples)]
        if self.memory:
            most.append(self.memory.largest_batch(samples))
        if (safe := self.safe.largest(samples)) is not None:
            most.append(safe)
        return max(1, min(most))

    def beside(self, others_bytes: int) -> BatchLimits:
        """The limits where other models have so much of the memory."""
        if self.memory is None or self.memory.others_bytes == others_bytes:
            return self
        return replace(self, memory=replace(self.memory, others_bytes=others_bytes))

    def without(self, samples: int, chunks: int) -> BatchLimits:
        """The limits once a batch of so many chunks, the longest of this length, was too large for the memory."""
        return replace(self, safe=self.safe.without(samples, chunks))


def next_batch(waiting: Sequence[BatchCandidate], limits: BatchLimits | Callable[[Hashable], BatchLimits]) -> list[int]:
    """The indices of the chunks to run now, longest first, of one model; none only where none waits.

    `limits`: of every model, or by model.
    """
    if not waiting:
        return []
    lead = max(
        waiting,
        key=lambda chunk: (
            chunk.has_waited_for_model,
            # Of several such, the one that has waited longest: chunks of a third model may be shorter than all others.
            chunk.passed_over if chunk.has_waited_for_model else 0,
            chunk.is_loaded,
            chunk.goes_first,
            chunk.samples,
        ),
    )
    limits = limits if isinstance(limits, BatchLimits) else limits(lead.model)
    alike = [
        index
        for index, chunk in enumerate(waiting)
        if chunk.model == lead.model and LEAST_FILL * lead.samples <= chunk.samples <= lead.samples
    ]
    alike.sort(key=lambda index: _rank(waiting[index], lead.samples))
    chosen = alike[: limits.largest(lead.samples)]
    return sorted(chosen, key=lambda index: -waiting[index].samples)


def _rank(chunk: BatchCandidate, longest: int) -> tuple[bool, bool, float, int]:
    """Sorts those first that go first, then the nearly longest by their speech, then the shorter ones by length."""
    nearly_longest = chunk.samples * LIKE_LENGTHS >= longest
    return (not chunk.goes_first, not nearly_longest, -chunk.speech_share if nearly_longest else 0.0, -chunk.samples)


def slices(batch: Sequence[Samples], max_samples: int) -> Iterator[Sequence[Samples]]:
    """A batch, longest first, in runs of at most so many samples, padding included; a longer chunk alone."""
    begin, longest = 0, 0
    for end, samples in enumerate(batch):
        longest = max(longest, len(samples))
        if end > begin and (end - begin + 1) * longest > max_samples:
            yield batch[begin:end]
            begin, longest = end, len(samples)
    yield batch[begin:]
