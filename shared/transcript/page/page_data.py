"""The transcript as the page's script reads it: arrays by word, which take a third of transcript.json's bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from shared.enums import Engine
from shared.subtitle_rules import SubtitleRules
from shared.transcript.csv_files import FORMULA, HARMLESS_FORMULA
from shared.transcript.display import visible
from shared.transcript.model import Transcript
from shared.transcript.spacing import EAST_ASIAN, SOUTH_EAST_ASIAN, join_words
from shared.transcript.subtitles.cues import Cue
from shared.transcript.text import Block
from shared.transcript.timestamps import milliseconds
from shared.transcript.transcript_json import transcript_json

DOUBTFUL, VERY_DOUBTFUL = 0.75, 0.5
"""Confidences below which a word is marked. Of people's recordings, of which the built-in model knows hardly a word,
the tenth percentile is 0.70 to 0.74; of the speech that it was made for 0.97 (shared/transcript/confidence.py)."""

_WORD_FIELDS = {"words", "segments", "paragraphs", "text"}

_NOT_IN_HTML = re.compile("[<>&\u2028\u2029\x7f-\x9f]")
"""What ends a script element or a line of a script, and controls that JSON leaves as they are."""


def page_data(transcript: Transcript, blocks: Sequence[Block], cues: Sequence[Cue], rules: SubtitleRules) -> str:
    """JSON that may stand in a script element.

    Times are whole milliseconds; `starts` and `cueStarts` are each the difference to the one before, as is `wordCues`,
    of each word the place of the subtitle that it begins in. `confidences` are in thousandths. `speakers`: each with
    the number of consecutive words. `blocks`, `paragraphs`: first and last segment. `segments`: first and last word,
    place in `engines`, speaker. `textLengths`: of each word in UTF-16 code units, where the paragraphs on the page are
    its words and a space between some; else `texts` has the words themselves.
    """
    words = transcript.words
    engines: list[Engine] = list(transcript.engines)
    starts = [milliseconds(word.start) for word in words]
    has_confidences = any(word.confidence is not None for word in words)
    has_speakers = any(word.speaker is not None for word in words)
    data: dict[str, Any] = {
        "transcript": {key: value for key, value in transcript_json(transcript).items() if key not in _WORD_FIELDS},
        **_texts(transcript, blocks),
        "starts": _differences(starts),
        "lengths": [milliseconds(word.end) - start for word, start in zip(words, starts, strict=True)],
        "confidences": [_thousandths(word.confidence) for word in words] if has_confidences else None,
        "speakers": _runs([word.speaker for word in words]) if has_speakers else None,
        "engines": engines,
        "segments": [
            (one.first_word, one.last_word, engines.index(one.engine), one.speaker) for one in transcript.segments
        ],
        "paragraphs": [(one.first_segment, one.last_segment) for one in transcript.paragraphs],
        "blocks": [(one.first_segment, one.last_segment) for one in blocks],
        "cueStarts": _differences([cue.start_ms for cue in cues]),
        "cueLengths": [cue.end_ms - cue.start_ms for cue in cues],
        "wordCues": _differences(list(_cue_of_each_word(transcript, cues))),
        "columns": rules.columns,
        "doubtful": _thousandths(DOUBTFUL),
        "veryDoubtful": _thousandths(VERY_DOUBTFUL),
        "formula": FORMULA.pattern,
        "harmlessFormula": HARMLESS_FORMULA.pattern,
        "spacing": {"east": _code_points(EAST_ASIAN), "southEast": _code_points(SOUTH_EAST_ASIAN)},
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _NOT_IN_HTML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _texts(transcript: Transcript, blocks: Sequence[Block]) -> dict[str, Any]:
    texts = [visible(word.text) for word in transcript.words]
    for block in blocks:
        segments = transcript.segments[block.first_segment : block.last_segment + 1]
        inside = (texts[index] for segment in segments for index in segment.word_indexes(transcript.words))
        if join_words(inside) != block.text:
            return {"texts": texts}
    return {"textLengths": [len(text.encode("utf-16-le")) // 2 for text in texts]}


def _differences(numbers: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise((0, *numbers))]


def _runs(speakers: Iterable[int | None]) -> list[tuple[int | None, int]]:
    return [(speaker, len(list(inside))) for speaker, inside in groupby(speakers)]


def _thousandths(confidence: float | None) -> int | None:
    return None if confidence is None else round(confidence * 1000)


def _code_points(ranges: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    return [(ord(first), ord(last)) for first, last in ranges]


def _cue_of_each_word(transcript: Transcript, cues: Sequence[Cue]) -> Iterator[int]:
    """Each speaker's cues hold that speaker's characters in their order, so counting them finds the cue."""
    ends: dict[int | None, list[tuple[int, int]]] = {}
    """Of each speaker: how many characters there are until the end of a cue, and which cue."""
    for number, cue in enumerate(cues):
        for turn in cue.turns:
            spoken = ends.setdefault(turn.speaker, [])
            spoken.append(((spoken[-1][0] if spoken else 0) + _characters("".join(turn.lines)), number))
    places = dict.fromkeys(ends, 0)
    said = dict.fromkeys(ends, 0)
    for word in transcript.words:
        spoken = ends.get(word.speaker, [])
        if not spoken:
            yield 0  # nothing of this speaker can be seen
            continue
        place = places[word.speaker]
        while place + 1 < len(spoken) and said[word.speaker] >= spoken[place][0]:
            place += 1
        places[word.speaker] = place
        said[word.speaker] += _characters(visible(word.text))
        yield spoken[place][1]


def _characters(text: str) -> int:
    return sum(not one.isspace() for one in text)
