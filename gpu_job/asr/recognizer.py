"""The seam between an engine and the library that runs its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import Samples
from shared.enums import Engine


class Recognizer(Protocol):
    """A loaded model, whose work comes in three stages."""

    @property
    def name(self) -> str: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def hardware(self) -> str:
        """What it runs on: batches that are safe there are remembered for it."""

    batch_limits: BatchLimits

    def prepare(self, batch: Sequence[Samples]) -> Any:
        """Chunks -> what `run` takes. From any thread."""

    def run(self, prepared: Any) -> Any:
        """The model's own work, on the engine's thread only."""

    def finish(self, output: Any) -> list[list[Token]]:
        """What `run` gave -> the tokens of each chunk, in seconds from its start. From any thread."""
