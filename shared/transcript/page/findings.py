"""What a transcript says about itself, as rows of the page's header: who speaks, where several do, what became of key
terms, second opinions and redaction, and warnings. Only what there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from shared.transcript.display import visible
from shared.transcript.model import Overlap, Speaker, Transcript
from shared.transcript.text import speaker_name
from shared.transcript.timestamps import clock, clock_range

_MOST_LISTED = 20
"""Of one kind: the page is read by people, and transcript.json has all of them."""


def findings_html(transcript: Transcript) -> str:
    """`<dt>` and `<dd>` of each row; empty where there is nothing to say. A speaker's name is marked with the number
    (`data-speaker`), so that the page's script can give another one."""
    return "".join(f"\n<dt>{escape(name)}</dt><dd>{_listed(lines)}</dd>" for name, lines in _rows(transcript) if lines)


def _rows(transcript: Transcript) -> Iterator[tuple[str, list[str]]]:
    """Each row's name, and its lines as HTML."""
    yield "Speakers", [_speaker(one, transcript.speakers) for one in transcript.speakers]
    if transcript.speakers and transcript.words:
        unknown = sum(speaker is None for speaker in transcript.words.speakers)
        yield "Speaker unknown", [f"{unknown} of {len(transcript.words)} words"] if unknown else []
    yield "Several at once", [_overlap(one, transcript.speakers) for one in transcript.overlaps]
    for name, lines in _text_rows(transcript):
        yield name, [escape(visible(line)) for line in lines]


def _text_rows(transcript: Transcript) -> Iterator[tuple[str, list[str]]]:
    """The rows without names of speakers, as text."""
    if transcript.keyterms is not None:
        yield (
            "Key terms",
            [
                f"{one.phrase}: heard {_times(one.heard)}"
                + (f", {one.doubtful_count} of them doubtful" if one.doubtful_count else "")
                for one in transcript.keyterms.terms
            ],
        )
        yield (
            "Terms left out",
            [
                f"{one.engine}: {', '.join(one.left_out[:_MOST_LISTED])} ({one.reason})"
                for one in transcript.keyterms.engines
                if one.left_out
            ],
        )
    yield (
        "Second opinions",
        [
            f"{clock_range(one.start, one.end)}: {one.second} heard "
            + ("the same" if one.agreed else f"something else; the words are {one.kept}'s")
            for one in transcript.second_opinions
        ],
    )
    yield "Redacted", list(_redacted(transcript))
    yield "Note", [one.message for one in transcript.warnings]


def _speaker(one: Speaker, speakers: tuple[Speaker, ...]) -> str:
    line = f"{_name(one.number, speakers)}: {clock(one.seconds)}"
    if one.voice_score is None:
        return line
    return f'{line}<span data-named-by-voice="{one.number}">, named by a kept voice ({one.voice_score:.2f})</span>'


def _overlap(one: Overlap, speakers: tuple[Speaker, ...]) -> str:
    names = " and ".join(_name(number, speakers) for number in one.speakers)
    return f"{clock_range(one.start, one.end)}: {names}"


def _name(number: int, speakers: tuple[Speaker, ...]) -> str:
    return f'<bdi data-speaker="{number}">{escape(speaker_name(number, speakers))}</bdi>'


def _redacted(transcript: Transcript) -> Iterator[str]:
    redaction = transcript.redaction
    if redaction is None:
        return
    yield f"looked for: {', '.join(redaction.kinds)}"
    for label, count in Counter(one.label for one in redaction.stretches).most_common():
        yield f"{label}: {_times(count)}"
    if redaction.audio is not None:
        yield f"the recording without them: {redaction.audio.file}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _listed(lines: list[str]) -> str:
    shown = [f"<bdi>{line}</bdi>" for line in lines[:_MOST_LISTED]]
    if len(lines) > _MOST_LISTED:
        shown.append(f"and {len(lines) - _MOST_LISTED} more")
    return "<br>".join(shown)
