"""Checkpoints: finished chunks of a job that is still at work, so that a killed worker loses only the last few."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

from gpu_job.assembly.assemble import ChunkResult
from shared import objects
from shared.state.jobs import parts_folder


class _Checkpoint(BaseModel):
    recipe: str
    parts: tuple[ChunkResult, ...]


class Checkpoints:
    """Parts of unfinished jobs in the state bucket. `recipe` names the model and the cut: others' parts do not fit."""

    def __init__(self, bucket: Bucket, recipe: str) -> None:
        self._bucket = bucket
        self._recipe = recipe

    def store(
        self, job_id: str, parts: Sequence[ChunkResult], *, run: int = 1, deadline_seconds: float | None = None
    ) -> None:
        """Add parts to what is stored for the job. `run`: the record's `parts_run`."""
        if not parts:
            return
        data = _Checkpoint(recipe=self._recipe, parts=tuple(parts)).model_dump_json().encode()
        name = f"{parts_folder(job_id, run)}{uuid.uuid4().hex}.json"
        objects.create_once(self._bucket, name, data, deadline_seconds=deadline_seconds)

    def load(self, job_id: str, run: int = 1) -> dict[tuple[int, int, int], ChunkResult]:
        """Stored parts by their channel, first and last sample."""
        found: dict[tuple[int, int, int], ChunkResult] = {}
        for blob in self._bucket.list_blobs(prefix=parts_folder(job_id, run)):
            stored = objects.read(self._bucket, blob.name)
            try:
                checkpoint = _Checkpoint.model_validate_json(stored.data) if stored else None
            except ValidationError:
                continue  # written by another version: its chunks are simply done again
            if checkpoint and checkpoint.recipe == self._recipe:
                found |= {(part.channel, part.start, part.end): part for part in checkpoint.parts}
        return found
