"""A trial of models where nobody says the language: each hears the first speech, and the surest one hears the rest.

A model is less sure of a language that it does not know (docs/results.md has figures). Where none is sure, the model
for any other language hears it, which says nothing of how sure it is and so has no trial of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import ensure_word_start, words_of
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from gpu_job.engines.speech_models import TrialModels
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.transcript.quality import LOW_CONFIDENCE

_log = logging.getLogger(__name__)

CLEARLY_SURER = 0.02
"""By so much surer has a model to be than the one before it in the table: of a language that both know, their mean
confidences differ by less."""

MOST_AUDIO = 5.0
"""Audio per second of speech that is waited for: what waits lies in memory, 19 MB with a trial of 60 s."""

LEAST_WORDS = 10
"""Fewer words, of all chunks of the trial, say nothing."""

_POLL_SECONDS = 0.5

SubmitTrial = Callable[[int, Chunk, SpeechModel | None, Callable[[ChunkResult], None]], None]
"""Has a chunk of a channel heard by a model. May block. Raises EngineFailed."""

Heard = Mapping[tuple[int, int], ChunkResult]
"""Results by channel and first sample."""


@dataclass(frozen=True)
class TrialChoice:
    """What came of a trial."""

    model: SpeechModel
    heard: Heard
    """What it heard in the trial."""


@dataclass
class _Results:
    """As they arrive, on the engines' threads."""

    waiting: int
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    by_model: dict[SpeechModel, dict[tuple[int, int], ChunkResult]] = field(default_factory=dict)

    def add(self, model: SpeechModel, place: tuple[int, int], result: ChunkResult) -> None:
        with self.lock:
            self.by_model.setdefault(model, {})[place] = result
            self.waiting -= 1
            if self.waiting == 0:
                self.done.set()


class LanguageTrial:
    """Of one file; used by the thread that feeds it, which waits for the models meanwhile."""

    def __init__(self, models: TrialModels, max_seconds: float, submit: SubmitTrial, check: Callable[[], None]) -> None:
        """`max_seconds`: of speech. `check`: called now and then while it waits; raises what ends the transcription."""
        self._models = models
        self._max_seconds = max_seconds
        self._submit = submit
        self._check = check
        self._speech_seconds = self._audio_seconds = 0.0
        self.chunks: list[tuple[int, Chunk]] = []
        """That wait for its end, with their channels, in the order in which they were cut."""

    def add(self, channel: int, chunk: Chunk) -> None:
        """One more chunk, which waits for the end of the trial."""
        self.chunks.append((channel, chunk))
        length = seconds(len(chunk.samples))
        self._audio_seconds += length
        self._speech_seconds += length * chunk.speech_share

    @property
    def is_full(self) -> bool:
        """Whether there is as much speech as the models are to hear, or hardly any comes."""
        return self._speech_seconds >= self._max_seconds or self._audio_seconds >= MOST_AUDIO * self._max_seconds

    def decide(self) -> TrialChoice | None:
        """Have all models hear the chunks. None where no model says how sure it is.

        Raises what `check` raises."""
        results = _Results(len(self.chunks) * len(self._models.known))
        for model in self._models.known:
            for channel, chunk in self.chunks:
                place = channel, chunk.start
                try:
                    self._submit(channel, chunk, model, partial(results.add, model, place))
                except EngineFailed as error:
                    results.add(model, place, _failed(channel, chunk, error))
        while results.waiting and not results.done.wait(_POLL_SECONDS):
            self._check()
        chosen = choose(self._models, results.by_model)
        return None if chosen is None else TrialChoice(chosen, results.by_model.get(chosen, {}))


def choose(models: TrialModels, heard: Mapping[SpeechModel, Heard]) -> SpeechModel | None:
    """The model that a file is heard with. Pure."""
    sure = {model: confidence(heard[model]) for model in models.known if model in heard}
    best: SpeechModel | None = None
    for model, mean in sure.items():
        before = None if best is None else sure[best]
        if mean is not None and (before is None or mean > before + CLEARLY_SURER):
            best = model
    fields = {"sure": {model.name: round(mean, 3) for model, mean in sure.items() if mean is not None}}
    if best is not None and (sure[best] or 0.0) < LOW_CONFIDENCE:
        has_failed = any(result.failure is not None for each in heard.values() for result in each.values())
        # One that could not be asked may be the right one: as without a trial, other engines then have its chunks.
        best = models.other or (None if has_failed else best)
    _log.info("models heard the first speech", extra={"fields": {**fields, "chosen": best and best.name}})
    return best


def confidence(heard: Heard) -> float | None:
    """Mean of the words' confidences; None where a chunk failed, there are too few words, or a model gives none."""
    if any(result.failure is not None for result in heard.values()):
        return None
    words = [word for result in heard.values() for word in words_of(ensure_word_start(result.tokens))]
    known = [word.confidence for word in words if word.confidence is not None]
    return fmean(known) if len(known) == len(words) >= LEAST_WORDS else None


def _failed(channel: int, chunk: Chunk, error: EngineFailed) -> ChunkResult:
    return ChunkResult(chunk.start, chunk.end, Engine.PARAKEET_CPU, failure=error.reason, channel=channel)
