"""Who speaks in one file, where that was asked: heard beside the transcription, from decoding on, or in its shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.speakers.stage import PartStage, RecordingPart, SpeakerStage
from gpu_job.speakers.turns import Turn
from gpu_job.transcription.setup import FileRequest, Pipeline
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import Voice


class FileSpeakers:
    """Of one file, or a shard of it. `begin`, `add`, `end` and `join` are the feeding thread's. Where nobody asked, it
    hears nothing."""

    def __init__(self, pipeline: Pipeline, request: FileRequest, on_done: Callable[[], None]) -> None:
        """`on_done`: called from any thread when all is heard, or could not be."""
        asked = request.asked
        self._pipeline = pipeline
        self._shard = request.shard
        self._is_cancelled = request.cancelled.is_set
        self._on_done = on_done
        self._count: SpeakerCount | None = asked.speakers if asked.tells_speakers_apart else None
        self._stage: SpeakerStage | None = None
        """Of a whole upload."""
        self._part: PartStage | None = None
        """Of a shard."""
        self._is_joined = False
        self._feedings = 0
        self._voices: dict[int, Voice] = {}

    @property
    def are_told_apart(self) -> bool:
        """Whether they are heard."""
        return self._count is not None

    def begin(self, begin: int, *, counts: bool = True) -> None:
        """Samples of the upload come, from this one on; again, where others came before. `counts`: whether anybody will
        ask what a shard heard."""
        self._feedings += 1
        self._stage, self._part, self._is_joined = None, None, False
        if self._count is None or not counts:
            return
        this, threads, model = self._feedings, self._pipeline.audit_threads, self._pipeline.speakers

        def is_cancelled() -> bool:
            return self._is_cancelled() or self._feedings != this

        if self._shard is None:
            self._stage = model.begin(threads, self._count, self._on_done, is_cancelled)
            return
        start, end = self._shard.start * SAMPLE_RATE, self._shard.end
        part = RecordingPart(begin, start, None if end is None else end * SAMPLE_RATE)
        self._part = model.begin_part(threads, part, self._count, self._on_done, is_cancelled)

    def add(self, samples: Samples) -> None:
        """The next samples. May block."""
        if (heard := self._stage or self._part) is not None:
            heard.add(samples)

    @property
    def has_all(self) -> bool:
        """Whether no more samples are needed of what lies behind a shard."""
        return self._part is None or self._part.has_all

    def end(self, *, is_left: bool) -> None:
        """No more samples will come. `is_left`: of a shard, behind which the recording goes on."""
        if self._stage is not None:
            self._stage.end()
        elif self._part is not None:
            self._part.end(is_left=is_left)

    def join(self, parts: Iterable[bytes], frames: int) -> None:
        """Instead of samples: what the shards of an upload of so many heard, each as `packed` has it, in order. Raises
        ValueError where that is not all of it."""
        if self._count is not None:
            self._stage = self._pipeline.speakers.join(parts, frames, self._count)
            self._is_joined = True

    def packed(self) -> bytes | None:
        """What a complete shard heard; None where nobody asked, or it could not be heard."""
        return None if self._part is None else self._part.packed()

    @property
    def is_done(self) -> bool:
        """Whether all is heard, or will not be."""
        heard = self._stage or self._part
        return heard is None or heard.is_done

    @property
    def busy_seconds(self) -> float | None:
        """Time that hearing took, of all threads together; None where nothing was heard here."""
        heard = self._stage or self._part
        return None if heard is None or self._is_joined else heard.busy_seconds

    def turns(self) -> list[Turn] | None:
        """Who spoke when; None where that is not known. Ask once, when it is done: `voices` has theirs from then on."""
        turns = None if self._stage is None else self._stage.turns()
        self._voices = {} if self._stage is None or not turns else self._stage.voices(turns)
        return turns

    @property
    def voices(self) -> Mapping[int, Voice]:
        """What the speakers sound like, by number."""
        return self._voices
