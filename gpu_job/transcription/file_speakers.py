"""Who speaks in one file, where that was asked: heard beside the transcription, from decoding on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpu_job.audio.samples import Samples
from gpu_job.speakers.stage import SpeakerStage
from gpu_job.speakers.turns import Turn
from gpu_job.transcription.setup import FileRequest, Pipeline
from shared.voices.model import Voice


class FileSpeakers:
    """`add` and `end` are the feeding thread's. Where nobody asked, and of a shard, it hears nothing."""

    def __init__(self, pipeline: Pipeline, request: FileRequest, on_done: Callable[[], None]) -> None:
        """`on_done`: called from any thread when all is heard, or could not be."""
        asked = request.asked
        self._stage: SpeakerStage | None = None
        if asked.speakers is not None and asked.tells_speakers_apart and request.shard is None:
            threads, is_cancelled = pipeline.audit_threads, request.cancelled.is_set
            self._stage = pipeline.speakers.begin(threads, asked.speakers, on_done, is_cancelled)
        self._voices: dict[int, Voice] = {}

    @property
    def are_told_apart(self) -> bool:
        """Whether they are heard."""
        return self._stage is not None

    def add(self, samples: Samples) -> None:
        """The next samples. May block."""
        if self._stage is not None:
            self._stage.add(samples)

    def end(self) -> None:
        """No more samples will come."""
        if self._stage is not None:
            self._stage.end()

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""
        return self._stage is None or self._stage.is_done

    @property
    def busy_seconds(self) -> float | None:
        """Time that it took, of all threads together; None where it was not asked."""
        return None if self._stage is None else self._stage.busy_seconds

    def turns(self) -> list[Turn] | None:
        """Who spoke when; None where that is not known. Ask once, when it is done: `voices` has theirs from then on."""
        turns = None if self._stage is None else self._stage.turns()
        self._voices = {} if self._stage is None or not turns else self._stage.voices(turns)
        return turns

    @property
    def voices(self) -> Mapping[int, Voice]:
        """What the speakers sound like, by number."""
        return self._voices
