"""The people who speak, with their names and times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from shared.transcript.model import Passage, Speaker, Transcript, TranscriptWarning, WarningCode
from shared.transcript.text import speaker_name


class KnownVoice(NamedTuple):
    """The kept voice that a speaker is taken for."""

    name: str
    score: float
    """Cosine of both."""


NO_VOICES: Mapping[int, KnownVoice] = {}


def named_speakers(
    seconds: Mapping[int, float], names: Sequence[str], known: Mapping[int, KnownVoice] = NO_VOICES
) -> tuple[Speaker, ...]:
    """How long each speaker speaks -> the speakers. `names`: of the first of them, in their order. `known`: of others,
    the kept voice that they are."""
    given = dict(enumerate(names))
    voices = {number: voice for number, voice in known.items() if number not in given}
    return tuple(
        Speaker(
            number=number,
            name=given.get(number) or (voices[number].name if number in voices else speaker_name(number)),
            seconds=round(seconds[number], 3),
            voice_score=voices[number].score if number in voices else None,
        )
        for number in sorted(seconds)
    )


def numbered_as_heard(passage: Passage) -> Passage:
    """The passage with its speakers numbered by who is heard first: an engine's own numbers need not be so."""
    heard = dict.fromkeys(word.speaker for word in passage.words if word.speaker is not None)
    numbers = {speaker: number for number, speaker in enumerate(heard)}
    words = [word if word.speaker is None else replace(word, speaker=numbers[word.speaker]) for word in passage.words]
    return replace(passage, words=words)


def spoken_seconds(passages: Iterable[Passage]) -> dict[int, float]:
    """How long each speaker's words last, where only words are known."""
    seconds: defaultdict[int, float] = defaultdict(float)
    for passage in passages:
        for word in passage.words:
            if word.speaker is not None:
                seconds[word.speaker] += word.end - word.start
    return dict(seconds)


MOST_UNKNOWN_SHARE = 0.2
"""Share of the words without a speaker above which a transcript says so: a border here and there is nobody's."""


def with_speaker_warning(transcript: Transcript, least: int | None) -> Transcript:
    """The transcript with a warning where who says what was asked, and was not found out.

    `least`: how many people speak at least, by what was asked, 1 where nobody knows; None: it was not asked.
    """
    if least is None or not transcript.words:
        return transcript
    unknown = sum(speaker is None for speaker in transcript.words.speakers) / len(transcript.words)
    found = len(transcript.speakers)
    if not found:
        why = "Who says what was asked, but could not be found out: the words have no speakers."
    elif found < least:
        others = "one speaker was" if found == 1 else f"{found} speakers were"
        why = f"At least {least} people were said to speak, but only {others} told apart: voices may be mixed up."
    elif unknown > MOST_UNKNOWN_SHARE:
        why = f"Of {unknown:.0%} of the words it could not be found out who says them."
    else:
        return transcript
    warning = TranscriptWarning(code=WarningCode.UNKNOWN_SPEAKERS, message=why)
    return transcript.model_copy(update={"warnings": (*transcript.warnings, warning)})
