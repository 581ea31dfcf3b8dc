"""How fast one execution was: its start-up, its model, its decoders, and its telling speakers apart. Quotes learn
from it (`shared/costs/speeds.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_job.asr.batch_fill import Fill
from gpu_job.asr.recognizer import SpeechModel
from gpu_job.engines.task import Task
from shared.costs.speeds import (
    SHORTEST_DECODED_SECONDS,
    SHORTEST_HEARD_SECONDS,
    AudioInSeconds,
    Figures,
    execution_figures,
)

_NOTHING = AudioInSeconds(0.0, 0.0)


class ShownSpeeds:
    """Not safe for threads: its user has a lock."""

    def __init__(self, own_model: str) -> None:
        """`own_model`: the deployment's; others have speeds of their own."""
        self._own_model = own_model
        self.startup_seconds: float | None = None
        """Until the first batch; None: none ran yet."""
        self._batches = _NOTHING
        """Of the deployment's own model, on the shape's own engine."""
        self._other_models: dict[str, AudioInSeconds] = {}
        self._decoding = _NOTHING
        """While nothing else held the decoders up."""
        self._speakers = _NOTHING
        self._fill = Fill()

    def fill(self, tasks: Sequence[Task]) -> None:
        """A batch of these tasks ran, on whatever engine."""
        self._fill += Fill.of([len(task.chunk.samples) for task in tasks])

    def batch(self, model: SpeechModel | None, audio_seconds: float, seconds: float) -> None:
        """The shape's own engine ran a batch, beside no other one. A batch is of one model; None: the own one."""
        if model is None or model.name == self._own_model:
            self._batches = _sum(self._batches, audio_seconds, seconds)
        else:
            before = self._other_models.get(model.name, _NOTHING)
            self._other_models[model.name] = _sum(before, audio_seconds, seconds)

    def decoding(self, audio_seconds: float, seconds: float) -> None:
        """An upload was decoded. One that is too short shows nothing."""
        if audio_seconds >= SHORTEST_DECODED_SECONDS:
            self._decoding = _sum(self._decoding, audio_seconds, seconds)

    def speakers(self, audio_seconds: float, seconds: float) -> None:
        """Speakers of an upload were told apart. One that is too short shows nothing."""
        if audio_seconds >= SHORTEST_HEARD_SECONDS:
            self._speakers = _sum(self._speakers, audio_seconds, seconds)

    def figures(self, device: str) -> Figures:
        """For quotes and launch plans."""
        return execution_figures(
            device,
            startup_seconds=self.startup_seconds,
            audio_seconds=self._batches.audio_seconds,
            engine_seconds=self._batches.seconds,
            models=self._other_models,
            decode_audio_seconds=self._decoding.audio_seconds,
            decode_seconds=self._decoding.seconds,
            speakers_audio_seconds=self._speakers.audio_seconds,
            speakers_seconds=self._speakers.seconds,
        )

    def log_fields(self) -> dict[str, float | None]:
        """For the log. Metrics out of the logs read them by these names."""
        return {
            "startup_seconds": self.startup_seconds,
            "engine_seconds": self._batches.seconds,
            "audio_seconds": self._batches.audio_seconds,
            "decode_seconds": self._decoding.seconds,
            "decode_audio_seconds": self._decoding.audio_seconds,
            "speakers_seconds": self._speakers.seconds,
            "speakers_audio_seconds": self._speakers.audio_seconds,
            "batch_fill": self._fill.share,
        }


def _sum(before: AudioInSeconds, audio_seconds: float, seconds: float) -> AudioInSeconds:
    return AudioInSeconds(before.audio_seconds + audio_seconds, before.seconds + seconds)
