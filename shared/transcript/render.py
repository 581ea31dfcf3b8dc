"""The result files of a transcript, by the names they are stored under."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from shared.enums import ResultFormat
from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.csv_files import to_csv
from shared.transcript.deepgram_json import deepgram_json
from shared.transcript.json_files.pieces import json_pieces
from shared.transcript.json_files.transcript_json import transcript_json
from shared.transcript.model import Transcript
from shared.transcript.page.page import to_html
from shared.transcript.subtitles.cues import Cue, cues
from shared.transcript.subtitles.files import to_srt, to_vtt
from shared.transcript.text import to_text


@dataclass(frozen=True)
class Rendered:
    """One file of the result, ready to be stored."""

    name: str
    content_type: str
    data: bytes

    def joined(self) -> Rendered:
        """As `InPieces` has it."""
        return self


def render(
    transcript: Transcript, rules: SubtitleRules | None = None, formats: Collection[ResultFormat] = tuple(ResultFormat)
) -> tuple[Rendered, ...]:
    """Files of a transcript, transcript.json first; read back, that one renders to the same bytes again.

    `rules`: of its subtitles; None: those of its language. `formats`: which files are made beside transcript.json.
    """
    return tuple(one_by_one(transcript, rules, formats))


def one_by_one(
    transcript: Transcript, rules: SubtitleRules | None = None, formats: Collection[ResultFormat] = tuple(ResultFormat)
) -> Iterator[Rendered]:
    """As `render`, each file made when it is asked for: those of a day of speech are 74 MB."""
    for file in in_pieces(transcript, rules, formats):
        yield file.joined()


@dataclass(frozen=True)
class InPieces:
    """One file of the result, made while it is read, which is once."""

    name: str
    content_type: str
    pieces: Iterable[bytes]

    def joined(self) -> Rendered:
        """All of it."""
        data = BytesIO()
        for piece in self.pieces:
            data.write(piece)
        return Rendered(self.name, self.content_type, data.getvalue())


def in_pieces(
    transcript: Transcript, rules: SubtitleRules | None = None, formats: Collection[ResultFormat] = tuple(ResultFormat)
) -> Iterator[Rendered | InPieces]:
    """As `one_by_one`, without any JSON file as a whole: deepgram.json of a day of speech is 48 MB."""
    yield InPieces("transcript.json", "application/json", _encoded(json_pieces(transcript_json(transcript))))
    yield from _made_of(transcript, rules, formats)


def _made_of(
    transcript: Transcript, rules: SubtitleRules | None, formats: Collection[ResultFormat]
) -> Iterator[Rendered | InPieces]:
    """The files beside transcript.json."""
    rules = rules or SubtitleRules.of(transcript.language)

    @cache
    def subtitles() -> Sequence[Cue]:
        return cues(transcript, rules)

    texts: dict[ResultFormat, tuple[str, Callable[[], str | Iterator[str]]]] = {
        ResultFormat.DEEPGRAM: ("application/json", lambda: json_pieces(deepgram_json(transcript))),
        ResultFormat.WORDS: ("text/csv; charset=utf-8", lambda: to_csv("word", transcript.words, transcript.speakers)),
        ResultFormat.PARAGRAPHS: (
            "text/csv; charset=utf-8",
            lambda: to_csv("text", transcript.paragraphs, transcript.speakers),
        ),
        ResultFormat.SRT: ("application/x-subrip; charset=utf-8", lambda: to_srt(subtitles())),
        ResultFormat.VTT: ("text/vtt; charset=utf-8", lambda: to_vtt(subtitles(), transcript.speakers)),
        ResultFormat.TXT: ("text/plain; charset=utf-8", lambda: to_text(transcript)),
        ResultFormat.HTML: ("text/html; charset=utf-8", lambda: to_html(transcript, subtitles(), rules)),
    }
    for name, (content_type, text) in texts.items():
        if name in formats:
            made = text()
            if isinstance(made, str):
                data = made.encode()
                del made
                yield Rendered(name.value, content_type, data)
                del data
            else:
                yield InPieces(name.value, content_type, _encoded(made))


def rendered(transcript: Transcript, file: ResultFormat, rules: SubtitleRules | None = None) -> bytes:
    """One file of a transcript that was not stored, say. `rules`: as `render` has them."""
    return next(_made_of(transcript, rules, (file,))).joined().data


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    return (text.encode() for text in texts)
