"""The result files of a transcript, by the names they are stored under."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from shared.subtitle_rules import SubtitleRules
from shared.transcript.deepgram_json import to_deepgram
from shared.transcript.html_page import to_html
from shared.transcript.model import Coverage, Paragraph, Transcript, Word
from shared.transcript.subtitle_files import to_srt, to_vtt
from shared.transcript.subtitles import cues
from shared.transcript.text import to_text
from shared.transcript.timestamps import decimal, rounded


@dataclass(frozen=True)
class Rendered:
    """One file of the result, ready to be stored."""

    name: str
    content_type: str
    data: bytes


def render(transcript: Transcript, rules: SubtitleRules | None = None) -> tuple[Rendered, ...]:
    """Every file of a transcript, transcript.json first; read back, that one renders to the same bytes again.

    `rules`: of its subtitles; None: those of its language.
    """
    subtitles = cues(transcript, rules)
    table = (
        ("transcript.json", "application/json", _json(_transcript_json(transcript))),
        ("deepgram.json", "application/json", _json(to_deepgram(transcript))),
        ("words.csv", "text/csv; charset=utf-8", _csv("word", transcript.words)),
        ("paragraphs.csv", "text/csv; charset=utf-8", _csv("text", transcript.paragraphs)),
        ("transcript.srt", "application/x-subrip; charset=utf-8", to_srt(subtitles)),
        ("transcript.vtt", "text/vtt; charset=utf-8", to_vtt(subtitles)),
        ("transcript.txt", "text/plain; charset=utf-8", to_text(transcript)),
        ("transcript.html", "text/html; charset=utf-8", to_html(transcript)),
    )
    return tuple(Rendered(name, content_type, text.encode()) for name, content_type, text in table)


def _transcript_json(transcript: Transcript) -> dict[str, Any]:
    """The transcript as JSON, times to the millisecond, with what the models derive. Unknown values are left out."""
    data = transcript.model_dump(mode="json", exclude_none=True)
    coverage = data["coverage"]
    for timed in chain(data["words"], data["segments"], data["paragraphs"], coverage["gaps"]):
        timed["start"], timed["end"] = rounded(timed["start"]), rounded(timed["end"])
    data["duration"] = rounded(transcript.duration)
    for key in ("speech_seconds", "covered_seconds"):
        coverage[key] = rounded(coverage[key])
    coverage["share"] = Coverage.model_validate(coverage).share
    data["engines"] = list(transcript.engines)
    return data


def _json(data: dict[str, Any]) -> str:
    # One line without spaces: 24 hours of speech (200,000 words) are 22 MB like this and 32 MB indented.
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _csv(column: str, timed: Sequence[Word | Paragraph]) -> str:
    """CSV by RFC 4180, CRLF line ends included: with them the csv module quotes both CR and LF inside a field.

    The last column is the speaker, where any is known.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    has_speakers = any(item.speaker is not None for item in timed)
    writer.writerow(("start_time", "end_time", column, *["speaker"] * has_speakers))
    for item in timed:
        speaker = [item.speaker] * has_speakers  # None is an empty cell
        writer.writerow((decimal(item.start), decimal(item.end), _cell(item.text), *speaker))
    return file.getvalue()


# Text from an unknown recording must not run as a formula when somebody opens the file in a spreadsheet. Quoting does
# not prevent that, a leading apostrophe does. Only what a spreadsheet would evaluate gets one: dashes and numbers
# such as -5 or +3.5% stay plain for every other reader, and transcript.json has the exact text of everything.
# What stands before it and is not seen, some programs drop.
_FORMULA = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)
_HARMLESS = re.compile(r"[+-](\d+([.,:]\d+)*)?[%.,;:!?]*")


def _cell(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else text
