"""What turns say of a transcript: the speaker of each word, and where several speak at once. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise

from gpu_job.speakers.turns import Turn
from shared.transcript.model import Overlap, Passage, Speaker, Word
from shared.transcript.sentences import sentence_ends
from shared.transcript.speakers import NO_VOICES, KnownVoice, named_speakers
from shared.transcript.words import Words, rows_of

_NEAR_SECONDS = 0.5
"""A word outside of all turns is the nearest speaker's within this; beyond, nobody knows. Engines' word times and turns
differ by a few tenths of a second."""

_BORDER_SECONDS = 0.6
"""A turn that begins or ends inside a sentence, this close to the sentence's border, is taken to change there: people
rarely take over within a word or two of a sentence's end."""

_BACKWARD_SECONDS = 5.0
"""A word begins so long before one that is written before it at most: where chunks meet, times run back a little."""

_LEAST_WORD_SECONDS = 0.04
"""Engines give some words no length."""

_LEAST_OVERLAP_SECONDS = 0.15
"""As the shortest turn is: people who follow one another closely do not speak at once."""

_AS_LOUD = 0.5
"""Where two speak during a word, the second of them is a candidate, too, from this share of the first one's time on."""


def passages_of_speakers(passages: Sequence[Passage], turns: Sequence[Turn], language: str) -> list[Passage]:
    """The passages with the speaker of each word."""
    words = Words.of_rows(chain.from_iterable(rows_of(passage.words) for passage in passages))
    rows = zip(words.rows(), speakers_of_words(words, turns, language), strict=True)
    return [
        replace(passage, words=Words.of_rows((*row[:-1], speaker) for row, speaker in islice(rows, len(passage.words))))
        for passage in passages
    ]


def speakers_of_turns(
    turns: Sequence[Turn], names: Sequence[str], known: Mapping[int, KnownVoice] = NO_VOICES
) -> tuple[Speaker, ...]:
    """Who speaks, and for how long. `names`: of the first of them, in their order. `known`: kept voices of others."""
    spoken: defaultdict[int, float] = defaultdict(float)
    for turn in turns:
        spoken[turn.speaker] += turn.end - turn.start
    return named_speakers(spoken, names, known)


def overlaps_of_turns(turns: Sequence[Turn]) -> list[Overlap]:
    """Where several speak at once, by start; shorter stretches than the borders of turns are uncertain are none."""
    changes = sorted(
        change for turn in turns for change in ((turn.start, turn.speaker, 1), (turn.end, turn.speaker, -1))
    )
    speaking: Counter[int] = Counter()
    overlaps = []
    for (start, speaker, by), (end, _, _) in pairwise(changes):
        speaking[speaker] += by
        active = tuple(sorted(speaker for speaker, count in speaking.items() if count > 0))
        if len(active) > 1 and end - start >= _LEAST_OVERLAP_SECONDS:
            overlaps.append(Overlap(start=start, end=end, speakers=active))
    return overlaps


def speakers_of_words(words: Sequence[Word], turns: Sequence[Turn], language: str) -> list[int | None]:
    """Words and turns in time order -> the speaker of each word; None where nobody is sure."""
    candidates = _candidates(words, turns)
    ends = sentence_ends([word.text for word in words], language)
    speakers: list[int | None] = []
    first = 0
    for last, is_end in enumerate(ends):
        if is_end or last + 1 == len(words):
            inside = words[first : last + 1]
            speakers.extend(_speakers_of_sentence(inside, list(islice(candidates, len(inside)))))
            first = last + 1
    return speakers


def _candidates(words: Sequence[Word], turns: Sequence[Turn]) -> Iterator[list[int]]:
    """Of each word, the speakers who may have said it, the likeliest first; none where nobody speaks near it."""
    near: list[Turn] = []
    """That begin before the word's end, and do not end long before it: however long one of the others is."""
    coming = 0
    for word in words:
        start, end = word.start, max(word.end, word.start + _LEAST_WORD_SECONDS)
        inside: defaultdict[int, float] = defaultdict(float)
        distances: dict[int, float] = {}
        loud: defaultdict[int, float] = defaultdict(float)
        while coming < len(turns) and turns[coming].start < end + _NEAR_SECONDS:
            near.append(turns[coming])
            coming += 1
        near = [turn for turn in near if turn.end >= start - _BACKWARD_SECONDS - _NEAR_SECONDS]
        for turn in near:
            overlap = min(end, turn.end) - max(start, turn.start)
            if overlap > 0:
                inside[turn.speaker] += overlap
                drowned = sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in turn.drowned)
                loud[turn.speaker] += max(0.0, overlap - drowned)
            elif -overlap <= _NEAR_SECONDS:
                distances[turn.speaker] = min(-overlap, distances.get(turn.speaker, _NEAR_SECONDS))
        if any(loud.values()):
            inside = loud
        if inside:
            most = sorted(inside, key=lambda speaker: -inside[speaker])
            yield [speaker for speaker in most if inside[speaker] >= _AS_LOUD * inside[most[0]]]
        else:
            yield sorted(distances, key=lambda speaker: distances[speaker])


def _speakers_of_sentence(words: Sequence[Word], candidates: Sequence[Sequence[int]]) -> list[int | None]:
    """Where two are as likely, the one who says most of the sentence. A change close to its border moves there.

    Words of which nothing is known are the one's who says the rest of the sentence, if that is at least as much.
    """
    sure = Counter(one[0] for one in candidates if len(one) == 1)
    all_of = sure or Counter(speaker for one in candidates for speaker in one)
    if len(all_of) == 1 and 2 * sum(1 for one in candidates if one) >= len(words):
        return [next(iter(all_of))] * len(words)
    speakers: list[int | None] = [
        None if not one else max(one, key=lambda speaker: (all_of[speaker], -one.index(speaker))) for one in candidates
    ]
    runs = [at for at in range(1, len(words)) if speakers[at] != speakers[at - 1]]
    if not runs:
        return speakers
    first, last = runs[0], runs[-1]
    if words[first - 1].end - words[0].start <= _BORDER_SECONDS < words[-1].end - words[first].start:
        speakers[:first] = [speakers[first]] * first
    if words[-1].end - words[last].start <= _BORDER_SECONDS < words[last - 1].end - words[0].start:
        speakers[last:] = [speakers[last - 1]] * (len(words) - last)
    return speakers
