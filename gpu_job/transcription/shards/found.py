"""Everything that a complete shard found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.transcription.shards.edge_audio import EdgeChunk
from gpu_job.transcription.shards.facts import ShardFacts


class FoundInShard(NamedTuple):
    """One shard's facts, the chunks at its ends and the results of all of its chunks."""

    facts: ShardFacts
    edges: Sequence[EdgeChunk]
    results: Sequence[ChunkResult]

    @property
    def is_transcribed(self) -> bool:
        """Whether all of its chunks have words, or none to have: failed ones are not stored, and tried again."""
        return all(result.failure is None for result in self.results)
