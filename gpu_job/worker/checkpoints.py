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
from shared.languages.choice import LanguageChoice
from shared.state.jobs.object_names import parts_folder


class _Checkpoint(BaseModel):
    recipe: str
    parts: tuple[ChunkResult, ...]


class Checkpoints:
    """Parts of unfinished jobs in the state bucket. `recipe` names the models and the cut: others' parts do not fit,
    nor do those of another language, which a re-run may be told. `language`: what the job's owner says of it."""

    def __init__(self, bucket: Bucket, recipe: str) -> None:
        self._bucket = bucket
        self._recipe = recipe

    def store(
        self,
        job_id: str,
        parts: Sequence[ChunkResult],
        *,
        run: int = 1,
        within: str = "",
        language: LanguageChoice | None = None,
        deadline_seconds: float | None = None,
    ) -> None:
        """Add parts to what is stored for the job. `run`: the record's `parts_run`; `within`: its `own_parts`."""
        if parts:
            name = f"{parts_folder(job_id, run)}{within}{uuid.uuid4().hex}.json"
            self._create(name, self._recipe_of(language), parts, deadline_seconds)

    def store_part(
        self,
        job_id: str,
        parts: Sequence[ChunkResult],
        *,
        run: int,
        within: str,
        language: LanguageChoice | None = None,
    ) -> None:
        """Store everything of a shard, unless another worker has; its checkpoints are not read any more."""
        recipe = self._recipe_of(language)
        self._create(parts_folder(job_id, run) + within + _part_name(recipe), recipe, parts, None)

    def _recipe_of(self, language: LanguageChoice | None) -> str:
        return self._recipe if language is None else f"{self._recipe} {language}"

    def _create(self, name: str, recipe: str, parts: Sequence[ChunkResult], deadline_seconds: float | None) -> None:
        data = _Checkpoint(recipe=recipe, parts=tuple(parts)).model_dump_json().encode()
        objects.create_once(self._bucket, name, data, deadline_seconds=deadline_seconds)

    def load(
        self, job_id: str, run: int = 1, within: str = "", *, language: LanguageChoice | None = None
    ) -> dict[tuple[int, int, int], ChunkResult]:
        """Stored parts by their channel, first and last sample: of a job with all of its shards, or in a shard's folder
        alone."""
        recipe = self._recipe_of(language)
        found: dict[tuple[int, int, int], ChunkResult] = {}
        listed = self._bucket.list_blobs(prefix=parts_folder(job_id, run) + within)
        for name in _needed([str(blob.name) for blob in listed if blob.name.endswith(".json")], _part_name(recipe)):
            stored = objects.read(self._bucket, name)
            try:
                checkpoint = _Checkpoint.model_validate_json(stored.data) if stored else None
            except ValidationError:
                continue  # written by another version: its chunks are simply done again
            if checkpoint and checkpoint.recipe == recipe:
                found |= {(part.channel, part.start, part.end): part for part in checkpoint.parts}
        return found


def _part_name(recipe: str) -> str:
    return f"part-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.json"


def _needed(names: Sequence[str], part_name: str) -> list[str]:
    """Without the checkpoints of shards whose part is there."""
    folders = {name.rpartition("/")[0] for name in names if name.endswith(f"/{part_name}")}
    return [name for name in names if name.endswith(f"/{part_name}") or name.rpartition("/")[0] not in folders]
