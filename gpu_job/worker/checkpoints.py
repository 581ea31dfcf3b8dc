"""Checkpoints: finished chunks of a job that is still at work, so that a killed worker loses only the last few; and
parts: all chunks of a shard that is done."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

from gpu_job.assembly.assemble import ChunkResult
from shared import objects
from shared.state.jobs.object_names import parts_folder


class _Checkpoint(BaseModel):
    recipe: str
    parts: tuple[ChunkResult, ...]


class Checkpoints:
    """Parts of unfinished jobs in the state bucket. `recipe` names the model and the cut: others' parts do not fit."""

    def __init__(self, bucket: Bucket, recipe: str) -> None:
        self._bucket = bucket
        self._recipe = recipe
        self._part_name = f"part-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.json"

    def store(
        self,
        job_id: str,
        parts: Sequence[ChunkResult],
        *,
        run: int = 1,
        within: str = "",
        deadline_seconds: float | None = None,
    ) -> None:
        """Add parts to what is stored for the job. `run`: the record's `parts_run`; `within`: its `own_parts`."""
        if parts:
            name = f"{parts_folder(job_id, run)}{within}{uuid.uuid4().hex}.json"
            self._create(name, parts, deadline_seconds)

    def store_part(self, job_id: str, parts: Sequence[ChunkResult], *, run: int, within: str) -> None:
        """Store everything of a shard, unless another worker has; its checkpoints are not read any more."""
        self._create(parts_folder(job_id, run) + within + self._part_name, parts, None)

    def _create(self, name: str, parts: Sequence[ChunkResult], deadline_seconds: float | None) -> None:
        data = _Checkpoint(recipe=self._recipe, parts=tuple(parts)).model_dump_json().encode()
        objects.create_once(self._bucket, name, data, deadline_seconds=deadline_seconds)

    def load(self, job_id: str, run: int = 1, within: str = "") -> dict[tuple[int, int, int], ChunkResult]:
        """Stored parts by their channel, first and last sample: of a job with all of its shards, or in a shard's folder
        alone."""
        found: dict[tuple[int, int, int], ChunkResult] = {}
        listed = self._bucket.list_blobs(prefix=parts_folder(job_id, run) + within)
        for name in self._needed([str(blob.name) for blob in listed if blob.name.endswith(".json")]):
            stored = objects.read(self._bucket, name)
            try:
                checkpoint = _Checkpoint.model_validate_json(stored.data) if stored else None
            except ValidationError:
                continue  # written by another version: its chunks are simply done again
            if checkpoint and checkpoint.recipe == self._recipe:
                found |= {(part.channel, part.start, part.end): part for part in checkpoint.parts}
        return found

    def _needed(self, names: Sequence[str]) -> list[str]:
        """Without the checkpoints of shards whose part is there."""
        folders = {name.rpartition("/")[0] for name in names if name.endswith(f"/{self._part_name}")}
        return [
            name for name in names if name.endswith(f"/{self._part_name}") or name.rpartition("/")[0] not in folders
        ]
