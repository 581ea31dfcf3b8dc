"""Which chunks are in another language than those around them, and whether hearing them again made it better. Pure.

A model of several languages chooses one for each chunk anew, and is wrong at times: after a pause, in noise, at a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from statistics import fmean

from gpu_job.asr.tokens import Token, ensure_word_start, words_of
from gpu_job.audio.samples import seconds
from gpu_job.languages.spoken import CHANGE_NATS, FLIP_SECONDS, LEAST_LETTERS, LESS_SURE, likeliest_course
from shared.enums import Engine
from shared.transcript.model import LanguageFlip, Word

LogProbabilities = Callable[[str], Mapping[str, float]]
"""Of a text, by language; what all have in common does not matter."""

OTHER_MODEL_MARGIN = 0.1
"""By so much surer has another model to be: the confidences of two models do not mean quite the same. As of second
opinions (`gpu_job.assembly.second_opinion`)."""


class Way(StrEnum):
    """How a chunk was heard again."""

    CONTEXT = "context"
    """By the same model, with the ends of its neighbours."""
    TOLD = "told"
    """By the same model, told the language around."""
    MODEL = "model"
    """By the model of the language around."""


@dataclass(frozen=True)
class HeardChunk:
    """What is known of a chunk's words."""

    channel: int
    first: int
    end: int
    """Samples of the upload."""
    scores: Mapping[str, float]
    """Logarithm of each language's likelihood."""
    letters: int
    confidence: float | None
    """Mean of its words'; None where a word has none."""

    @property
    def language(self) -> str:
        """The likeliest."""
        return max(self.scores, key=lambda one: self.scores[one])

    def ahead_of(self, language: str) -> float:
        """By how many nats the likeliest language is likelier."""
        return self.scores[self.language] - self.scores.get(language, float("-inf"))


@dataclass(frozen=True)
class FlippedChunk:
    """A chunk in another language than those around it, of which the model was less sure."""

    heard: HeardChunk
    language: str
    around: str


@dataclass(frozen=True)
class FlipHeardAgain:
    """A flipped chunk, and what came of hearing it again. Token times in seconds of the upload."""

    flipped: FlippedChunk
    way: Way
    model: str
    """As settings name it."""
    engine: Engine
    tokens: Sequence[Token]
    confidence: float | None
    is_better: bool

    @property
    def provenance(self) -> LanguageFlip:
        """As the transcript has it."""
        heard = self.flipped.heard
        return LanguageFlip(
            start=seconds(heard.first),
            end=seconds(heard.end),
            language=self.flipped.language,
            around=self.flipped.around,
            confidence=heard.confidence,
            heard_again_by=self.model,
            way=self.way.value,
            heard_again_confidence=self.confidence,
            replaced=self.is_better,
        )


def heard_chunk(
    channel: int, first: int, end: int, tokens: Sequence[Token], log_probabilities: LogProbabilities
) -> HeardChunk | None:
    """What a chunk's words say; None where they are too few to say anything."""
    words = words_of(ensure_word_start(tokens))
    letters = sum(len(word.text) for word in words)
    if letters < LEAST_LETTERS:
        return None
    scores = log_probabilities(" ".join(word.text for word in words))
    return HeardChunk(channel, first, end, scores, letters, mean_confidence(words)) if scores else None


def flipped_chunks(chunks: Iterable[HeardChunk], known: str | None) -> list[FlippedChunk]:
    """Those to be heard again, of all channels. `known`: the one language that is spoken, without script and region, as
    the upload's owner says; None: it is to be found."""
    in_order = sorted(chunks, key=lambda one: (one.channel, one.first))
    flips: list[FlippedChunk] = []
    for _, group in groupby(in_order, key=lambda one: one.channel):
        of_channel = list(group)
        flips.extend(_not_in(of_channel, known) if known is not None else _between(of_channel))
    return flips


def is_better(flipped: FlippedChunk, again: HeardChunk | None, way: Way) -> bool:
    """Whether the words of the second hearing replace the first ones: they are in the language around, and the model is
    surer of them; another model has to be surer by OTHER_MODEL_MARGIN. Where nothing is known of that, the first ones
    stay: somebody may well have said something in another language."""
    if again is None or again.language != flipped.around:
        return False
    before, after = flipped.heard.confidence, again.confidence
    if before is None or after is None:
        return False
    return after - before >= OTHER_MODEL_MARGIN if way is Way.MODEL else after > before


def mean_confidence(words: Sequence[Word]) -> float | None:
    """Of the words that have one; None where none has."""
    known = [word.confidence for word in words if word.confidence is not None]
    return fmean(known) if known else None


def _not_in(chunks: Sequence[HeardChunk], known: str) -> list[FlippedChunk]:
    """Where the owner says the language, and most of the words are in it."""
    right = [one for one in chunks if one.language == known]
    if 2 * sum(one.letters for one in right) < sum(one.letters for one in chunks):
        return []  # the owner is mistaken, or the model does not know the language
    return [
        FlippedChunk(one, one.language, known)
        for one in chunks
        if one.ahead_of(known) >= CHANGE_NATS and _is_less_sure([one], right)
    ]


def _between(chunks: Sequence[HeardChunk]) -> list[FlippedChunk]:
    """Short runs of chunks in one language between two of another one, or at an end of the recording."""
    course = likeliest_course([one.scores for one in chunks])
    runs = [[chunks[index] for index, _ in group] for _, group in groupby(enumerate(course), key=lambda one: one[1])]
    languages = [language for language, _ in groupby(course)]
    flips: list[FlippedChunk] = []
    for number, run in enumerate(runs):
        beside = [other for other in (number - 1, number + 1) if 0 <= other < len(runs)]
        around = {languages[other] for other in beside}
        neighbours = [one for other in beside for one in runs[other]]
        # At an end of the recording one neighbour alone says what is around.
        is_less = _letters(run) * (3 - len(beside)) < _letters(neighbours)
        is_short = seconds(run[-1].end - run[0].first) <= FLIP_SECONDS
        if len(around) == 1 and is_short and is_less and _is_less_sure(run, neighbours):
            flips.extend(FlippedChunk(one, languages[number], next(iter(around))) for one in run)
    return flips


def _letters(chunks: Sequence[HeardChunk]) -> int:
    return sum(one.letters for one in chunks)


def _is_less_sure(run: Sequence[HeardChunk], others: Sequence[HeardChunk]) -> bool:
    """Where a model says nothing of that, nothing would say which of two hearings is the better one."""
    inside = [one.confidence for one in run if one.confidence is not None]
    outside = [one.confidence for one in others if one.confidence is not None]
    return bool(inside and outside) and fmean(inside) < fmean(outside) - LESS_SURE
