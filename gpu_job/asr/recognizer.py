"""The seam between an engine and the library that runs its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import Samples
from shared.enums import Engine
from shared.keyterms.terms import Keyterm


@dataclass(frozen=True)
class SpeechModel:
    """What chunks are heard with. Those with equal ones may be one batch."""

    name: str
    """As settings and tables name it: published, a `.nemo` file, a folder."""
    language: str | None = None
    """BCP 47 tag, of a model that is told it; None: it is not told, or finds out by itself."""


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


@runtime_checkable
class TakesMemory(Protocol):
    """A recognizer that knows how much memory it takes."""

    @property
    def memory_bytes(self) -> int:
        """Beside what its batches take: of the GPU, or of the process."""


class LeftOut(NamedTuple):
    """Terms that are not favoured."""

    phrases: tuple[str, ...]
    reason: str
    """Empty where there are none."""


@runtime_checkable
class TakesKeyterms(Protocol):
    """A recognizer whose decoder can favour key terms."""

    def prepare_with_keyterms(self, batch: Sequence[Samples], terms: Sequence[tuple[Keyterm, ...]]) -> Any:
        """As `Recognizer.prepare`, with the terms of each chunk's upload. Where one has none, its words are as ever."""

    def left_out(self, terms: tuple[Keyterm, ...]) -> LeftOut:
        """The terms that it does not favour. From any thread."""


@runtime_checkable
class ToldLanguage(Protocol):
    """A model that is told the language of what it hears."""

    def in_language(self, language: str) -> Recognizer:
        """The same loaded model for one language, a BCP 47 tag."""
