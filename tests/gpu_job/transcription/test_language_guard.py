"""Chunks in another language than those around them are heard again, within a limit, and the better words are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult, chunk_result
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.speech_models import SpeechModels
from gpu_job.languages.chunk_flips import FlipHeardAgain, Way
from gpu_job.languages.text_languages import TextLanguages
from gpu_job.transcription.language_guard import GuardModels, GuardRules, LanguageGuard
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.languages.models import LanguageModels
from shared.languages.table import LanguageTable
from tests.support.waiting import PATIENCE

GERMAN = "Sabine kauft heute zwanzig rote Blumen. Wer sucht jetzt die alten Bücher im Garten?"
ENGLISH = "We opened the small window again. Where is the doctor who called you yesterday?"
CHUNK_SECONDS = 20
TABLE = SpeechModels("many", LanguageTable(models=LanguageModels.parse("german=de;english=en;many=de en fr")))
MANY = SpeechModel("many")


def spoken(text: str, sure: float, begin: float = 0.0) -> list[Token]:
    return [Token(f" {word}", begin + at, begin + at + 0.5, sure) for at, word in enumerate(text.split())]


@dataclass
class Guarded:
    """A guard of a recording of some chunks, of which a stand-in for the engines hears what `answer` says."""

    answer: Callable[[Chunk, SpeechModel | None], Sequence[Token]]
    """In seconds of the upload."""
    threads: ThreadPoolExecutor
    models: GuardModels = field(default_factory=lambda: GuardModels(MANY, TABLE, lambda model: True))
    rules: GuardRules = field(default_factory=GuardRules)
    known: str | None = None
    asked: list[tuple[str, float, float]] = field(default_factory=list)
    """Model, beginning and end in seconds."""
    would_ask: bool = False
    """What the guard says of the results alone."""

    def submit(
        self, channel: int, audio: Chunk, model: SpeechModel | None, deliver: Callable[[ChunkResult], None]
    ) -> None:
        name = "" if model is None else f"{model.name}{'' if model.language is None else f':{model.language}'}"
        self.asked.append((name, audio.start / SAMPLE_RATE, audio.end / SAMPLE_RATE))
        later = [token.later(-audio.start / SAMPLE_RATE) for token in self.answer(audio, model)]
        deliver(chunk_result(audio, Engine.PARAKEET_CPU, later, channel))

    def hear(self, texts: Sequence[tuple[str, float]], order: Sequence[int] = ()) -> Sequence[FlipHeardAgain]:
        """Have chunks of these texts and confidences come back in some order, and the guard do its work."""
        done = threading.Event()
        guard = LanguageGuard(
            self.rules,
            TextLanguages(["de", "en", "fr"]).log_probabilities,
            self.known,
            self.models,
            self.threads,
            submit=self.submit,
            on_done=done.set,
            is_cancelled=lambda: False,
        )
        length = CHUNK_SECONDS * SAMPLE_RATE
        chunks = [Chunk(at * length, np.full(length, at, np.float32)) for at in range(len(texts))]
        for chunk in chunks:
            guard.cut(0, chunk)
        heard = zip(chunks, texts, strict=True)
        results = [chunk_result(chunk, Engine.PARAKEET_CPU, spoken(*said)) for chunk, said in heard]
        self.would_ask = guard.would_ask(results)
        for place in order or range(len(texts)):
            guard.add(chunks[place], chunk_result(chunks[place], Engine.PARAKEET_CPU, spoken(*texts[place])))
        guard.end()
        guard.ask_once()
        guard.ask_once()
        assert done.wait(PATIENCE)
        return guard.found


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


FLIPPED = [(GERMAN, 0.99), (ENGLISH, 0.8), (GERMAN, 0.99), (GERMAN, 0.99)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
@pytest.mark.parametrize("known", [None, "de"])
def test_a_flipped_chunk_is_heard_with_the_ends_of_its_neighbours(
    threads: ThreadPoolExecutor, order: Sequence[int], known: str | None
) -> None:
    def answer(audio: Chunk, model: SpeechModel | None) -> Sequence[Token]:
        assert [audio.samples[0], audio.samples[len(audio.samples) // 2], audio.samples[-1]] == [0, 1, 2]
        return [*spoken("Danke.", 0.9, 17.0), *spoken(GERMAN, 0.95, 20.0), *spoken("Bitte.", 0.9, 42.0)]

    guarded = Guarded(answer, threads, known=known)
    (found,) = guarded.hear(FLIPPED, order)
    assert guarded.asked == [("many", 15.0, 45.0)]
    assert guarded.would_ask
    assert (found.is_better, found.way, found.flipped.language, found.flipped.around) == (True, Way.CONTEXT, "en", "de")
    assert "".join(token.text for token in found.tokens).strip() == GERMAN
    assert (found.provenance.start, found.provenance.end, found.provenance.replaced) == (20.0, 40.0, True)


def test_the_model_of_the_language_around_is_asked_where_the_same_model_says_the_same_again(
    threads: ThreadPoolExecutor,
) -> None:
    def answer(audio: Chunk, model: SpeechModel | None) -> Sequence[Token]:
        return spoken(*((GERMAN, 0.95) if model == SpeechModel("german") else (ENGLISH, 0.8)), 20.0)

    guarded = Guarded(answer, threads)
    first, second = guarded.hear(FLIPPED)
    assert [name for name, _, _ in guarded.asked] == ["many", "german"]
    assert [(one.way, one.model, one.is_better) for one in (first, second)] == [
        (Way.CONTEXT, "many", False),
        (Way.MODEL, "german", True),
    ]


def test_a_model_that_is_not_in_memory_is_not_loaded_for_it(threads: ThreadPoolExecutor) -> None:
    guarded = Guarded(
        lambda audio, model: spoken(ENGLISH, 0.8, 20.0), threads, GuardModels(MANY, TABLE, lambda model: False)
    )
    (found,) = guarded.hear(FLIPPED)
    assert not found.is_better
    assert len(guarded.asked) == 1


def test_a_model_that_is_told_a_language_hears_the_chunk_alone(threads: ThreadPoolExecutor) -> None:
    models = GuardModels(SpeechModel("canary"), None, lambda model: True)
    guarded = Guarded(lambda audio, model: spoken(GERMAN, 0.9, 20.0), threads, models)
    (found,) = guarded.hear(FLIPPED)
    assert guarded.asked == [("canary:de", 20.0, 40.0)]
    assert (found.way, found.is_better) == (Way.TOLD, True)


def test_no_more_is_heard_again_than_is_allowed_the_second_model_included(threads: ThreadPoolExecutor) -> None:
    guarded = Guarded(lambda audio, model: spoken(ENGLISH, 0.8, 20.0), threads, rules=GuardRules(0.0, 45.0))
    guarded.hear(FLIPPED)
    assert guarded.asked == [("many", 15.0, 45.0)]
    nothing = Guarded(lambda audio, model: [], threads, rules=GuardRules(0.0, 0.0))
    assert nothing.hear(FLIPPED) == []
    assert nothing.asked == []


def test_an_engine_that_fails_leaves_the_first_words(threads: ThreadPoolExecutor) -> None:
    def answer(audio: Chunk, model: SpeechModel | None) -> Sequence[Token]:
        raise EngineFailed("It is gone.")

    assert Guarded(answer, threads).hear(FLIPPED) == []


def test_a_recording_in_one_language_is_not_heard_again(threads: ThreadPoolExecutor) -> None:
    guarded = Guarded(lambda audio, model: [], threads)
    assert guarded.hear([(GERMAN, 0.99)] * 4) == []
    assert not guarded.would_ask
    assert guarded.hear([]) == []
    assert guarded.asked == []
