"""Cues -> SRT and WebVTT. pysubs2 writes the syntax; here words are kept from being read as syntax."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

from pysubs2 import SSAEvent, SSAFile

from shared.transcript.model import Speaker
from shared.transcript.subtitles.cues import Cue, Turn
from shared.transcript.text import speaker_name

# SRT has no escapes, and players read tags, `{\an8}`, `\N` and entities in it. Full-width forms look alike, take the
# same number of characters, and NFKC normalisation gives the original text back.
_FULL_WIDTH = str.maketrans({mark: chr(ord(mark) + 0xFEE0) for mark in "<>{}\\"})
_ENTITY = re.compile(r"&(?=#?\w+;)")


def to_srt(cues: Iterable[Cue]) -> str:
    """SubRip; an empty file where there are no cues."""
    return _written(cues, "srt", lambda turn: map(_srt_text, turn.lines))


def to_vtt(cues: Iterable[Cue], speakers: Sequence[Speaker] = ()) -> str:
    """WebVTT, where speakers are known with a voice tag for each; nothing but its header where there are no cues."""
    return _written(cues, "vtt", lambda turn: _vtt_lines(turn, speakers))


def _srt_text(line: str) -> str:
    return _ENTITY.sub("\uff06", line.translate(_FULL_WIDTH))


def _vtt_lines(turn: Turn, speakers: Sequence[Speaker]) -> Iterable[str]:
    lines = [_vtt_text(line) for line in turn.lines]
    if turn.speaker is not None:
        # A name that ends with two dashes would make an arrow with the tag's end, and that begins a cue.
        name = re.sub("-$", "&#45;", _vtt_text(speaker_name(turn.speaker, speakers)))
        lines[0] = f"<v {name}>{lines[0]}"
        lines[-1] += "</v>"
    return lines


def _vtt_text(text: str) -> str:
    # The backslash would be pysubs2's own escape for a line break.
    return html.escape(text, quote=False).replace("\\", "&#92;")


def _written(cues: Iterable[Cue], format_name: str, lines_of: Callable[[Turn], Iterable[str]]) -> str:
    file = SSAFile()
    file.events = [
        SSAEvent(
            start=cue.start_ms, end=cue.end_ms, text=r"\N".join(line for turn in cue.turns for line in lines_of(turn))
        )
        for cue in cues
    ]
    # "Keep tags" means here: braces in the text are text, nothing is to be interpreted or removed.
    return file.to_string(format_name, keep_ssa_tags=True)
