"""What a trial of models adds to a quote: before the rest, others than the upload's own model hear its first speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath


@dataclass(frozen=True)
class HeardBeside:
    """Models that hear the first speech of an upload beside the one that it is quoted with, on one job.

    Which they are: `shared/languages/trial.py`.
    """

    max_seconds: float = 0.0
    """Of speech. Quotes know of no silence: they have as much audio."""
    x_real_time: Mapping[str, float] = field(default_factory=dict)
    """Seconds of audio in a second, by the model's name."""

    def seconds(self, audio_seconds: float) -> float:
        """For an upload of so much audio: they hear it one after the other."""
        return sum(spent for _, spent in self.lines(audio_seconds))

    def lines(self, audio_seconds: float) -> list[tuple[str, float]]:
        """The same by model: what a bill says of it, and its seconds."""
        heard = min(audio_seconds, self.max_seconds)
        return [
            (f"{heard:.0f} s by {PurePath(model).name}", heard / x_real_time)
            for model, x_real_time in self.x_real_time.items()
        ]


NO_TRIAL = HeardBeside()
