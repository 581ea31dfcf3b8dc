"""Safe batch sizes in the state bucket: what one worker learned about its GPU's memory, the next one starts with."""

from __future__ import annotations

import re

from google.cloud.storage import Bucket
from pydantic import BaseModel, PositiveInt

from gpu_job.asr.batching import SafeSizes
from shared import objects


class _Stored(BaseModel):
    safe: dict[int, PositiveInt] = {}
    """Seconds of the longest chunk -> chunks."""


class SafeSizeStore:
    """The sizes known for a model on one kind of device."""

    def __init__(self, bucket: Bucket, hardware: str, model: str) -> None:
        self._bucket = bucket
        self._name = f"engines/{_path_part(hardware)}/{_path_part(model)}.json"

    def load(self) -> SafeSizes:
        """What is known. Content that cannot be read counts as none."""
        return SafeSizes(objects.read_json(self._bucket, self._name, _Stored(), replace_unreadable=True).safe)

    def remember(self, sizes: SafeSizes) -> SafeSizes:
        """Add to what is known; what is known then. Raises StateConflict where too many write at once."""

        def merged(stored: _Stored) -> _Stored:
            return _Stored(safe=dict(SafeSizes(stored.safe).merged(sizes).sizes))

        return SafeSizes(objects.update_json(self._bucket, self._name, _Stored(), merged, replace_unreadable=True).safe)


def _path_part(name: str) -> str:
    """A name as one part of an object's path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")
