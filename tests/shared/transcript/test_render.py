from __future__ import annotations

import csv
import html.parser
import io
import json
import re
import unicodedata

import pysubs2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.enums import Engine
from shared.media import Upload
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Overlap, Passage, Transcript, Word
from shared.transcript.render import render

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)

UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=1)


def spoken(text: str, *, start: float = 0.0, speaker: int | None = None) -> list[Word]:
    return [
        Word(text=part, start=start + index * 0.4, end=start + index * 0.4 + 0.3, confidence=0.9, speaker=speaker)
        for index, part in enumerate(text.split(" "))
    ]


def transcript(
    words: list[Word],
    *,
    coverage: Coverage | None = None,
    duration: float = 1000.0,
    loudness: tuple[int, ...] | None = None,
) -> Transcript:
    passages = [Passage(Engine.PARAKEET_GPU, words)] if words else []
    return compose(
        job_id=UPLOAD.job_id,
        source=UPLOAD.uri,
        duration=duration,
        language="en",
        model="tiny",
        passages=passages,
        coverage=coverage,
        loudness=loudness,
    )


def files(made_from: Transcript) -> dict[str, str]:
    return {file.name: file.data.decode() for file in render(made_from)}


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_every_format_is_made_with_its_content_type() -> None:
    assert {file.name: file.content_type for file in render(transcript(spoken("Hello.")))} == {
        "transcript.json": "application/json",
        "deepgram.json": "application/json",
        "words.csv": "text/csv; charset=utf-8",
        "paragraphs.csv": "text/csv; charset=utf-8",
        "transcript.srt": "application/x-subrip; charset=utf-8",
        "transcript.vtt": "text/vtt; charset=utf-8",
        "transcript.txt": "text/plain; charset=utf-8",
        "transcript.html": "text/html; charset=utf-8",
    }


def test_transcript_json_comes_first_because_the_others_are_made_from_what_it_says() -> None:
    assert render(transcript([]))[0].name == "transcript.json"


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    word = st.builds(
        Word,
        text=st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()),
        start=st.floats(0, 100),
        end=st.floats(0, 100),
        confidence=st.none() | st.floats(0, 1),
        speaker=st.sampled_from([None, 0, 1]),
    )
    words = draw(st.lists(word, max_size=20).map(lambda words: sorted(words, key=lambda word: word.start)))
    speech = draw(st.floats(0, 100))
    gaps = tuple(Gap(start=at, end=at + 0.7, reason="r") for at in draw(st.lists(st.floats(0, 99), max_size=3)))
    loudness = draw(st.none() | st.lists(st.integers(-100, 0), max_size=5).map(tuple))
    return transcript(
        words,
        loudness=loudness,
        coverage=Coverage(speech_seconds=speech, covered_seconds=speech * draw(st.floats(0, 1)), gaps=gaps),
    )


@unhurried
@given(transcripts())
def test_a_stored_transcript_renders_to_the_same_bytes_again(original: Transcript) -> None:
    rendered = render(original)
    assert render(Transcript.model_validate_json(rendered[0].data)) == rendered


def test_json_keeps_words_and_rounds_times_to_milliseconds() -> None:
    word = Word(text="H\u00e9llo", start=0.1 + 0.2, end=1.23456, confidence=0.123456789, speaker=2)
    data = json.loads(files(transcript([word]))["transcript.json"])
    assert data["words"] == [
        {"text": "H\u00e9llo", "start": 0.3, "end": 1.235, "confidence": 0.123456789, "speaker": 2}
    ]
    assert data["segments"][0]["end"] == data["paragraphs"][0]["end"] == 1.235


def test_json_has_the_loudness_of_each_second_where_it_is_known() -> None:
    measured = json.loads(files(transcript(spoken("Hello."), loudness=(-23, -100)))["transcript.json"])
    assert measured["loudness"] == [-23, -100]
    assert "loudness" not in json.loads(files(transcript(spoken("Hello.")))["transcript.json"])


def test_json_says_where_several_speak_at_once_where_it_is_known() -> None:
    plain = transcript(spoken("Hello."))
    data = json.loads(
        files(plain.model_copy(update={"overlaps": (Overlap(start=0.1 + 0.2, end=1.23456, speakers=(0, 2)),)}))[
            "transcript.json"
        ]
    )
    assert data["overlaps"] == [{"start": 0.3, "end": 1.235, "speakers": [0, 2]}]
    assert "overlaps" not in json.loads(files(plain)["transcript.json"])


def test_json_states_engines_and_covered_share() -> None:
    coverage = Coverage(speech_seconds=10.0001, covered_seconds=7.5001, gaps=(Gap(start=1.0004, end=2, reason="lost"),))
    data = json.loads(files(transcript(spoken("Hello."), coverage=coverage))["transcript.json"])
    assert data["engines"] == ["parakeet-gpu"]
    assert [data["coverage"][key] for key in ("speech_seconds", "covered_seconds", "share")] == [10.0, 7.5, 0.75]
    assert data["coverage"]["gaps"] == [{"start": 1.0, "end": 2.0, "reason": "lost"}]


def test_json_is_one_line() -> None:
    made = files(transcript(spoken("One. Two.")))
    assert made["transcript.json"].splitlines() == [made["transcript.json"]]


def test_words_csv() -> None:
    text = files(transcript(spoken('Say "no," twice.')))["words.csv"]
    assert text.startswith("start_time,end_time,word\r\n0.000,0.300,Say\r\n")
    assert rows(text)[1:] == [["0.000", "0.300", "Say"], ["0.400", "0.700", '"no,"'], ["0.800", "1.100", "twice."]]


def test_paragraphs_csv() -> None:
    words = spoken("First, this.") + spoken("Then that.", start=10)
    text = files(transcript(words))["paragraphs.csv"]
    assert rows(text) == [
        ["start_time", "end_time", "text"],
        ["0.000", "0.700", "First, this."],
        ["10.000", "10.700", "Then that."],
    ]


def test_csv_has_the_speakers_where_any_is_known() -> None:
    words = [
        Word(text="Yes.", start=0, end=1, speaker=1),
        Word(text="No.", start=1, end=2, speaker=0),
        Word(text="Who?", start=2, end=3),
    ]
    made = files(transcript(words))
    assert rows(made["words.csv"]) == [
        ["start_time", "end_time", "word", "speaker", "speaker_name"],
        ["0.000", "1.000", "Yes.", "1", "Speaker 1"],
        ["1.000", "2.000", "No.", "0", "Speaker 0"],
        ["2.000", "3.000", "Who?", "", ""],
    ]
    assert [row[2:] for row in rows(made["paragraphs.csv"])] == [
        ["text", "speaker", "speaker_name"],
        ["Yes.", "1", "Speaker 1"],
        ["No.", "0", "Speaker 0"],
        ["Who?", "", ""],
    ]


@unhurried
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6))
def test_csv_reads_back_the_words_but_for_the_guard(texts: list[str]) -> None:
    words = [Word(text=text, start=index, end=index + 0.5) for index, text in enumerate(texts)]
    read = [row[2] for row in rows(files(transcript(words))["words.csv"])[1:]]
    assert [cell.removeprefix("'") for cell in read] == [text.removeprefix("'") for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        *("=HYPERLINK(1)", "+cmd|'/C", "-2+3+cmd|'!A0", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "-ish", "\uff1dSUM(1)"),
        *("\x00=1", "\u200b=1", "\ufeff\u202e+1"),
    ],
)
def test_no_cell_can_run_as_a_formula(text: str) -> None:
    made = files(transcript([Word(text=text, start=0, end=1)]))
    assert rows(made["words.csv"])[1][2] == f"'{text}"
    assert rows(made["paragraphs.csv"])[1][2] == f"'{text}"
    assert json.loads(made["transcript.json"])["words"][0]["text"] == text


@pytest.mark.parametrize("text", ["-5", "+3.5%", "-1,000.", "-", "it's", "a=b", "'tis", "1-2"])
def test_dashes_numbers_and_words_stay_plain(text: str) -> None:
    assert rows(files(transcript([Word(text=text, start=0, end=1)]))["words.csv"])[1][2] == text


def test_subtitles_carry_the_words_at_their_times() -> None:
    made = files(transcript(spoken("Hello there.", start=62.5)))
    for name in ("transcript.srt", "transcript.vtt"):
        (event,) = pysubs2.SSAFile.from_string(made[name])
        assert (event.start, event.end, event.text) == (62_500, 63_500, "Hello there.")


def test_an_empty_transcript_makes_valid_empty_files() -> None:
    made = files(transcript([]))
    assert made["transcript.srt"] == made["transcript.txt"] == ""
    assert made["transcript.vtt"].startswith("WEBVTT")
    assert rows(made["words.csv"]) == [["start_time", "end_time", "word"]]
    assert rows(made["paragraphs.csv"]) == [["start_time", "end_time", "text"]]
    assert Transcript.model_validate_json(made["transcript.json"]) == transcript([])
    assert json.loads(made["deepgram.json"])["results"]["channels"][0]["alternatives"][0]["words"] == []
    assert "No speech was found." in made["transcript.html"]


def test_text_outside_ascii_is_written_as_utf_8() -> None:
    made = render(transcript([Word(text="na\u00efve\U0001f600", start=0, end=1)]))
    assert all("na\u00efve\U0001f600".encode() in file.data for file in made)


HOSTILE = [
    "</p><script>alert(1)</script>",
    "--> 00:00:00.000 --> 00:00:09.000",
    "1\n00:00:00,000 --> 00:00:09,000\nfake",
    "\n\n\r\n\r",
    "WEBVTT\n\nNOTE x\n\nSTYLE\n::cue{}",
    "\u2028\u2029\x85\x0b\x0c\x1c",
    "\x00\x1b]0;title\x07\x9b31m\x7f",
    "\u202eevil\u202c\u2067x",
    "\u200b\u200d\ufeff",
    "e\u0301\u0301\u0301",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f44d\U0001f3fd\U0001f1e9\U0001f1ea",
    "&lt;b&gt; &amp; &#60; <i> {\\an8} \\N \\h",
    "$source ${content} %s {0}",
    "\u4eca\u65e5\u3002\u300c\u300d",
]


def seen(text: str) -> list[str]:
    """The characters that a reader sees."""
    return [one for one in text if not one.isspace() and unicodedata.category(one) not in ("Cc", "Cf")]


@unhurried
@given(st.lists(st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=20), min_size=1, max_size=8), st.booleans())
def test_no_text_breaks_out_of_its_place_in_any_format(texts: list[str], is_split: bool) -> None:
    words = [
        Word(text=text, start=index * 0.7, end=index * 0.7 + 0.9, speaker=index % 2 if is_split else None)
        for index, text in enumerate(texts)
    ]
    made = files(transcript(words))
    for name in ("transcript.txt", "transcript.html", "transcript.srt", "transcript.vtt"):
        assert not [one for one in made[name] if unicodedata.category(one) == "Cc" and one != "\n"]
    # SubRip: number, times, lines, a blank line; and WebVTT, whose header comes first.
    cues = made["transcript.srt"].split("\n\n")[:-1]
    assert [cue.split("\n")[0] for cue in cues] == [str(number + 1) for number in range(len(cues))]
    assert made["transcript.srt"].count("-->") == made["transcript.vtt"].count("-->") == len(cues)
    assert made["transcript.vtt"].split("\n\n")[0] == "WEBVTT"
    assert len(made["transcript.vtt"].split("\n\n")) == len(cues) + 2
    page = html.parser.HTMLParser()
    tags: list[str] = []
    page.handle_starttag = lambda tag, _attributes: tags.append(tag)  # type: ignore[method-assign]
    page.feed(made["transcript.html"])
    assert tags.count("script") == 2
    assert set(tags) <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "dl", "dt", "dd", "main"),
        *("p", "time", "br", "b", "bdi", "span", "script"),
    }
    plain = re.sub("Speaker [01]: ", "", made["transcript.txt"])
    assert sorted(seen(plain)) == sorted(seen("".join(texts)))
