"""The transcript as one page: readable without its script, with it to listen, search, correct and download.

Nothing is loaded from elsewhere but the recording that the person names or picks: the page's policy says so, and knows
its style and script by their hashes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template
from typing import NamedTuple

from shared.enums import Engine
from shared.subtitle_rules import SubtitleRules
from shared.transcript.display import visible
from shared.transcript.model import Coverage, Gap, Transcript
from shared.transcript.page.page_data import page_data
from shared.transcript.subtitles.cues import Cue
from shared.transcript.text import Block, gap_mark, reading_order, speaker_name
from shared.transcript.timestamps import clock, milliseconds

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
"""A BCP 47 tag. Deepgram's `multi` is none; a page of an unknown language says so with an empty one."""

_SCRIPTS = ("transcript", "reading", "player", "search", "correcting", "docx", "downloads", "page")
"""In the order in which they use one another."""

_COLOURS = 4
"""Of speakers, as page.css has them."""


class _Parts(NamedTuple):
    template: Template
    style: str
    script: str
    policy: str


@cache
def _parts() -> _Parts:
    """The page's files, read once."""
    folder = resources.files(__package__)
    style = (folder / "page.css").read_text("utf-8")
    scripts = "".join((folder / "scripts" / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{scripts}}})();\n'
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'; media-src blob: https: http://127.0.0.1:* http://localhost:*"
    )
    return _Parts(Template((folder / "page.html").read_text("utf-8")), style, script, policy)


def _hash(text: str) -> str:
    """As a Content Security Policy names an inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def to_html(transcript: Transcript, cues: Sequence[Cue], rules: SubtitleRules) -> str:
    """One HTML page: engines and model, how much of the speech has words, and the text with its times and gaps.

    `cues`, `rules`: the subtitles that it offers for download.
    """
    several_engines = len(transcript.engines) > 1
    parts = list(reading_order(transcript))
    blocks = [part for part in parts if isinstance(part, Block)]
    content = [
        _gap(part) if isinstance(part, Gap) else _paragraph(part, name_engines=several_engines) for part in parts
    ]
    page = _parts()
    return page.template.substitute(
        policy=page.policy,
        style=page.style,
        script=page.script,
        data=page_data(transcript, blocks, cues, rules),
        source=escape(visible(transcript.source)),
        tag=escape(transcript.language if _LANGUAGE_TAG.fullmatch(transcript.language) else ""),
        language=escape(visible(transcript.language)),
        duration=clock(transcript.duration),
        engines=escape(_names(transcript.engines) or "none"),
        model=escape(visible(transcript.model)),
        coverage=escape(_coverage(transcript.coverage)),
        content="\n".join(content) or '<p lang="en" dir="ltr">No speech was found.</p>',
    )


def _paragraph(block: Block, *, name_engines: bool) -> str:
    # What has a direction of its own, or stands in <bdi>, has no say in that of the paragraph.
    by = f' <span class="by" dir="ltr">{escape(_names(block.engines))}</span>' if name_engines else ""
    speaker = "" if block.speaker is None else _speaker(block.speaker)
    text = f'<span class="text">{escape(block.text)}</span>'
    return f'<p dir="auto"><time>{clock(block.start)}</time>{by}<br>{speaker}{text}</p>'


def _speaker(speaker: int) -> str:
    return f'<b class="speaker{speaker % _COLOURS}"><bdi>{escape(speaker_name(speaker))}:</bdi></b> '


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
