"""Second opinions: of stretches that two engines heard, whose words are kept. Pure.

The rule, by which the other engine's words replace the first one's: it heard something else; of the words around that
the first engine was sure of, it heard at least half as well (else it heard something else altogether, as an engine does
that does not know the language); and the mean of its words' confidences is higher by at least MARGIN, for the engines'
figures do not mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.assembly.replaced_words import WrittenWord, WrittenWords
from gpu_job.audio.samples import seconds
from shared.enums import Engine
from shared.transcript.model import Passage, SecondOpinion, Segment, Transcript, Word
from shared.transcript.word_diff import word_diff

DOUBTFUL = 0.8
"""A word with less confidence is doubtful. Measured with the built-in tiny model: nine of ten words of speech that it
knows are above 0.97, the tenth percentile of speech that it does not know is 0.70 to 0.74
(shared/transcript/quality.py)."""

MARGIN = 0.1
"""Of mean confidence, by which the other engine has to be surer."""

_LEAST_AGREEMENT = 0.5
"""Share of the sure words around that the other engine has to have heard, too."""


def with_second_opinions(
    passages: Sequence[Passage], heard: Iterable[HeardAgain], *, is_split: bool
) -> tuple[list[Passage], tuple[SecondOpinion, ...]]:
    """Passages in time order -> the same with the better words, and what was decided. `is_split`: whether a word's
    speaker is its channel."""
    heard = sorted(heard, key=lambda one: (one.first, one.channel))
    if not heard:
        return list(passages), ()
    written = WrittenWords(passages, is_split=is_split)
    opinions: list[SecondOpinion] = []
    done: dict[int, int] = {}
    for other in heard:
        if other.missed_by is not None:
            opinions.append(_of_missing(written.inside(other), other, other.missed_by))
            continue
        if other.first < done.get(other.channel, 0):
            continue  # what chunks share was heard twice
        done[other.channel] = other.end
        first, second = written.inside(other), written.heard(other)
        if not first:
            continue  # nobody speaks there, as the audit found
        kept = other.engine if _is_better([one.word for one in first], second) else first[0].engine
        opinions.append(_opinion(first, second, other, kept))
        if kept is other.engine:
            written.replace(other, second)
    return written.passages(), tuple(opinions)


def _is_better(first: Sequence[Word], second: Sequence[Word]) -> bool:
    if not second or (before := _mean(first)) is None or (after := _mean(second)) is None:
        return False
    changes = word_diff(first, second).changes
    sure = [word for word in first if word.confidence is not None and word.confidence >= DOUBTFUL]
    lost = sum(word.confidence is not None and word.confidence >= DOUBTFUL for one in changes for word in one.before)
    agrees = not sure or lost <= (1 - _LEAST_AGREEMENT) * len(sure)
    return bool(changes) and agrees and after - before >= MARGIN


def _mean(words: Sequence[Word]) -> float | None:
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None


def _of_missing(inside: Sequence[WrittenWord], other: HeardAgain, missed_by: Engine) -> SecondOpinion:
    """Of a stretch without words, whose new ones are written already."""
    new = [one.word for one in inside if one.engine is other.engine]
    return SecondOpinion(
        start=seconds(other.first),
        end=seconds(other.end),
        first=missed_by,
        first_confidence=None,
        second=other.engine,
        second_confidence=_mean(new),
        agreed=not new,
        kept=other.engine if new else missed_by,
    )


def _opinion(first: Sequence[WrittenWord], second: Sequence[Word], other: HeardAgain, kept: Engine) -> SecondOpinion:
    words = [one.word for one in first]
    return SecondOpinion(
        start=seconds(other.first),
        end=seconds(other.end),
        first=first[0].engine,
        first_confidence=_mean(words),
        second=other.engine,
        second_confidence=_mean(second),
        agreed=not word_diff(words, second).changes,
        kept=kept,
    )


def with_provenance(transcript: Transcript, opinions: tuple[SecondOpinion, ...]) -> Transcript:
    """The transcript whose segments name the other engine that heard them, too."""
    if not opinions:
        return transcript
    segments = tuple(_compared(segment, opinions) for segment in transcript.segments)
    return transcript.model_copy(update={"segments": segments, "second_opinions": opinions})


def _compared(segment: Segment, opinions: Iterable[SecondOpinion]) -> Segment:
    for one in opinions:
        if one.start < segment.end and segment.start < one.end:
            other = one.second if segment.engine is one.first else one.first
            return replace(segment, compared_with=other)
    return segment
