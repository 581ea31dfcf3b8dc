"""In which language each word is, by the words themselves: the likeliest course of languages through a recording. Pure.

A sentence alone may read like another language: names, loanwords, a few short words. So a change of language costs: it
is taken for one only where the words of some sentences, or their script, outweigh that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from shared.languages.choice import UNDETERMINED
from shared.transcript.model import Passage, TranscriptWarning, WarningCode, Word

CHANGE_NATS = 20.0
"""Cost of a change of language. Of py3langid's scores a sentence of six words is some 30 ahead in its own language
(median; 5 % of such sentences are less than 5 ahead), two of them are 75: a change for one sentence, there and back,
does not pay, one for two does. Another script is hundreds ahead."""

LEAST_LETTERS = 20
"""Of a stretch that is looked at by itself: shorter ones go with what follows."""

MOST_LETTERS = 300
"""A stretch without an end of a sentence is cut here: a language may change in it."""

PAUSE_SECONDS = 1.0
"""Such a pause ends a stretch: engines hear what is behind it anew."""

FLIP_SECONDS = 45.0
"""Longer stretches in another language than what is around them are believed: a chunk has 30 s and shares its words
with its neighbours."""

_SENTENCE_ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01", "\u061f", "\u0964")
"""Full stops and marks of European, Chinese and Japanese, Arabic, and Hindi writing."""

LESS_SURE = 0.02
"""By so much lower is the words' mean confidence where a model hears a language that is not spoken: it loses 0.1 and
more on speech it does not know (docs/results.md)."""

LogProbabilities = Callable[[str], Mapping[str, float]]
"""Of a text, by language; what all have in common does not matter."""


@dataclass(frozen=True)
class Flip:
    """A short stretch in another language than what is around it, which the engine was less sure of."""

    start: float
    """Seconds."""
    end: float
    language: str
    around: str
    """The language before and behind it."""


@dataclass(frozen=True)
class SpokenLanguages:
    """What was found."""

    passages: Sequence[Passage]
    """As given, each with the language of its words."""
    language: str
    """Of most letters; UNDETERMINED where there are no words."""
    flips: tuple[Flip, ...] = ()

    @property
    def warnings(self) -> tuple[TranscriptWarning, ...]:
        """For the reader of the transcript."""
        if not self.flips:
            return ()
        first = self.flips[0]
        message = (
            f"Short stretches ({len(self.flips)}) are in another language than what is around them, and the model was"
            f" less sure of them: the first, {first.language} within {first.around}, at {first.start:.0f} s."
        )
        return (TranscriptWarning(code=WarningCode.LANGUAGE_FLIPS, message=message),)


@dataclass(frozen=True)
class _Stretch:
    places: Sequence[int]
    """Of its words among all."""
    words: Sequence[Word]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def letters(self) -> int:
        return sum(len(word.text) for word in self.words)


def find_languages(passages: Sequence[Passage], log_probabilities: LogProbabilities) -> SpokenLanguages:
    """Passages in time order, of any number of speakers, each of whom has a language of their own."""
    words = [word for passage in passages for word in passage.words]
    by_speaker: dict[int | None, list[int]] = {}
    for place, word in enumerate(words):
        by_speaker.setdefault(word.speaker, []).append(place)
    languages: dict[int, str] = {}
    letters: Counter[str] = Counter()
    flips: list[Flip] = []
    for places in by_speaker.values():
        stretches = list(_stretches(words, places))
        course = likeliest_course([log_probabilities(stretch.text) for stretch in stretches])
        flips.extend(_flips(stretches, course))
        for stretch, language in zip(stretches, course, strict=True):
            letters[language] += stretch.letters
            languages.update(dict.fromkeys(stretch.places, language))
    most = letters.most_common(1)
    return SpokenLanguages(
        list(_with_languages(passages, languages)),
        most[0][0] if most else UNDETERMINED,
        tuple(sorted(flips, key=lambda flip: flip.start)),
    )


def likeliest_course(scores: Sequence[Mapping[str, float]]) -> list[str]:
    """The language of each stretch by Viterbi's algorithm, where each change costs CHANGE_NATS."""
    totals: dict[str, float] = {}
    steps: list[dict[str, str]] = []
    for score in scores:
        if not score:
            score = {UNDETERMINED: 0.0}
        best = max(totals, key=lambda language: totals[language], default=None)
        before: dict[str, str] = {}
        after: dict[str, float] = {}
        for language, here in score.items():
            stay = totals.get(language, float("-inf"))
            change = totals[best] - CHANGE_NATS if best is not None else 0.0
            before[language] = language if stay >= change or best is None else best
            after[language] = here + max(stay, change)
        totals = after
        steps.append(before)
    course: list[str] = []
    language = max(totals, key=lambda one: totals[one], default=UNDETERMINED)
    for before in reversed(steps):
        course.append(language)
        language = before[language]
    return course[::-1]


def _stretches(words: Sequence[Word], places: Sequence[int]) -> Iterator[_Stretch]:
    """Of one speaker's words: sentences, or what pauses end."""
    inside: list[int] = []
    letters = 0
    for number, place in enumerate(places):
        inside.append(place)
        letters += len(words[place].text)
        if letters < LEAST_LETTERS or number + 1 == len(places):
            continue
        following = words[places[number + 1]]
        is_end = words[place].text.endswith(_SENTENCE_ENDS) or following.start - words[place].end >= PAUSE_SECONDS
        if is_end or letters >= MOST_LETTERS:
            yield _Stretch(inside, [words[one] for one in inside])
            inside, letters = [], 0
    if inside:
        yield _Stretch(inside, [words[one] for one in inside])


def _flips(stretches: Sequence[_Stretch], course: Sequence[str]) -> Iterator[Flip]:
    """Runs of stretches between two of one other language, short, and of which the engine was less sure."""
    runs = [[index for index, _ in run] for _, run in groupby(enumerate(course), key=lambda one: one[1])]
    for before, run, after in zip(runs, runs[1:], runs[2:], strict=False):
        around = course[before[-1]]
        if course[after[0]] != around:
            continue
        start, end = stretches[run[0]].words[0].start, stretches[run[-1]].words[-1].end
        inside = _confidence(stretches[index] for index in run)
        outside = _confidence(stretches[index] for index in (*before, *after))
        if end - start <= FLIP_SECONDS and (inside is None or outside is None or inside < outside - LESS_SURE):
            yield Flip(start, end, course[run[0]], around)


def _confidence(stretches: Iterable[_Stretch]) -> float | None:
    known = [word.confidence for stretch in stretches for word in stretch.words if word.confidence is not None]
    return fmean(known) if known else None


def _with_languages(passages: Sequence[Passage], languages: Mapping[int, str]) -> Iterator[Passage]:
    place = 0
    for passage in passages:
        placed = [(languages[place + number], word) for number, word in enumerate(passage.words)]
        place += len(passage.words)
        for language, group in groupby(placed, key=lambda one: one[0]):
            yield Passage(passage.engine, [word for _, word in group], language)
