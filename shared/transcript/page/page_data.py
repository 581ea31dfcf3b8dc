"""The transcript as the page's script reads it: arrays by word, which take a third of transcript.json's bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import Any

from shared.enums import Engine
from shared.options.subtitle_rules import SubtitleRules
from shared.pages.inline import json_in_script
from shared.pages.packing import packed, packed_signed
from shared.transcript.csv_files import FORMULA, HARMLESS_FORMULA
from shared.transcript.display import visible
from shared.transcript.json_files.transcript_json import transcript_json
from shared.transcript.model import Transcript
from shared.transcript.spacing import EAST_ASIAN, SOUTH_EAST_ASIAN, join_words
from shared.transcript.subtitles.cues import Cue
from shared.transcript.text import Block
from shared.transcript.timestamps import milliseconds
from shared.transcript.words import Words

DOUBTFUL, VERY_DOUBTFUL = 0.75, 0.5
"""Confidences below which a word is marked. Of people's recordings, of which the built-in model knows hardly a word,
the tenth percentile is 0.70 to 0.74; of the speech that it was made for 0.97 (shared/transcript/quality.py)."""

_ELSEWHERE = {"words", "segments", "paragraphs", "text", "loudness"}
"""Of transcript.json, what the page has in another form."""

_QUIETEST = -100
"""dB below full scale: digital silence."""


def page_data(transcript: Transcript, blocks: Sequence[Block], cues: Sequence[Cue], rules: SubtitleRules) -> str:
    """JSON that may stand in a script element.

    Times are whole milliseconds; `starts` and `cueStarts` are each the difference to the one before, as is `wordCues`,
    of each word the place of the subtitle that it begins in. `confidences` are in thousandths, and 1 more, for 0 is
    none. `loudness`: of each second, in dB above _QUIETEST. `speakers`: each with the number of consecutive words.
    `blocks`, `paragraphs`: first and last segment; `blocks` null where they are the paragraphs. `segments`: first and
    last word, place in `engines`, speaker. `languages`, `comparedWith`: each with the number of consecutive segments,
    null where none has one. `textLengths`: of each word in UTF-16 code units, where the paragraphs on the page are its
    words and a space between some; else `texts` has the words themselves. Long arrays are packed.
    """
    words = transcript.words
    engines: list[Engine] = list(transcript.engines)
    has_confidences = any(confidence is not None for confidence in words.confidences)
    loudness = transcript.loudness
    paragraphs, shown = (
        [(one.first_segment, one.last_segment) for one in many] for many in (transcript.paragraphs, blocks)
    )
    data: dict[str, Any] = {
        "transcript": {key: value for key, value in transcript_json(transcript).items() if key not in _ELSEWHERE},
        **_texts(transcript, blocks),
        "starts": packed_signed(_differences(map(milliseconds, words.starts))),
        "lengths": packed_signed(
            milliseconds(end) - milliseconds(start) for start, end in zip(words.starts, words.ends, strict=True)
        ),
        "confidences": packed(map(_thousandths_or_none, words.confidences)) if has_confidences else None,
        "loudness": None if loudness is None else packed(level - _QUIETEST for level in loudness),
        "quietest": _QUIETEST,
        "speakers": _runs_or_none(words.speakers),
        "engines": engines,
        "segments": [
            (one.first_word, one.last_word, engines.index(one.engine), one.speaker) for one in transcript.segments
        ],
        "languages": _runs_or_none([one.language for one in transcript.segments]),
        "comparedWith": _runs_or_none([one.compared_with for one in transcript.segments]),
        "paragraphs": paragraphs,
        "blocks": None if shown == paragraphs else shown,
        "cueStarts": packed_signed(_differences(cue.start_ms for cue in cues)),
        "cueLengths": packed_signed(cue.end_ms - cue.start_ms for cue in cues),
        "wordCues": packed_signed(_differences(_cue_of_each_word(transcript.words, cues))),
        "columns": rules.columns,
        "doubtful": _thousandths(DOUBTFUL),
        "veryDoubtful": _thousandths(VERY_DOUBTFUL),
        "formula": FORMULA.pattern,
        "harmlessFormula": HARMLESS_FORMULA.pattern,
        "spacing": {"east": _code_points(EAST_ASIAN), "southEast": _code_points(SOUTH_EAST_ASIAN)},
    }
    return json_in_script(data)


def _texts(transcript: Transcript, blocks: Sequence[Block]) -> dict[str, Any]:
    shown = {text: visible(text) for text in set(transcript.words.texts)}
    texts = [shown[text] for text in transcript.words.texts]
    for block in blocks:
        segments = transcript.segments[block.first_segment : block.last_segment + 1]
        inside = (texts[index] for segment in segments for index in segment.word_indexes(transcript.words))
        if join_words(inside) != block.text:
            return {"texts": texts}
    return {"textLengths": packed(len(text.encode("utf-16-le")) // 2 for text in texts)}


def _differences(numbers: Iterable[int]) -> Iterator[int]:
    return (after - before for before, after in pairwise(chain((0,), numbers)))


def _runs_or_none(values: Sequence[int | str | None]) -> list[tuple[int | str | None, int]] | None:
    """Each with how many stand in a row; None where all are."""
    if all(value is None for value in values):
        return None
    return [(value, len(list(inside))) for value, inside in groupby(values)]


def _thousandths(confidence: float) -> int:
    return round(confidence * 1000)


def _thousandths_or_none(confidence: float | None) -> int:
    return 0 if confidence is None else 1 + _thousandths(confidence)


def _code_points(ranges: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    return [(ord(first), ord(last)) for first, last in ranges]


def _cue_of_each_word(words: Words, cues: Sequence[Cue]) -> Iterator[int]:
    """Each speaker's cues hold that speaker's characters in their order, so counting them finds the cue."""
    ends: dict[int | None, list[tuple[int, int]]] = {}
    """Of each speaker: how many characters there are until the end of a cue, and which cue."""
    for number, cue in enumerate(cues):
        for turn in cue.turns:
            spoken = ends.setdefault(turn.speaker, [])
            spoken.append(((spoken[-1][0] if spoken else 0) + _characters("".join(turn.lines)), number))
    characters = {text: _characters(visible(text)) for text in set(words.texts)}
    places = dict.fromkeys(ends, 0)
    said = dict.fromkeys(ends, 0)
    for text, speaker in zip(words.texts, words.speakers, strict=True):
        spoken = ends.get(speaker, [])
        if not spoken:
            yield 0  # nothing of this speaker can be seen
            continue
        place = places[speaker]
        while place + 1 < len(spoken) and said[speaker] >= spoken[place][0]:
            place += 1
        places[speaker] = place
        said[speaker] += characters[text]
        yield spoken[place][1]


def _characters(text: str) -> int:
    return sum(not one.isspace() for one in text)
