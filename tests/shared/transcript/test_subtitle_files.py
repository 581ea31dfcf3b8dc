from __future__ import annotations

import html
import re
import unicodedata

import pysubs2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.transcript.subtitles.cues import Cue, Turn
from shared.transcript.subtitles.files import to_srt, to_vtt

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HOSTILE = [
    "a --> b",
    "00:00:01,000 --> 00:00:09,000",
    "<b>bold</b> <script>alert(1)</script>",
    "AT&T &lt;i&gt; &amp; &#60;",
    r"{\an8}{\p1}m 0 0{\p0}",
    r"C:\New\names\here",
    "WEBVTT",
    "NOTE nothing",
    "1",
    "a < b > c { d } e \\ f",
]


def cue(start_ms: int, end_ms: int, *lines: str) -> Cue:
    """What one person says who is not known."""
    return Cue(start_ms, end_ms, (Turn(None, lines),))


lines = st.text(alphabet="ab1 <>&;-:,#{}\\Nnhi/\u00e9", min_size=1, max_size=42).map(lambda line: f"x{line}".strip())


@st.composite
def cue_lists(draw: st.DrawFn) -> list[Cue]:
    texts = draw(st.lists(st.lists(lines, min_size=1, max_size=2), max_size=8))
    return [cue(2000 * index, 2000 * index + 1500, *text) for index, text in enumerate(texts)]


def read(file: str, format_name: str) -> list[tuple[int, int, list[str]]]:
    events = pysubs2.SSAFile.from_string(file, format_=format_name, keep_html_tags=True)
    return [(event.start, event.end, event.text.split(r"\N")) for event in events]


def written(cues: list[Cue]) -> list[tuple[int, int, list[str]]]:
    return [(cue.start_ms, cue.end_ms, [" ".join(line.split()) for line in cue.lines]) for cue in cues]


def squeezed(text: str) -> str:
    return " ".join(text.split())


@unhurried
@given(cue_lists())
def test_srt_reads_back_as_it_was_written(cues: list[Cue]) -> None:
    events = read(to_srt(cues), "srt")
    normal = [
        (start, end, [squeezed(unicodedata.normalize("NFKC", line)) for line in text]) for start, end, text in events
    ]
    assert normal == written(cues)


@unhurried
@given(cue_lists())
def test_vtt_reads_back_as_it_was_written(cues: list[Cue]) -> None:
    events = read(to_vtt(cues), "vtt")
    assert [(start, end, [squeezed(html.unescape(line)) for line in text]) for start, end, text in events] == written(
        cues
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_no_syntax_in_srt(text: str) -> None:
    file = to_srt([cue(0, 1000, text, "end")])
    number, times, top, bottom, *rest = file.split("\n")
    assert (number, times, bottom, rest) == ("1", "00:00:00,000 --> 00:00:01,000", "end", ["", ""])
    assert not re.search(r"[<>{}\\]|&#?\w+;", top)
    assert unicodedata.normalize("NFKC", top) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_no_syntax_in_vtt(text: str) -> None:
    file = to_vtt([cue(0, 1000, text, "end")])
    header, blank, _number, times, top, bottom, *rest = file.split("\n")
    assert (header, blank, times, bottom, rest) == ("WEBVTT", "", "00:00:00.000 --> 00:00:01.000", "end", ["", ""])
    assert not re.search(r"[<>\\]|-->", top)
    assert html.unescape(top) == text


def test_ordinary_text_stays_readable_in_srt() -> None:
    assert "AT&T says: it's 5 o'clock." in to_srt([cue(0, 1000, "AT&T says: it's 5 o'clock.")])


def test_without_cues_srt_is_empty_and_vtt_keeps_its_header() -> None:
    assert to_srt([]) == ""
    assert to_vtt([]) == "WEBVTT\n\n"


def test_times_past_an_hour() -> None:
    late = cue(86_399_999, 86_400_000 + 3_600_000, "late")
    assert "23:59:59,999 --> 25:00:00,000" in to_srt([late])
    assert "23:59:59.999 --> 25:00:00.000" in to_vtt([late])


def test_vtt_names_each_speaker_and_srt_shows_the_dashes_alone() -> None:
    both = Cue(0, 1000, (Turn(0, ("- Hello", "again")), Turn(1, ("- Yes & no",))))
    assert to_vtt([both]).split("\n")[4:7] == ["<v Speaker 0>- Hello", "again</v>", "<v Speaker 1>- Yes &amp; no</v>"]
    assert to_srt([both]).split("\n")[2:5] == ["- Hello", "again", "- Yes & no"]
