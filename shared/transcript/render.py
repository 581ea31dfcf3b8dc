"""The result files of a transcript, by the names they are stored under."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.csv_files import to_csv
from shared.transcript.deepgram_json import to_deepgram
from shared.transcript.model import Transcript
from shared.transcript.page.page import to_html
from shared.transcript.subtitles.cues import cues
from shared.transcript.subtitles.files import to_srt, to_vtt
from shared.transcript.text import to_text
from shared.transcript.transcript_json import transcript_json


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
    return tuple(one_by_one(transcript, rules))


def one_by_one(transcript: Transcript, rules: SubtitleRules | None = None) -> Iterator[Rendered]:
    """As `render`, each file made when it is asked for: those of a day of speech are 74 MB."""
    rules = rules or SubtitleRules.of(transcript.language)
    for name, content_type, text in _texts(transcript, rules):
        yield Rendered(name, content_type, text.encode())


def _texts(transcript: Transcript, rules: SubtitleRules) -> Iterator[tuple[str, str, str]]:
    yield "transcript.json", "application/json", _json(transcript_json(transcript))
    yield "deepgram.json", "application/json", _json(to_deepgram(transcript))
    yield "words.csv", "text/csv; charset=utf-8", to_csv("word", transcript.words)
    yield "paragraphs.csv", "text/csv; charset=utf-8", to_csv("text", transcript.paragraphs)
    subtitles = cues(transcript, rules)
    yield "transcript.srt", "application/x-subrip; charset=utf-8", to_srt(subtitles)
    yield "transcript.vtt", "text/vtt; charset=utf-8", to_vtt(subtitles, transcript.speakers)
    yield "transcript.txt", "text/plain; charset=utf-8", to_text(transcript)
    yield "transcript.html", "text/html; charset=utf-8", to_html(transcript, subtitles, rules)


def _json(data: dict[str, Any]) -> str:
    # One line without spaces: 24 hours of speech (200,000 words) are 22 MB like this and 32 MB indented.
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
