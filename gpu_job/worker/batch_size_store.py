"""Safe sizes in the state bucket: what one worker learned about its GPU's memory, the next one knows at its start."""

from __future__ import annotations

import re

from google.cloud.storage import Bucket
from pydantic import BaseModel, PositiveInt, ValidationError

from gpu_job.asr.batching import SafeSizes
from shared import objects
from shared.errors import StateConflict

_TRIES = 5
"""Workers that learn in the same moment write one after the other."""


class _Stored(BaseModel):
    safe: dict[int, PositiveInt]
    """Seconds of the longest chunk -> chunks."""


class SafeSizeStore:
    """The sizes known for a model on one kind of device."""

    def __init__(self, bucket: Bucket, hardware: str, model: str) -> None:
        self._bucket = bucket
        self._name = f"engines/{_plain(hardware)}/{_plain(model)}.json"

    def load(self) -> SafeSizes:
        """What is known. Content that cannot be read is as good as none."""
        return self._read()[0]

    def remember(self, sizes: SafeSizes) -> SafeSizes:
        """Add to what is known; what is known then. Raises StateConflict where too many write at once."""
        for _ in range(_TRIES):
            known, generation = self._read()
            merged = known.merged(sizes)
            data = _Stored(safe=dict(merged.sizes)).model_dump_json().encode()
            try:
                objects.replace(self._bucket, self._name, data, generation)
            except StateConflict:
                continue
            return merged
        raise StateConflict(f"{self._name} was changed by {_TRIES} other processes in a row")

    def _read(self) -> tuple[SafeSizes, int]:
        stored = objects.read(self._bucket, self._name)
        if stored is None:
            return SafeSizes(), 0
        try:
            return SafeSizes(_Stored.model_validate_json(stored.data).safe), stored.generation
        except ValidationError:
            return SafeSizes(), stored.generation


def _plain(name: str) -> str:
    """A name as one part of an object's path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")
