"""How full batches are: the audio in them, and the room they take with the padding. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpu_job.audio.samples import seconds


@dataclass(frozen=True)
class Fill:
    """One batch, or the sum of several. All in seconds."""

    audio_seconds: float = 0.0
    padded_seconds: float = 0.0
    """Chunks times the longest of them, as the model computes them."""

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Fill:
        """A batch of chunks of so many samples each."""
        return cls(seconds(sum(lengths)), seconds(len(lengths) * max(lengths, default=0)))

    def __add__(self, other: Fill) -> Fill:
        return Fill(self.audio_seconds + other.audio_seconds, self.padded_seconds + other.padded_seconds)

    @property
    def share(self) -> float | None:
        """Audio's share, 0 to 1; None where there was no batch."""
        return self.audio_seconds / self.padded_seconds if self.padded_seconds > 0 else None
