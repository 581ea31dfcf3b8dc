"""The transcript as one static page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from html import escape
from string import Template

from shared.enums import Engine
from shared.transcript.display import visible
from shared.transcript.model import Coverage, Gap, Transcript
from shared.transcript.text import Block, gap_mark, reading_order, speaker_name
from shared.transcript.timestamps import clock, milliseconds

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
"""A BCP 47 tag. Deepgram's `multi` is none; a page of an unknown language says so with an empty one."""

_PAGE = Template("""\
<!doctype html>
<html lang="$tag">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$source</title>
<style>
:root { color-scheme: light dark }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.2rem; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem }
dd { margin: 0; overflow-wrap: anywhere }
p { margin: 1.2rem 0; overflow-wrap: anywhere }
time, .by { font-size: .8rem; opacity: .75; font-variant-numeric: tabular-nums }
.gap { border-inline-start: .25rem solid #c60; padding-inline-start: .75rem }
@media print { body { font-size: 10pt; max-width: none; padding: 0 } p { break-inside: avoid } }
</style>
</head>
<body>
<h1 dir="auto">$source</h1>
<dl lang="en" dir="ltr">
<dt>Duration</dt><dd>$duration</dd>
<dt>Language</dt><dd>$language</dd>
<dt>Engine</dt><dd>$engines</dd>
<dt>Model</dt><dd dir="auto">$model</dd>
<dt>Coverage</dt><dd>$coverage</dd>
</dl>
<main>
$content
</main>
</body>
</html>
""")


def to_html(transcript: Transcript) -> str:
    """One HTML page: engines and model, how much of the speech has words, and the text with its times and gaps."""
    several_engines = len(transcript.engines) > 1
    parts = [
        _gap(part) if isinstance(part, Gap) else _paragraph(part, name_engines=several_engines)
        for part in reading_order(transcript)
    ]
    return _PAGE.substitute(
        source=escape(visible(transcript.source)),
        tag=escape(transcript.language if _LANGUAGE_TAG.fullmatch(transcript.language) else ""),
        language=escape(visible(transcript.language)),
        duration=clock(transcript.duration),
        engines=escape(_names(transcript.engines) or "none"),
        model=escape(visible(transcript.model)),
        coverage=escape(_coverage(transcript.coverage)),
        content="\n".join(parts) or '<p lang="en" dir="ltr">No speech was found.</p>',
    )


def _paragraph(block: Block, *, name_engines: bool) -> str:
    # What has a direction of its own, or stands in <bdi>, has no say in that of the paragraph.
    by = f' <span class="by" dir="ltr">{escape(_names(block.engines))}</span>' if name_engines else ""
    speaker = "" if block.speaker is None else f"<b><bdi>{escape(speaker_name(block.speaker))}:</bdi></b> "
    return f'<p dir="auto"><time>{clock(block.start)}</time>{by}<br>{speaker}{escape(block.text)}</p>'


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
