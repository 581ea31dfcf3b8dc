"""Speakers in every format: names, nobody, several at once, and names that would be markup, formulas or line breaks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pysubs2
import pytest

from shared.enums import Engine
from shared.keyterms.report import DoubtfulTerm, EngineTerms, HeardTerm, KeytermReport
from shared.transcript.compose import compose
from shared.transcript.display import visible
from shared.transcript.model import (
    Overlap,
    Passage,
    RedactedAudio,
    RedactedStretch,
    Redaction,
    SecondOpinion,
    Speaker,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from shared.transcript.render import render
from trigger_function.api.compatible.openai_answer import to_openai_diarized

HOSTILE = {
    "markup": "<script>alert(1)</script>",
    "formula": "=cmd|'/C calc'!A0",
    "line break": "Ann\n\n00:00:00.000 --> 00:01:00.000\nBen: no",
    "arrow": "Ann --> Ben",
    "override": "{\\an8}\\N<i>&lt;",
    "closing": "</v></script></bdi><!--",
    "right to left": "Ann\u202eneB",
    "long": "x" * 300,
}
SAID = {0: "Good morning.", 1: "Hello there.", None: "Well."}


def spoken(*speakers: int | None) -> Iterator[Word]:
    for turn, speaker in enumerate(speakers):
        for at, text in enumerate(SAID[speaker].split()):
            start = 3.0 * turn + 0.5 * at
            yield Word(text=text, start=start, end=start + 0.4, confidence=0.9, speaker=speaker)


def made(name: str = "Ann", overlaps: tuple[Overlap, ...] = (), **more: object) -> Transcript:
    speakers = (Speaker(number=0, name=name, seconds=1.0), Speaker(number=1, name="Ben", seconds=1.0, voice_score=0.91))
    whole = compose(
        job_id="job",
        source="gs://uploads/a.mp3#1",
        duration=12.0,
        language="en",
        model="tiny",
        passages=[Passage(Engine.PARAKEET_CPU, list(spoken(0, 1, None)))],
        speakers=speakers,
        overlaps=overlaps,
    )
    return whole.model_copy(update=more)


def files(transcript: Transcript) -> dict[str, str]:
    return {file.name: file.data.decode() for file in render(transcript)}


class Page(HTMLParser):
    """What a browser makes of a page: its elements in their order, and its text without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def test_each_format_says_who_speaks_and_who_is_not_known() -> None:
    overlaps = (Overlap(start=3.2, end=3.6, speakers=(0, 1)),)
    transcript = made(overlaps=overlaps)
    found = files(transcript)
    data = json.loads(found["transcript.json"])
    assert data["speakers"] == [
        {"number": 0, "name": "Ann", "seconds": 1.0},
        {"number": 1, "name": "Ben", "seconds": 1.0, "voice_score": 0.91},
    ]
    assert data["overlaps"] == [{"start": 3.2, "end": 3.6, "speakers": [0, 1]}]
    assert [word.get("speaker") for word in data["words"]] == [0, 0, 1, 1, None]
    (channel,) = json.loads(found["deepgram.json"])["results"]["channels"]
    assert [word.get("speaker") for word in channel["alternatives"][0]["words"]] == [0, 0, 1, 1, None]
    rows = list(csv.DictReader(io.StringIO(found["paragraphs.csv"], newline="")))
    assert [list(row.values())[2:] for row in rows] == [
        ["Good morning.", "0", "Ann"],
        ["Hello there.", "1", "Ben"],
        ["Well.", "", ""],
    ]
    assert list(rows[0]) == ["start_time", "end_time", "text", "speaker", "speaker_name"]
    assert found["transcript.txt"] == "Ann: Good morning.\n\nBen: Hello there.\n\nWell.\n"
    assert [one.text for one in pysubs2.SSAFile.from_string(found["transcript.srt"], "srt")] == list(SAID.values())
    assert "<v Ann>Good morning.</v>" in found["transcript.vtt"]
    assert "<v Ben>Hello there.</v>" in found["transcript.vtt"]
    assert "\nWell.\n" in found["transcript.vtt"]
    page = Page(found["transcript.html"]).text
    assert "Ann:" in page
    assert "Ben: 00:00:01, named by a kept voice (0.91)" in page
    assert "1 of 5 words" in page
    assert "00:00:03 to 00:00:04: Ann and Ben" in page
    assert page.count("several speak at once") == 1
    assert page.count("speaker unknown") == 1
    assert [one["speaker"] for one in to_openai_diarized(transcript)["segments"]] == ["A", "B", "unknown"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_name_is_a_name_whatever_it_looks_like(kind: str) -> None:
    name = HOSTILE[kind]
    usual, found = files(made()), files(made(name, (Overlap(start=0.0, end=0.3, speakers=(0, 1)),)))
    assert json.loads(found["transcript.json"])["speakers"][0]["name"] == name
    # Where names are numbers, nothing of them stands.
    for same in ("deepgram.json", "transcript.srt"):
        assert found[same] == usual[same]
    for table in ("words.csv", "paragraphs.csv"):
        rows, plain_rows = (list(csv.DictReader(io.StringIO(each[table], newline=""))) for each in (found, usual))
        assert len(rows) == len(plain_rows)
        cell = rows[0]["speaker_name"]
        assert cell.removeprefix("'") == visible(name)
        assert cell.startswith("'") == (kind == "formula")
    assert len(found["transcript.txt"].splitlines()) == len(usual["transcript.txt"].splitlines())
    # A cue's times are what stands around an arrow; names have none.
    timings = [line for line in usual["transcript.vtt"].splitlines() if "-->" in line]
    assert [line for line in found["transcript.vtt"].splitlines() if "-->" in line] == timings
    assert len(timings) == len(SAID)
    assert found["transcript.vtt"].count("<v ") == found["transcript.vtt"].count("</v>") == 2
    page, plain = Page(found["transcript.html"]), Page(usual["transcript.html"])
    assert [tag for tag in page.tags if tag in ("script", "b", "i", "v", "p")] == [
        tag for tag in plain.tags if tag in ("script", "b", "i", "v", "p")
    ]


def test_the_page_says_what_the_transcript_says_about_itself_and_reads_nothing_of_it_as_markup() -> None:
    bad = HOSTILE["markup"]
    doubtful = DoubtfulTerm(start=1, end=2, text="x", confidence=0.4)
    terms = KeytermReport(
        terms=(HeardTerm(phrase=bad, weight=2, heard=3, doubtful_count=1, doubtful=(doubtful,)),),
        engines=(EngineTerms(engine=Engine.DEEPGRAM, favoured=True, left_out=(bad,), reason="Too long."),),
    )
    opinion = SecondOpinion(
        start=3,
        end=5,
        first=Engine.PARAKEET_CPU,
        first_confidence=0.4,
        second=Engine.DEEPGRAM,
        second_confidence=0.9,
        agreed=False,
        kept=Engine.DEEPGRAM,
    )
    redaction = Redaction(
        kinds=("pii",),
        stretches=(RedactedStretch(start=1, end=2, label="NAME"), RedactedStretch(start=3, end=4, label="NAME")),
        audio=RedactedAudio(file="redacted.ogg", masked_seconds=2, margin_seconds=0.2, rounds=1),
    )
    warning = TranscriptWarning(code=WarningCode.UNKNOWN_SPEAKERS, message=f"Careful {bad}")
    transcript = made(keyterms=terms, second_opinions=(opinion,), redaction=redaction, warnings=(warning,))
    page = Page(files(transcript)["transcript.html"])
    assert page.tags.count("script") == 2  # its data, and its program
    for said in (
        f"{bad}: heard 3 times, 1 of them doubtful",
        f"deepgram: {bad} (Too long.)",
        "deepgram heard something else; the words are deepgram's",
        "NAME: 2 times",
        "redacted.ogg",
        f"Careful {bad}",
    ):
        assert said in page.text


def test_what_there_is_a_lot_of_is_not_all_listed() -> None:
    many = tuple(Overlap(start=at, end=at + 0.2, speakers=(0, 1)) for at in range(500))
    page = files(made(overlaps=many))["transcript.html"]
    assert "and 480 more" in page
