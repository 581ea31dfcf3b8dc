"""The JSON that transcript.html offers is transcript.json, of an upload with all that a transcript can have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from shared.enums import Engine
from shared.formats.tracks import TranscriptTrack
from shared.keyterms.report import DoubtfulTerm, EngineTerms, HeardTerm, KeytermReport
from shared.transcript.compose import compose
from shared.transcript.model import (
    Coverage,
    Gap,
    LanguageFlip,
    Overlap,
    Paragraph,
    Passage,
    RedactedAudio,
    RedactedStretch,
    Redaction,
    SecondOpinion,
    Segment,
    Speaker,
    Transcript,
    TranscriptWarning,
    WarningCode,
    Word,
)
from shared.transcript.render import render
from tests.support.browser import WatchedPage

GPU, DEEPGRAM = Engine.PARAKEET_GPU, Engine.DEEPGRAM

PASSAGES: tuple[tuple[Engine, str | None, tuple[tuple[int | None, str], ...]], ...] = (
    (GPU, "en", ((0, "Good morning everybody."), (1, "Hello there."))),
    (GPU, "de", ((0, "Guten Morgen, [NAME]."), (None, "Ja."))),
    (GPU, "ja", ((1, "今日は 会議 です。"),)),
    (GPU, None, ((1, "The budget is tight."),)),
    (DEEPGRAM, "en", ((0, "Then we spend less."),)),
)
"""Engine, language, and who says what."""


def passages() -> Iterator[Passage]:
    start = 0.0
    for engine, language, said in PASSAGES:
        words: list[Word] = []
        for speaker, sentence in said:
            for text in sentence.split():
                confidence = None if len(words) == 1 else round(0.4 + 0.1 * len(words), 3)
                words.append(Word(text=text, start=start, end=start + 0.437, confidence=confidence, speaker=speaker))
                start += 0.451
            start += 2.1 if speaker is None else 0.0
        yield Passage(engine, words, language)


def conversation() -> Transcript:
    """In the first passage the second speaker's words stand between the first one's."""
    first, *others = passages()
    order = (0, 1, 3, 2, 4)  # Good morning Hello everybody. there.
    mixed = [
        replace(first.words[at], start=time.start, end=time.end) for at, time in zip(order, first.words, strict=True)
    ]
    return composed([Passage(first.engine, mixed, first.language), *others])


def composed(many: list[Passage]) -> Transcript:
    return compose(
        job_id="0" * 32,
        source="gs://calls/a.mp3#1",
        duration=40.0,
        language="en",
        language_confidence=0.87,
        model="a model",
        passages=many,
        channels=1,
        speakers=(
            Speaker(number=0, name="Ann", seconds=4.5, voice_score=0.91),
            Speaker(number=1, name="Speaker 1", seconds=3.25),
        ),
        overlaps=(Overlap(start=0.9021, end=1.4499, speakers=(0, 1)),),
        coverage=Coverage(
            speech_seconds=14.0,
            covered_seconds=12.0,
            gaps=(Gap(start=30.0004, end=32.0, reason="The file is damaged here."),),
            dropped_words=2,
            repaired_seconds=1.5,
        ),
        tracks=(TranscriptTrack(number=1, index=1, codec="aac", language="eng", title="Floor", is_heard=True),),
        loudness=(-23,) * 30 + (-100,) * 10,
        warnings=(TranscriptWarning(code=WarningCode.UNKNOWN_SPEAKERS, message="Nobody knows one of them."),),
    )


def everything() -> Transcript:
    whole = conversation()
    segments = tuple(
        replace(one, compared_with=DEEPGRAM if one.engine == GPU else GPU) if number in (2, 3, 6) else one
        for number, one in enumerate(whole.segments)
    )
    return whole.model_copy(
        update={
            "segments": segments,
            "second_opinions": (
                SecondOpinion(
                    start=2.2551, end=3.6, first=GPU, first_confidence=0.5, second=DEEPGRAM, agreed=False, kept=GPU
                ),
            ),
            "language_flips": (
                LanguageFlip(
                    start=8.0,
                    end=9.9,
                    language="de",
                    around="en",
                    confidence=0.4,
                    heard_again_by="a model",
                    way="told",
                    heard_again_confidence=0.9,
                    replaced=True,
                ),
            ),
            "keyterms": KeytermReport(
                terms=(
                    HeardTerm(
                        phrase="budget",
                        weight=2.0,
                        heard=1,
                        doubtful_count=1,
                        doubtful=(DoubtfulTerm(start=9.0, end=9.4, text="budget", confidence=0.5),),
                    ),
                ),
                engines=(EngineTerms(engine=GPU, favoured=True),),
            ),
            "redaction": Redaction(
                kinds=("pii",),
                stretches=(RedactedStretch(start=3.157, end=3.594, label="NAME"),),
                audio=RedactedAudio(file="redacted.mp3", masked_seconds=0.6, margin_seconds=0.1, rounds=1),
            ),
        }
    )


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(accept_downloads=True)
    yield context.new_page()
    context.close()


def opened(page: Page, transcript: Transcript, folder: Path) -> tuple[WatchedPage, dict[str, Any]]:
    """The transcript's page, and its transcript.json."""
    files = {file.name: file.data for file in render(transcript)}
    path = folder / "transcript.html"
    path.write_bytes(files["transcript.html"])
    watched = WatchedPage(page)
    page.goto(path.as_uri())
    return watched, json.loads(files["transcript.json"])


def downloaded(watched: WatchedPage) -> Any:
    watched.page.get_by_text("Download", exact=True).click()
    with watched.page.expect_download() as download:
        watched.page.get_by_role("button", name="JSON (transcript.json)", exact=True).click()
    watched.page.keyboard.press("Escape")
    return json.loads(Path(download.value.path()).read_bytes())


def test_the_downloaded_json_is_transcript_json_field_for_field(page: Page, tmp_path: Path) -> None:
    watched, stored = opened(page, everything(), tmp_path)
    # Nothing that a transcript can have is missing, or the comparison would say less than it seems to.
    assert set(Transcript.model_fields) <= set(stored)
    for model, many in ((Segment, "segments"), (Word, "words"), (Paragraph, "paragraphs")):
        assert {field.name for field in fields(model)} == set().union(*stored[many])
    assert any(
        one["first_word"] < other["first_word"] < one["last_word"]
        for one in stored["segments"]
        for other in stored["segments"]
    )
    assert any("language" not in one for one in stored["segments"])
    assert downloaded(watched) == stored
    assert watched.faults == []


def test_what_a_reader_cannot_see_is_not_in_it(page: Page, tmp_path: Path) -> None:
    words = [
        Word(text=text, start=at, end=at + 0.5, confidence=0.98765)
        for at, text in enumerate(("one\x07", "\u200b", "two"))
    ]
    watched, stored = opened(page, composed([Passage(GPU, words, "en")]), tmp_path)
    made = downloaded(watched)
    assert [one["text"] for one in stored["words"]] == ["one\x07", "\u200b", "two"]
    assert [(one["text"], one["start"], one["confidence"]) for one in made["words"]] == [
        ("one", 0.0, 0.988),
        ("two", 2.0, 0.988),
    ]
    assert (made["text"], made["segments"][0]["last_word"]) == ("one two", 1)


def test_segments_keep_language_and_second_engine_when_one_before_them_is_removed(page: Page, tmp_path: Path) -> None:
    transcript = everything()
    watched, stored = opened(page, transcript, tmp_path)
    page.keyboard.press("e")
    for number in transcript.segments[1].word_indexes(transcript.words):
        page.locator(f'.word[data-word="{number}"]').click()
        page.locator(".word input").fill("")
        page.locator(".word input").press("Enter")
    made = downloaded(watched)
    about = [(one["text"], one.get("language"), one.get("compared_with")) for one in stored["segments"]]
    assert [(one["text"], one.get("language"), one.get("compared_with")) for one in made["segments"]] == [
        about[0],
        *about[2:],
    ]
    assert Transcript.model_validate(made).segments[1].compared_with == DEEPGRAM
    assert watched.faults == []
