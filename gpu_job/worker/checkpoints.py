"""Checkpoints: finished chunks of a job that is still at work, so that a killed worker loses only the last few; and
parts: all chunks of a shard that is done, what else it found, the audio at its ends, what it heard of speakers, and
what another engine may hear."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from google.cloud.storage import Bucket
from pydantic import BaseModel, BeforeValidator, ValidationError

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.transcription.chunk_results import StoredResults
from gpu_job.transcription.shards.facts import FACTS_VERSION, ShardFacts
from gpu_job.transcription.shards.found import PackedFound
from gpu_job.transcription.shards.joined import StoredShards
from shared import objects
from shared.costs.shard_plan import Shard
from shared.errors import StateConflict
from shared.languages.choice import LanguageChoice
from shared.state.jobs.object_names import parts_folder


def _of_this_version(facts: object) -> object:
    return facts if not isinstance(facts, dict) or facts.get("version") == FACTS_VERSION else None


class _Checkpoint(BaseModel):
    recipe: str
    parts: tuple[ChunkResult, ...]
    facts: Annotated[ShardFacts | None, BeforeValidator(_of_this_version)] = None
    """Of a part alone, and not of those that older versions stored."""
    unjoinable: Shard | None = None
    """The shard, where nothing that it finds says anything of the file: something of it could not be read, say."""


@dataclass(frozen=True)
class StoredParts:
    """What earlier attempts at a job left, or its shards."""

    results: StoredResults
    shards: StoredShards
    """Of the plan that it was asked for."""


@dataclass
class _Found:
    results: dict[tuple[int, int, int], ChunkResult] = field(default_factory=dict)
    facts: dict[int, ShardFacts] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    """Of shards, with what is stored beside their facts."""
    unjoinable: set[Shard] = field(default_factory=set)


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
            data = _dumped(_Checkpoint(recipe=self._recipe_of(language), parts=tuple(parts)))
            objects.create_once(self._bucket, name, data, deadline_seconds=deadline_seconds)

    def store_part(
        self,
        job_id: str,
        parts: Sequence[ChunkResult],
        *,
        run: int,
        within: str,
        language: LanguageChoice | None = None,
        found: PackedFound | None = None,
        unjoinable: Shard | None = None,
    ) -> None:
        """Store everything of a shard, unless another worker has; its checkpoints are not read any more. `found`: what
        else it found, None where that says nothing. `unjoinable`: the shard, where it would say nothing if it was heard
        again."""
        recipe, folder = self._recipe_of(language), parts_folder(job_id, run) + within
        if found is not None:
            beside = {"edges": found.edges, "speakers": found.speakers, "opinions": found.opinions}
            for what, data in beside.items():
                if data is not None:
                    objects.create_once(
                        self._bucket, folder + _beside_name(what, recipe), data, "application/octet-stream"
                    )
        facts = None if found is None else found.facts
        part = _Checkpoint(recipe=recipe, parts=tuple(parts), facts=facts, unjoinable=unjoinable)
        data, name = _dumped(part), folder + _part_name(recipe)
        stored = objects.create_once(self._bucket, name, data)
        if stored.data != data and _parsed(stored) is None:
            # What stands there is damaged, and would be in the way for good.
            with suppress(StateConflict):  # another worker has replaced it
                objects.replace(self._bucket, name, data, stored.generation)

    def _recipe_of(self, language: LanguageChoice | None) -> str:
        return self._recipe if language is None else f"{self._recipe} {language}"

    def load(
        self, job_id: str, run: int = 1, within: str = "", *, language: LanguageChoice | None = None
    ) -> StoredResults:
        """Stored parts by their channel, first and last sample: of a job with all of its shards, or in a shard's folder
        alone."""
        return self.load_all(job_id, run, within, language=language).results

    def load_all(
        self,
        job_id: str,
        run: int = 1,
        within: str = "",
        *,
        language: LanguageChoice | None = None,
        plan: tuple[Shard, ...] = (),
    ) -> StoredParts:
        """The same, with what else the shards of this plan found."""
        recipe, found = self._recipe_of(language), _Found()
        for name, checkpoint in self._stored(parts_folder(job_id, run) + within, recipe):
            found.results |= {(part.channel, part.start, part.end): part for part in checkpoint.parts}
            if checkpoint.facts is not None:
                number = checkpoint.facts.shard.number
                found.facts[number] = checkpoint.facts
                found.folders[number] = f"{name.rpartition('/')[0]}/"
            if checkpoint.unjoinable is not None:
                found.unjoinable.add(checkpoint.unjoinable)
        shards = StoredShards(
            plan,
            found.facts,
            self._reader(found.folders, _beside_name("edges", recipe)),
            frozenset(found.unjoinable),
            self._reader(found.folders, _beside_name("speakers", recipe)),
            self._reader(found.folders, _beside_name("opinions", recipe)),
        )
        return StoredParts(found.results, shards)

    def _stored(self, folder: str, recipe: str) -> Iterator[tuple[str, _Checkpoint]]:
        """Checkpoints and parts, but of shards whose part can be read nothing else."""
        names = [str(blob.name) for blob in self._bucket.list_blobs(prefix=folder) if blob.name.endswith(".json")]
        whole = set[str]()
        # Parts first.
        for name in sorted(names, key=lambda one: not _is_part(one, recipe)):
            of_folder = name.rpartition("/")[0]
            if of_folder in whole:
                continue
            stored = objects.read(self._bucket, name)
            checkpoint = None if stored is None else _parsed(stored)
            if checkpoint is None or checkpoint.recipe != recipe:
                continue  # damaged, or another version's: its chunks are done again
            if _is_part(name, recipe):
                whole.add(of_folder)
            yield name, checkpoint

    def _reader(self, folders: dict[int, str], name: str) -> Callable[[int], bytes | None]:
        def read(number: int) -> bytes | None:
            stored = objects.read(self._bucket, folders[number] + name) if number in folders else None
            return stored.data if stored else None

        return read


def _dumped(checkpoint: _Checkpoint) -> bytes:
    return checkpoint.model_dump_json().encode()


def _parsed(stored: objects.Versioned) -> _Checkpoint | None:
    try:
        return _Checkpoint.model_validate_json(stored.data)
    except ValidationError:
        return None


def _part_name(recipe: str) -> str:
    return f"part-{_recipe_digest(recipe)}.json"


def _is_part(name: str, recipe: str) -> bool:
    return name.endswith(f"/{_part_name(recipe)}")


def _beside_name(what: str, recipe: str) -> str:
    return f"{what}-{_recipe_digest(recipe)}.npz"


def _recipe_digest(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]
