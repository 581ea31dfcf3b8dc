"""The result files of a transcript, by the names they are stored under."""

from __future__ import annotations

import json
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
    rules = rules or SubtitleRules.of(transcript.language)
    subtitles = cues(transcript, rules)
    table = (
        ("transcript.json", "application/json", _json(transcript_json(transcript))),
        ("deepgram.json", "application/json", _json(to_deepgram(transcript))),
        ("words.csv", "text/csv; charset=utf-8", to_csv("word", transcript.words)),
        ("paragraphs.csv", "text/csv; charset=utf-8", to_csv("text", transcript.paragraphs)),
        ("transcript.srt", "application/x-subrip; charset=utf-8", to_srt(subtitles)),
        ("transcript.vtt", "text/vtt; charset=utf-8", to_vtt(subtitles, transcript.speakers)),
        ("transcript.txt", "text/plain; charset=utf-8", to_text(transcript)),
        ("transcript.html", "text/html; charset=utf-8", to_html(transcript, subtitles, rules)),
    )
    return tuple(Rendered(name, content_type, text.encode()) for name, content_type, text in table)


def _json(data: dict[str, Any]) -> str:
    # One line without spaces: 24 hours of speech (200,000 words) are 22 MB like this and 32 MB indented.
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
