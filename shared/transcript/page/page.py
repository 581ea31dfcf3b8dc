"""The transcript as one page: readable without its script, with it to listen, search, correct and download.

Nothing is loaded from elsewhere but the recording that the person names or picks: the page's policy says so, and knows
its style and script by their hashes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from string import Template

from shared.enums import Engine
from shared.options.subtitle_rules import SubtitleRules
from shared.pages.inline import InlineFiles, inline_files
from shared.transcript.display import visible
from shared.transcript.model import Coverage, Gap, Overlap, Speaker, Transcript
from shared.transcript.page.findings import findings_html
from shared.transcript.page.page_data import page_data
from shared.transcript.subtitles.cues import Cue
from shared.transcript.text import Block, gap_mark, reading_order, speaker_name
from shared.transcript.timestamps import clock, milliseconds

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
"""A BCP 47 tag. Deepgram's `multi` is none; a page of an unknown language says so with an empty one."""

_SCRIPTS = ("transcript", "reading", "player", "search", "correcting", "speakers", "docx", "downloads", "page")
"""In the order in which they use one another."""

_RECORDINGS = "media-src blob: https: http://127.0.0.1:* http://localhost:*"
"""What the page may load: a file that the person picks, and an address that stands behind its own."""

_COLOURS = 4
"""Of speakers, as page.css has them."""


@cache
def _template() -> Template:
    return Template((resources.files(__package__) / "page.html").read_text("utf-8"))


@cache
def _files() -> InlineFiles:
    return inline_files(__package__, ["page.css"], [f"scripts/{name}.js" for name in _SCRIPTS])


def to_html(transcript: Transcript, cues: Sequence[Cue], rules: SubtitleRules) -> str:
    """One HTML page: engines and model, how much of the speech has words, and the text with its times and gaps.

    `cues`, `rules`: the subtitles that it offers for download.
    """
    several_engines = len(transcript.engines) > 1
    parts = list(reading_order(transcript))
    blocks = [part for part in parts if isinstance(part, Block)]
    content = [
        _gap(part) if isinstance(part, Gap) else _paragraph(part, transcript, name_engines=several_engines)
        for part in parts
    ]
    inline = _files()
    return _template().substitute(
        policy=inline.policy(_RECORDINGS),
        style=inline.style,
        script=inline.script,
        data=page_data(transcript, blocks, cues, rules),
        source=escape(visible(transcript.source)),
        tag=escape(transcript.language if _LANGUAGE_TAG.fullmatch(transcript.language) else ""),
        language=escape(visible(transcript.language)),
        duration=clock(transcript.duration),
        engines=escape(_names(transcript.engines) or "none"),
        model=escape(visible(transcript.model)),
        coverage=escape(_coverage(transcript.coverage)),
        findings=findings_html(transcript),
        content="\n".join(content) or '<p lang="en" dir="ltr">No speech was found.</p>',
    )


def _paragraph(block: Block, transcript: Transcript, *, name_engines: bool) -> str:
    speakers = transcript.speakers
    notes = [_names(block.engines)] if name_engines else []
    if block.speaker is None and speakers:
        notes.append("speaker unknown")
    if _overlaps(block, transcript.overlaps):
        notes.append("several speak at once")
    # What has a direction of its own, or stands in <bdi>, has no say in that of the paragraph.
    by = f' <span class="by" dir="ltr">{escape("; ".join(notes))}</span>' if notes else ""
    speaker = "" if block.speaker is None else _speaker(block.speaker, speakers)
    text = f'<span class="text">{escape(block.text)}</span>'
    return f'<p dir="auto"><time>{clock(block.start)}</time>{by}<br>{speaker}{text}</p>'


def _overlaps(block: Block, overlaps: Sequence[Overlap]) -> bool:
    """Whether one of them, which are in time order and apart, is in the block."""
    behind = bisect_left(overlaps, block.end, key=lambda one: one.start)
    return behind > 0 and overlaps[behind - 1].end > block.start


def _speaker(speaker: int, speakers: Sequence[Speaker]) -> str:
    return f'<b class="speaker speaker{speaker % _COLOURS}"><bdi>{escape(speaker_name(speaker, speakers))}:</bdi></b> '


def _gap(gap: Gap) -> str:
    return f'<p class="gap" lang="en" dir="ltr">{escape(gap_mark(gap))}</p>'


def _names(engines: tuple[Engine, ...]) -> str:
    return ", ".join(engines)


def _coverage(coverage: Coverage) -> str:
    if not coverage.audited:
        return "not checked against the audio"
    covered, speech = milliseconds(coverage.covered_seconds), milliseconds(coverage.speech_seconds)
    if not speech:
        return "no speech found in the audio"
    # Rounded down: an incomplete transcript must never read as 100 %.
    tenths = 1000 * covered // speech
    return f"{tenths // 10}.{tenths % 10} % of the speech found in the audio"
