"""The people who speak, with their names and times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from shared.transcript.model import Passage, Speaker
from shared.transcript.text import speaker_name


def named_speakers(seconds: Mapping[int, float], names: Sequence[str]) -> tuple[Speaker, ...]:
    """How long each speaker speaks -> the speakers. `names`: of the first of them, in their order."""
    known = dict(enumerate(names))
    return tuple(
        Speaker(number=number, name=known.get(number, speaker_name(number)), seconds=round(seconds[number], 3))
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
