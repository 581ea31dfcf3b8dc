"""What the pipeline asks of whatever tells speakers apart: a model for the process, and a stage for each recording.

`diarizer.py` has the built-in one, of two small networks. Another one implements these two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from gpu_job.audio.samples import Samples
from gpu_job.speakers.turns import Turn
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import Voice


class SpeakerStage(Protocol):
    """One recording's. `add` and `end` are the feeding thread's."""

    def add(self, samples: Samples) -> None:
        """The next samples. May block where the stage cannot keep up."""

    def end(self) -> None:
        """No more samples will come."""

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""

    @property
    def busy_seconds(self) -> float:
        """Time that it computed until now, of all its threads together."""

    def turns(self) -> list[Turn] | None:
        """Who spoke when, by start; None where it could not be found out. Ask when it is done."""

    def voices(self, turns: Sequence[Turn]) -> dict[int, Voice]:
        """What the speakers of these turns sound like, by number; those who hardly speak alone have none. Empty where
        the model has no embeddings that can be compared with those of other recordings."""


class SpeakerModel(Protocol):
    """What all recordings share: loaded with the first of them."""

    def begin(
        self,
        threads: Executor,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> SpeakerStage:
        """The stage of a recording.

        `threads`: on which it computes. `count`: how many people speak, as far as that is known. `done`: called from
        any thread when all is heard, or could not be; behind `end`, check `is_done`. `is_cancelled`: whether nobody
        wants to know any more.
        """
