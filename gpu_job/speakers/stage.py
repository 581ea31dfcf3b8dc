"""What the pipeline asks of whatever tells speakers apart: a model for the process, and a stage for each recording, or
for each part of one.

`diarizer.py` has the built-in one, of two small networks. Another one implements these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

from gpu_job.audio.samples import Samples
from gpu_job.speakers.turns import Turn
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import Voice


class RecordingPart(NamedTuple):
    """A part of a recording that is heard by itself. In samples of the recording."""

    begin: int
    """The first one that comes; `start` at the latest."""
    start: int
    """Where the part begins: what comes before is another one's."""
    stop: int | None
    """Where the next part begins; None: it reaches to the end. Some of what comes behind it is needed, too."""


WHOLE_RECORDING = RecordingPart(0, 0, None)


class PartStage(Protocol):
    """One part's. `add` and `end` are the feeding thread's."""

    def add(self, samples: Samples) -> None:
        """The next samples. May block where the stage cannot keep up."""

    def end(self, *, is_left: bool = False) -> None:
        """No more samples will come; `is_left`: though the recording goes on."""

    @property
    def has_all(self) -> bool:
        """Whether all samples came that the part needs, also from behind it; never of a part that reaches to the
        end."""

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""

    @property
    def busy_seconds(self) -> float:
        """Time that it computed until now, of all its threads together."""

    def packed(self) -> bytes | None:
        """What was heard, for `SpeakerModel.join`; None where it could not be. Ask when it is done."""


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

    def begin_part(
        self,
        threads: Executor,
        part: RecordingPart,
        count: SpeakerCount,
        done: Callable[[], None],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> PartStage | None:
        """The stage of a part, as of `begin`; None where the model would hear such a recording as a whole only."""

    def join(self, parts: Iterable[bytes], samples: int, count: SpeakerCount) -> SpeakerStage:
        """The stage of a recording of so many samples, done: all of its parts were heard, and are given in order.
        Raises ValueError where they are not all of them, or another version's."""
