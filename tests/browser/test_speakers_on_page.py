"""Speakers on transcript.html: names typed there, whose paragraphs are shown, by mouse and keyboard."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pysubs2
import pytest
from playwright.sync_api import Browser, expect

from shared.enums import Engine
from shared.transcript.compose import compose
from shared.transcript.model import Overlap, Passage, Speaker, Transcript, Word
from shared.transcript.render import render
from tests.support.browser import WatchedPage, serious_barriers

SAID = (
    (0, "Good morning everybody."),
    (1, "Hello there."),
    (0, "Today we look at the budget."),
    (None, "Well."),
    (1, "The budget is tight."),
)


def meeting(*names: str) -> Transcript:
    """Five paragraphs of two people and of nobody."""
    words: list[Word] = []
    for speaker, sentence in SAID:
        for text in sentence.split():
            start = len(words) * 0.5
            words.append(Word(text=text, start=start, end=start + 0.4, confidence=0.9, speaker=speaker))
    scores = (None, 0.91)
    return compose(
        job_id="0" * 32,
        source="gs://calls/a.mp3#1",
        duration=20.0,
        language="en",
        model="a model",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
        speakers=tuple(
            Speaker(number=number, name=name, seconds=3.5, voice_score=scores[number])
            for number, name in enumerate(names)
        ),
        overlaps=(Overlap(start=0.5, end=0.8, speakers=(0, 1)),) if names else (),
    )


class Pages:
    """Opens pages of transcripts, each in a browser profile of its own."""

    def __init__(self, chromium: Browser, folder: Path) -> None:
        self._chromium, self._folder = chromium, folder
        self.contexts: list[Any] = []

    def open(self, of: Transcript, **options: Any) -> WatchedPage:
        path = self._folder / "transcript.html"
        path.write_bytes({file.name: file.data for file in render(of)}["transcript.html"])
        self.contexts.append(self._chromium.new_context(accept_downloads=True, **options))
        watched = WatchedPage(self.contexts[-1].new_page())
        watched.page.goto(path.as_uri())
        return watched


@pytest.fixture
def pages(chromium: Browser, tmp_path: Path) -> Iterator[Pages]:
    opened = Pages(chromium, tmp_path)
    yield opened
    for context in opened.contexts:
        context.close()


def open_menu(watched: WatchedPage) -> None:
    watched.page.locator("summary", has_text="Speakers").click()


def rename(watched: WatchedPage, number: int, name: str) -> None:
    watched.page.keyboard.press("s")
    field = watched.page.get_by_label(f"Name of speaker {number}")
    field.fill(name)
    field.press("Enter")
    field.press("Escape")


def downloaded(watched: WatchedPage, name: str) -> bytes:
    watched.page.locator("summary", has_text="Download").click()
    with watched.page.expect_download() as download:
        watched.page.get_by_role("button", name=name, exact=True).click()
    watched.page.keyboard.press("Escape")
    return Path(download.value.path()).read_bytes()


def shown(watched: WatchedPage) -> list[str]:
    return [one.inner_text() for one in watched.page.locator("main > p .text").all() if one.is_visible()]


def test_a_typed_name_stands_wherever_the_speaker_does_and_in_every_download(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    rename(watched, 1, "  Benedict \t Low ")
    assert watched.page.locator("main .speaker").all_inner_texts() == ["Ann:", "Benedict Low:", "Ann:", "Benedict Low:"]
    head = watched.page.locator("header dl").inner_text()
    assert "Benedict Low: 00:00:03" in head
    assert "Ann and Benedict Low" in head
    # Who is called otherwise is not called by the kept voice.
    assert "kept voice" not in head

    assert (
        downloaded(watched, "TXT").decode().startswith("Ann: Good morning everybody.\n\nBenedict Low: Hello there.\n")
    )
    vtt = downloaded(watched, "VTT").decode()
    assert "<v Benedict Low>Hello there.</v>" in vtt
    assert "<v Ben>" not in vtt
    rows = list(csv.DictReader(io.StringIO(downloaded(watched, "CSV (words)").decode(), newline="")))
    assert [(row["speaker"], row["speaker_name"]) for row in rows][2:5] == [("0", "Ann"), *[("1", "Benedict Low")] * 2]
    made = Transcript.model_validate(json.loads(downloaded(watched, "JSON (transcript.json)")))
    assert made.speakers == (
        Speaker(number=0, name="Ann", seconds=3.5),
        Speaker(number=1, name="Benedict Low", seconds=3.5),
    )
    with zipfile.ZipFile(io.BytesIO(downloaded(watched, "DOCX"))) as archive:
        text = "".join(ElementTree.fromstring(archive.read("word/document.xml")).itertext())
    assert "Benedict Low: Hello there." in text
    assert [url for url in watched.requests if not url.startswith(("file:", "blob:"))] == []
    assert watched.faults == []


def test_a_name_is_kept_until_the_page_is_opened_again_and_an_empty_one_brings_back_the_first(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    rename(watched, 1, "Benedict")
    watched.page.reload()
    names = watched.page.locator("main .speaker")
    expect(names.nth(1)).to_have_text("Benedict:")
    rename(watched, 1, " ")
    expect(names.nth(1)).to_have_text("Ben:")
    expect(watched.page.locator("header dl")).to_contain_text("kept voice")
    watched.page.reload()
    expect(names.nth(1)).to_have_text("Ben:")


def test_what_was_typed_is_not_put_into_what_a_later_run_of_the_job_heard(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    rename(watched, 1, "Benedict")
    watched.page.keyboard.press("e")
    watched.page.locator('.word[data-word="0"]').click()
    watched.page.locator(".word input").fill("Bad")
    watched.page.locator(".word input").press("Enter")
    path = Path(watched.page.evaluate("decodeURI(location.pathname)"))
    first = path.read_bytes()

    one, *others = meeting().words
    heard = [replace(one, speaker=1), *others]
    again = compose(
        job_id="0" * 32,
        source="gs://calls/a.mp3#1",
        duration=20.0,
        language="en",
        model="a model",
        passages=[Passage(Engine.PARAKEET_GPU, heard)],
    )
    path.write_bytes({file.name: file.data for file in render(again)}["transcript.html"])
    watched.page.reload()
    names, words = watched.page.locator("main .speaker"), watched.page.locator("main .text")
    expect(names.first).to_have_text("Speaker 1:")
    expect(words.first).to_have_text("Good")
    path.write_bytes(first)
    watched.page.reload()
    expect(names.nth(1)).to_have_text("Benedict:")
    expect(words.first).to_contain_text("Bad morning")


def test_of_many_people_only_a_few_are_named_as_hidden(pages: Pages) -> None:
    words = [
        Word(text="Hello.", start=number, end=number + 0.5, confidence=0.9, speaker=number) for number in range(30)
    ]
    of_many = compose(
        job_id="0" * 32,
        source="a",
        duration=31,
        language="en",
        model="m",
        passages=[Passage(Engine.PARAKEET_CPU, words)],
    )
    watched = pages.open(of_many)
    open_menu(watched)
    watched.page.get_by_role("button", name="Only Speaker 7", exact=True).click()
    hidden = watched.page.locator(".hidden-people")
    expect(hidden).to_have_text("Hidden: all but Speaker 7 (29 of 30 paragraphs). Downloads have all.")
    watched.page.get_by_label("Show Speaker 7", exact=True).uncheck()
    expect(hidden).to_have_text("Hidden: all (30 of 30 paragraphs). Downloads have all.")
    for number in range(24):
        watched.page.get_by_label(f"Show Speaker {number}", exact=True).check()
    expect(hidden).to_have_text("Hidden: 6 of 30 (6 of 30 paragraphs). Downloads have all.")


def test_the_menu_fits_into_a_phones_window(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "A name that is longer than any window of a phone is wide, said twice"))
    watched.page.set_viewport_size({"width": 360, "height": 640})
    open_menu(watched)
    for label in ("Show Ann", "Name of speaker 1"):
        box = watched.page.get_by_label(label).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    box = watched.page.get_by_role("button", name="Only Ann").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360


def test_escape_drops_what_is_typed(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    watched.page.keyboard.press("s")
    field = watched.page.get_by_label("Name of speaker 1")
    field.fill("Nobody")
    field.press("Escape")
    expect(watched.page.locator("summary", has_text="Speakers")).to_be_focused()
    expect(watched.page.locator("main .speaker").nth(1)).to_have_text("Ben:")


def test_speakers_without_names_are_named_and_are_then_listed_in_the_transcript(pages: Pages) -> None:
    """As those of split channels: the words have numbers, the transcript no list."""
    watched = pages.open(meeting())
    rename(watched, 0, "Ann")
    assert watched.page.locator("main .speaker").all_inner_texts() == ["Ann:", "Speaker 1:", "Ann:", "Speaker 1:"]
    made = Transcript.model_validate(json.loads(downloaded(watched, "JSON (transcript.json)")))
    assert [(one.number, one.name) for one in made.speakers] == [(0, "Ann"), (1, "Speaker 1")]
    assert made.speakers[0].seconds == pytest.approx(9 * 0.4)


def test_a_click_on_a_name_in_the_text_and_r_name_who_speaks_there(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    watched.page.locator("main .speaker").nth(1).click()
    expect(watched.page.get_by_label("Name of speaker 1")).to_be_focused()
    watched.page.keyboard.press("Escape")
    for key in ("j", "r"):
        watched.page.keyboard.press(key)
    expect(watched.page.get_by_label("Name of speaker 0")).to_be_focused()
    watched.page.keyboard.type("Anna")
    watched.page.keyboard.press("Enter")
    expect(watched.page.locator("main .speaker").first).to_have_text("Anna:")


def test_who_is_hidden_is_not_read_searched_or_gone_to_but_downloaded(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    everything = downloaded(watched, "TXT")
    open_menu(watched)
    watched.page.get_by_label("Show Ann").uncheck()
    assert shown(watched) == ["Hello there.", "Well.", "The budget is tight."]
    expect(watched.page.locator(".hidden-people[role=status]")).to_have_text(
        "Hidden: Ann (2 of 5 paragraphs). Downloads have all."
    )
    watched.page.get_by_role("button", name="Only Ben").click()
    assert shown(watched) == ["Hello there.", "The budget is tight."]
    expect(watched.page.get_by_label("Show unknown speaker")).not_to_be_checked()
    watched.page.keyboard.press("Escape")

    for key in ("j", "j"):
        watched.page.keyboard.press(key)
    expect(watched.page.locator("p.current .text")).to_have_text("The budget is tight.")
    expect(watched.page.locator("p.current")).to_be_focused()
    watched.page.keyboard.press("k")
    expect(watched.page.locator("p.current .text")).to_have_text("Hello there.")
    watched.page.get_by_role("searchbox").fill("budget")
    expect(watched.page.locator(".tools output")).to_have_text("0 of 1")
    assert downloaded(watched, "TXT") == everything

    open_menu(watched)
    watched.page.get_by_role("button", name="Show all").click()
    assert len(shown(watched)) == len(SAID)
    expect(watched.page.locator(".tools output")).to_have_text("0 of 2")
    expect(watched.page.locator(".hidden-people[role=status]")).to_be_empty()
    assert watched.faults == []


def test_what_is_undone_is_shown_though_its_speaker_is_hidden(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    watched.page.keyboard.press("e")
    watched.page.locator('.word[data-word="1"]').click()
    watched.page.locator(".word input").fill("evening")
    watched.page.locator(".word input").press("Enter")
    open_menu(watched)
    watched.page.get_by_label("Show Ann").uncheck()
    watched.page.keyboard.press("Escape")
    watched.page.keyboard.press("u")
    expect(watched.page.locator('.word[data-word="1"]')).to_have_text("morning")
    expect(watched.page.locator('.word[data-word="1"]')).to_be_visible()


def test_m_goes_to_what_the_same_speaker_says_next(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    current = watched.page.locator("p.current .text")
    for key, text in (("j", SAID[0][1]), ("m", SAID[2][1]), ("m", SAID[2][1]), ("Shift+M", SAID[0][1])):
        watched.page.keyboard.press(key)
        expect(current).to_have_text(text)


def test_the_page_prints_whom_it_shows_and_says_who_is_missing(pages: Pages) -> None:
    watched = pages.open(meeting("Ann", "Ben"))
    open_menu(watched)
    watched.page.get_by_role("button", name="Only Ann").click()
    watched.page.emulate_media(media="print")
    assert shown(watched) == [SAID[0][1], SAID[2][1]]
    expect(watched.page.get_by_text("Hidden: Ben, unknown speaker (3 of 5 paragraphs).")).to_be_visible()


def test_without_speakers_there_is_nothing_to_choose(pages: Pages) -> None:
    hello = Passage(Engine.PARAKEET_CPU, [Word(text="Hello.", start=0, end=1)])
    for passages in ([], [hello]):
        one = compose(job_id="0" * 32, source="a", duration=2, language="en", model="m", passages=passages)
        watched = pages.open(one)
        expect(watched.page.locator("summary")).to_have_text(["Download", "Keys"])
        watched.page.keyboard.press("s")
        assert watched.faults == []


HOSTILE = "</script><script>alert(1)</script>-- "


def test_a_hostile_name_is_text_typed_or_given(pages: Pages) -> None:
    given = "Ann\n\n00:00:00.000 --> 00:01:00.000\nBen: no\x07"
    watched = pages.open(meeting(given, "=1+1"))
    line = "Ann 00:00:00.000 --> 00:01:00.000 Ben: no"
    expect(watched.page.locator("main .speaker").first).to_have_text(f"{line}:")
    stored, usual = (
        {file.name: file.data for file in render(each)} for each in (meeting(given, "=1+1"), meeting("Ann", "Ben"))
    )
    assert downloaded(watched, "TXT") == stored["transcript.txt"]
    assert downloaded(watched, "CSV (words)") == stored["words.csv"]
    assert downloaded(watched, "VTT") == stored["transcript.vtt"]
    rename(watched, 0, HOSTILE)
    expect(watched.page.locator("main .speaker").first).to_have_text(f"{HOSTILE.strip()}:")
    starts = [
        [cue.start for cue in pysubs2.SSAFile.from_string(file.decode(), "vtt")]
        for file in (downloaded(watched, "VTT"), usual["transcript.vtt"])
    ]
    assert starts[0] == starts[1] != []
    assert watched.page.locator("main script").count() == 0
    assert watched.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_serious_barriers_in_the_menu(pages: Pages, scheme: str) -> None:
    watched = pages.open(meeting("Ann", "Ben"), color_scheme=scheme, bypass_csp=True)
    open_menu(watched)
    watched.page.get_by_label("Show Ann").uncheck()
    assert serious_barriers(watched.page) == []
    for label in ("Only Ann", "Only Ben", "Only unknown speaker"):
        expect(watched.page.get_by_role("button", name=re.compile(label))).to_be_visible()
