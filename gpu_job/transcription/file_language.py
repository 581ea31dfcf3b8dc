"""Which model hears a file, and whether what it heard is in the file's language: a trial before, a guard behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.assembly.assemble import ChunkResult, FindLanguages
from gpu_job.audio.chunker import Chunk
from gpu_job.languages.chunk_flips import FlipHeardAgain
from gpu_job.languages.spoken import SpokenLanguages, find_languages
from gpu_job.languages.text_languages import TextLanguages
from gpu_job.transcription.chunk_results import ChunkResults
from gpu_job.transcription.chunk_tasks import ChunkTasks
from gpu_job.transcription.language_guard import GuardModels, LanguageGuard
from gpu_job.transcription.language_trial import LanguageTrial
from gpu_job.transcription.setup import FileRequest, Pipeline
from shared.enums import Engine
from shared.languages.choice import UNDETERMINED, deployment_language, primary_language
from shared.transcript.model import Passage


def first_model(pipeline: Pipeline, request: FileRequest) -> SpeechModel | None:
    """What a file is heard with until a trial decides; None: with the engine's own model."""
    models = pipeline.options.speech_models
    return request.model or (None if models is None else models.of(request.asked.language))


class FileLanguage:
    """Of one file. `takes`, `decide`, `end` and `leave` are the feeding thread's."""

    def __init__(
        self,
        pipeline: Pipeline,
        request: FileRequest,
        results: ChunkResults,
        tasks: ChunkTasks,
        *,
        deliver: Callable[[Chunk, ChunkResult], None],
        on_done: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        """`deliver`: takes what a trial's model heard, as if it had just come. `on_done`: called once what is heard
        again is there. `check`: called now and then while models are on trial; raises what ends the transcription."""
        self._pipeline = pipeline
        self._results = results
        self._tasks = tasks
        self._deliver = deliver
        self._on_done = on_done
        self._check = check
        self._is_cancelled = request.cancelled.is_set
        self._asked = request.asked.language or deployment_language(pipeline.options.language)
        self._is_by_trial = False
        # Of a shard's audio nobody knows whether it is like the rest; a re-hearing of the result knows its model.
        may_try = request.shard is None and request.model is None
        self._trial = self._new_trial(request) if may_try else None
        self._guard = self._new_guard() if request.shard is None and self._trial is None else None

    @property
    def model(self) -> SpeechModel | None:
        """What the file is heard with; None: with the engine's own model."""
        return self._tasks.model

    @property
    def stated(self) -> str:
        """The language by what was asked, `und` where that is not one."""
        return self._asked.known or UNDETERMINED

    # The feeding thread: which model hears the file.

    def takes(self, channel: int, chunk: Chunk) -> bool:
        """A chunk was cut. True: models on trial hear it first, and it is submitted behind that; may block."""
        if self._trial is None:
            if self._guard is not None:
                self._guard.cut(channel, chunk)
            return False
        self._trial.add(channel, chunk)
        if self._trial.is_full:
            self.decide()
        return True

    def decide(self) -> None:
        """Where there is a trial still: have the models hear what was cut, choose one, go on with it. Blocks."""
        if self._trial is None:
            return
        trial, self._trial = self._trial, None
        choice = trial.decide() if trial.chunks else None
        if choice is not None:
            self._hear_with(choice.model)
        self._guard = self._new_guard()
        for channel, chunk in trial.chunks:
            if self._guard is not None:
                self._guard.cut(channel, chunk)
            heard = None if choice is None else choice.heard.get((channel, chunk.start))
            if heard is None or heard.failure is not None:
                self._tasks.submit(channel, chunk, None)
            else:
                self._deliver(chunk, heard)

    def end(self) -> None:
        """The last chunk was cut."""
        if self._guard is not None:
            self._guard.end()

    def leave(self) -> None:
        """Nothing will be heard again: there is no audio of it."""
        self._guard = None

    def would_ask(self, results: Iterable[ChunkResult]) -> bool:
        """Whether something would be heard again in a file of these chunks."""
        return self._guard is not None and self._guard.would_ask(results)

    # The engines' threads: what is heard again.

    def marked(self, result: ChunkResult) -> ChunkResult:
        """A result with the model that a trial chose, by which another attempt knows it."""
        return replace(result, model=self.model.name) if self._is_by_trial and self.model is not None else result

    def add(self, chunk: Chunk, result: ChunkResult) -> None:
        """A chunk has its result."""
        if self._guard is not None:
            self._guard.add(chunk, result)

    def ask_once(self) -> None:
        """All chunks have their results: have what is in another language heard again."""
        if self._guard is not None:
            self._guard.ask_once()

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be heard again any more."""
        return self._guard is None or self._guard.is_done

    @property
    def flips(self) -> Sequence[FlipHeardAgain]:
        """What was heard again."""
        return () if self._guard is None else self._guard.found

    # The transcript.

    @property
    def finder(self) -> FindLanguages | None:
        """Finds the languages of a text; None where the language is known."""
        return None if self._asked.known else self._find

    def _find(self, passages: Sequence[Passage]) -> SpokenLanguages:
        return find_languages(passages, TextLanguages(self._candidates()).log_probabilities)

    def _candidates(self) -> tuple[str, ...]:
        """Those that the owner names, where they are several, or else that the model has; none: any."""
        models = self._pipeline.options.speech_models
        named = () if self._asked.known else self._asked.codes
        return named or (() if models is None else models.languages_of(self.model))

    def _new_guard(self) -> LanguageGuard | None:
        """None where the model has one language, or is told it."""
        options, engines = self._pipeline.options, self._pipeline.engines
        models, known = GuardModels(self.model, options.speech_models, engines.holds), self._asked.known
        codes = self._candidates()
        is_sure = len(codes) == 1 if known is None else len(codes) < 2 or models.is_told
        if options.guard is None or is_sure:
            return None
        return LanguageGuard(
            options.guard,
            TextLanguages(codes).log_probabilities,
            None if known is None else primary_language(known),
            models,
            self._pipeline.audit_threads,
            submit=self._tasks.submit_again,
            on_done=self._on_done,
            is_cancelled=self._is_cancelled,
        )

    def _new_trial(self, request: FileRequest) -> LanguageTrial | None:
        """None where there is no choice of models, or nothing is to be tried, or an earlier attempt did."""
        options, engines = self._pipeline.options, self._pipeline.engines
        if options.speech_models is None or options.trial_seconds <= 0:
            return None
        if (chosen := self._results.stored_model) is not None:
            self._hear_with(SpeechModel(chosen))
            return None
        is_on_gpu = engines.engine is Engine.PARAKEET_GPU
        on_trial = options.speech_models.on_trial(request.asked.language, on_gpu=is_on_gpu)
        if on_trial is None or self._results.has_stored:
            return None
        return LanguageTrial(on_trial, options.trial_seconds, self._tasks.submit_again, self._check)

    def _hear_with(self, model: SpeechModel) -> None:
        self._tasks.model = model
        self._is_by_trial = True
