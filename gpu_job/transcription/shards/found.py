"""Everything that a complete shard found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.transcription.shards.edge_audio import EdgeChunk, packed_audio
from gpu_job.transcription.shards.facts import ShardFacts


class PackedFound(NamedTuple):
    """What a shard found beside its results, as it is stored."""

    facts: ShardFacts
    edges: bytes
    """The `packed_audio` of its ends."""
    speakers: bytes | None = None
    """As `PartStage.packed` has it; None where nothing was heard."""
    opinions: bytes | None = None
    """As `KeptAudio.packed` has it; None where nobody asked."""


class FoundInShard(NamedTuple):
    """One shard's facts, the chunks at its ends, the results of all of its chunks, and what is stored beside them."""

    facts: ShardFacts
    edges: Sequence[EdgeChunk]
    results: Sequence[ChunkResult]
    speakers: bytes | None = None
    opinions: bytes | None = None
    """As of PackedFound."""

    @property
    def is_transcribed(self) -> bool:
        """Whether all of its chunks have words, or none to have: failed ones are not stored, and tried again."""
        return all(result.failure is None for result in self.results)

    def packed(self) -> PackedFound:
        """Without its results."""
        return PackedFound(self.facts, packed_audio(self.edges), self.speakers, self.opinions)
