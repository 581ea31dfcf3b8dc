"""transcript.html in a real browser: listen, search, correct, download; hostile text; a recording of ten hours."""

from __future__ import annotations

import csv
import io
import json
import re
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import pysubs2
import pytest
from playwright.sync_api import Browser, expect

from shared.enums import Engine
from shared.transcript.compose import compose
from shared.transcript.display import visible
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word
from shared.transcript.render import render
from tests.support.browser import WatchedPage, serious_barriers
from tests.support.waiting import wait_until

SENTENCES = (
    "Good morning everybody, and welcome to the meeting.",
    "Today we look at the budget, and at what it costs.",
    "The budget is tight.",
)
SECONDS = 40.0
GAP = Gap(start=30.0, end=32.0, reason="The file is damaged here.")

Open = Callable[..., WatchedPage]


def spoken(texts: list[str], *, speakers: int = 0, step: float = 0.5, confidence: float = 0.9876) -> list[Word]:
    """A word every `step` seconds, sentence by sentence from one speaker after the other."""
    words: list[Word] = []
    for number, sentence in enumerate(texts):
        for text in sentence.split(" "):
            start = len(words) * step
            speaker = number % speakers if speakers else None
            words.append(Word(text=text, start=start, end=start + 0.8 * step, confidence=confidence, speaker=speaker))
    return words


def transcript(
    words: list[Word], *, seconds: float = SECONDS, source: str = "gs://calls/a.mp3#1", **more: Any
) -> Transcript:
    coverage = Coverage(speech_seconds=seconds, covered_seconds=seconds - 2, gaps=(GAP,))
    return compose(
        job_id="0" * 32,
        source=source,
        duration=seconds,
        language=more.pop("language", "en"),
        model="a model",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
        coverage=coverage,
    )


def files(of: Transcript) -> dict[str, bytes]:
    return {file.name: file.data for file in render(of)}


MEETING = transcript(spoken(list(SENTENCES), speakers=2))


@pytest.fixture
def open_page(chromium: Browser, tmp_path: Path) -> Iterator[Open]:
    contexts = []

    def opened(of: Transcript = MEETING, *, address: str | None = None, **options: Any) -> WatchedPage:
        (tmp_path / "transcript.html").write_bytes(files(of)["transcript.html"])
        context = chromium.new_context(accept_downloads=True, **options)
        contexts.append(context)
        watched = WatchedPage(context.new_page())
        watched.page.goto(address or (tmp_path / "transcript.html").as_uri())
        return watched

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Silence, as long as the meeting."""
    path = tmp_path / "meeting.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * int(SECONDS)))
    return path


def word(watched: WatchedPage, number: int) -> Any:
    return watched.page.locator(f'.word[data-word="{number}"]')


def downloaded(watched: WatchedPage, name: str) -> bytes:
    page = watched.page
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    page.keyboard.press("Escape")
    return Path(download.value.path()).read_bytes()


def position(watched: WatchedPage) -> float:
    return float(watched.page.evaluate("document.querySelector('audio').currentTime"))


def load_recording(watched: WatchedPage, recording: Path) -> None:
    watched.page.locator("input[type=file]").set_input_files(recording)
    watched.wait_for("document.querySelector('audio').readyState > 0")


def test_a_click_on_a_word_plays_the_recording_from_there(open_page: Open, recording: Path) -> None:
    watched = open_page()
    load_recording(watched, recording)
    word(watched, 10).click()
    watched.wait_for("document.querySelector('audio').currentTime >= 5")
    assert not watched.page.evaluate("document.querySelector('audio').paused")
    # It goes on by itself, and what sounds is lit.
    watched.wait_for("document.querySelector('audio').currentTime >= 6")
    watched.page.keyboard.press("Space")
    watched.wait_for("document.querySelector('audio').paused")
    at = position(watched)
    lit = watched.page.locator(".word.now")
    expect(lit).to_have_count(1)
    assert int(lit.get_attribute("data-word") or -1) == min(int(at / 0.5), len(MEETING.words) - 1)
    assert watched.faults == []


def test_without_a_recording_a_click_moves_the_position_and_says_what_is_missing(open_page: Open) -> None:
    watched = open_page()
    word(watched, 4).click()
    expect(watched.page.locator(".player output")).to_have_text("00:00:02 / 00:00:40")
    expect(watched.page.locator(".hint")).to_have_text("Choose the recording to hear it from here.")
    expect(word(watched, 4)).to_have_class(re.compile("now"))


def test_keys_move_in_the_recording_and_among_the_paragraphs(open_page: Open, recording: Path) -> None:
    watched = open_page()
    load_recording(watched, recording)
    press = watched.page.keyboard.press
    press("ArrowRight")
    press("ArrowRight")
    watched.wait_for("document.querySelector('audio').currentTime == 10")
    press("ArrowLeft")
    watched.wait_for("document.querySelector('audio').currentTime == 5")
    current = watched.page.locator("p.current time")
    for key in ("j", "j", "j", "k"):
        press(key)
    second = [paragraph.start for paragraph in MEETING.paragraphs][1]
    expect(current).to_have_text(f"00:00:{int(second):02d}")
    press("Enter")
    watched.wait_for(f"document.querySelector('audio').currentTime >= {second}")
    press("/")
    expect(watched.page.get_by_role("searchbox")).to_be_focused()
    assert watched.faults == []


def test_the_strip_seeks_by_pointer_and_by_keys(open_page: Open) -> None:
    watched = open_page()
    strip = watched.page.get_by_role("slider")
    box = strip.bounding_box()
    assert box is not None
    strip.click(position={"x": box["width"] / 2, "y": 5})
    expect(strip).to_have_attribute("aria-valuenow", "20")
    watched.page.keyboard.press("ArrowLeft")
    expect(strip).to_have_attribute("aria-valuetext", "00:00:15")


def columns_of_strip(watched: WatchedPage) -> list[int]:
    """How many pixels of each third column of the strip are drawn, in the colour of bars."""
    return watched.page.evaluate("""() => {
      const strip = document.querySelector(".player canvas");
      const colour = getComputedStyle(document.documentElement).getPropertyValue("--wave").trim();
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      const { data, width, height } = strip.getContext("2d").getImageData(0, 0, strip.width, strip.height);
      return Array.from({ length: width }, (_, x) => {
        let drawn = 0;
        for (let y = 0; y < height; y++) {
          const at = 4 * (y * width + x);
          drawn += data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255;
        }
        return drawn;
      });
    }""")


def test_the_strip_is_as_high_as_the_recording_is_loud(open_page: Open) -> None:
    """Ten seconds loud, ten silent, ten 18 dB below; from 30 to 32 s a gap."""
    levels = [-20] * 10 + [-100] * 10 + [-38] * 20
    watched = open_page(MEETING.model_copy(update={"loudness": tuple(levels)}))
    columns = columns_of_strip(watched)
    quarter = len(columns) // 4
    loud, silent, quiet = (max(columns[at * quarter + 12 : (at + 1) * quarter - 12]) for at in range(3))
    assert loud > 30
    assert silent <= 2
    assert 0.4 * loud < quiet < 0.6 * loud
    assert max(columns[3 * quarter + 4 : 3 * quarter + 20]) == 0  # red, not the colour of bars
    expect(watched.page.get_by_role("slider")).to_have_attribute("title", "Loudness; gaps in red")
    made = json.loads(downloaded(watched, "JSON (transcript.json)"))
    assert made["loudness"] == levels
    assert watched.faults == []


def test_search_finds_over_several_words_and_goes_from_place_to_place(open_page: Open) -> None:
    watched = open_page()
    search = watched.page.get_by_role("searchbox")
    search.fill("budget")
    found = watched.page.locator(".tools output")
    expect(found).to_have_text("0 of 2")
    expect(watched.page.locator(".word.hit")).to_have_text(["budget,", "budget"])
    search.press("Enter")
    search.press("Enter")
    expect(found).to_have_text("2 of 2")
    search.fill("THE BUDGET,")
    expect(watched.page.locator(".word.hit")).to_have_text(["the", "budget,"])
    search.fill("parrot")
    expect(found).to_have_text("Not found")
    expect(watched.page.locator(".word.hit")).to_have_count(0)


def correct(watched: WatchedPage, number: int, text: str, key: str = "Enter") -> None:
    if watched.page.get_by_role("button", name="Correct").get_attribute("aria-pressed") == "false":
        watched.page.keyboard.press("e")
    word(watched, number).click()
    watched.page.locator(".word input").fill(text)
    watched.page.locator(".word input").press(key)


def test_corrections_are_in_the_downloaded_transcript_and_nothing_else_is_changed(open_page: Open) -> None:
    watched = open_page()
    correct(watched, 1, "evening")
    correct(watched, 2, "ladies and gentlemen,")
    correct(watched, 3, "")
    correct(watched, 5, "not kept", key="Escape")
    expect(word(watched, 1)).to_have_class(re.compile("corrected"))
    made = json.loads(downloaded(watched, "JSON (transcript.json)"))
    read = Transcript.model_validate(made)
    assert read.text == MEETING.text.replace("morning everybody, and", "evening ladies and gentlemen,")
    assert (
        read.paragraphs[0].text == read.segments[0].text == "Good evening ladies and gentlemen, welcome to the meeting."
    )
    stored = json.loads(files(MEETING)["transcript.json"])
    assert made["words"][5:] == [{**one, "confidence": round(one["confidence"], 3)} for one in stored["words"][4:]]
    assert [one["text"] for one in made["words"][1:5]] == ["evening", "ladies", "and", "gentlemen,"]
    # What a person wrote has no engine's confidence; it shares the time of the word it replaces.
    assert all("confidence" not in one for one in made["words"][1:5])
    assert (made["words"][2]["start"], made["words"][4]["end"]) == (1.0, 1.4)
    for segment, before in zip(made["segments"][1:], stored["segments"][1:], strict=True):
        assert segment == {**before, "first_word": before["first_word"] + 1, "last_word": before["last_word"] + 1}
    assert "Good evening ladies" in downloaded(watched, "TXT").decode()
    assert "evening" in downloaded(watched, "SRT").decode()
    assert watched.faults == []


def test_corrections_are_undone_and_kept_until_the_page_is_opened_again(open_page: Open) -> None:
    watched = open_page()
    correct(watched, 0, "Bad")
    correct(watched, 1, "evening")
    watched.page.keyboard.press("u")
    expect(word(watched, 1)).to_have_text("morning")
    watched.page.reload()
    expect(word(watched, 0)).to_have_text("Bad")
    expect(word(watched, 1)).to_have_text("morning")


def test_the_tab_key_goes_on_to_the_next_word(open_page: Open) -> None:
    watched = open_page()
    correct(watched, 0, "One", key="Tab")
    field = watched.page.locator(".word input")
    expect(field).to_have_value("morning")
    field.fill("two")
    field.press("Enter")
    expect(watched.page.locator("p .text").first).to_have_text(re.compile("^One two everybody,"))


HOSTILE_TEXTS = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg/onload=alert(3)>',
    "=cmd|' /C calc'!A0",
    "&lt;b&gt; &amp;",
    "\u202eevil\u202c \u2028 ${alert(4)} `",
    "-->  <!--",
]


def test_hostile_names_and_words_are_text(open_page: Open) -> None:
    words = [Word(text=text, start=at, end=at + 0.4) for at, text in enumerate(HOSTILE_TEXTS)]
    hostile = transcript(words, source="gs://x/</title><script>alert(5)</script>'\"&.mp3#1")
    watched = open_page(hostile)
    expect(watched.page.locator("h1")).to_have_text(hostile.source)
    expect(word(watched, 0)).to_have_text(HOSTILE_TEXTS[0])
    assert watched.page.locator("img, svg, main script").count() == 0
    rows = list(csv.reader(io.StringIO(downloaded(watched, "CSV (words)").decode())))
    stored = csv.reader(io.StringIO(files(hostile)["words.csv"].decode()))
    assert rows == [[visible(cell) for cell in row] for row in stored]
    downloaded(watched, "DOCX")
    assert watched.faults == []
    assert [url for url in watched.requests if not url.startswith(("file:", "blob:"))] == []


def test_the_policy_lets_no_other_script_run_and_nothing_be_fetched(open_page: Open) -> None:
    watched = open_page()
    watched.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }))"
    )
    assert watched.page.evaluate("window.ran") is None
    assert watched.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')") == "refused"
    assert all("Content Security Policy" in fault for fault in watched.faults)
    assert len(watched.faults) >= 2


def test_downloads_without_corrections_say_what_the_stored_files_say(open_page: Open) -> None:
    watched = open_page()
    stored = files(MEETING)
    assert downloaded(watched, "TXT") == stored["transcript.txt"]
    assert downloaded(watched, "CSV (words)") == stored["words.csv"]
    made, expected = (
        json.loads(each) for each in (downloaded(watched, "JSON (transcript.json)"), stored["transcript.json"])
    )
    for each in expected["words"]:
        each["confidence"] = round(each["confidence"], 3)
    assert made == expected
    for name, file in (("SRT", "transcript.srt"), ("VTT", "transcript.vtt")):
        form = name.lower()
        cues = [
            [(cue.start, cue.end, " ".join(cue.plaintext.split())) for cue in pysubs2.SSAFile.from_string(text, form)]
            for text in (downloaded(watched, name).decode(), stored[file].decode())
        ]
        assert cues[0] == cues[1] != []
    with zipfile.ZipFile(io.BytesIO(downloaded(watched, "DOCX"))) as archive:
        assert archive.testzip() is None
        document = ElementTree.fromstring(archive.read("word/document.xml"))
        ElementTree.fromstring(archive.read("[Content_Types].xml"))
    text = "".join(document.itertext())
    assert all(sentence in text for sentence in SENTENCES)
    assert "[no transcript from 00:00:30 to 00:00:32: The file is damaged here.]" in text
    assert watched.faults == []


def test_words_whose_joining_differs_from_the_paragraph_are_in_the_page(open_page: Open) -> None:
    odd = transcript([Word(text=text, start=at, end=at + 0.5) for at, text in enumerate(("one ", "\x00two", "three"))])
    watched = open_page(odd)
    expect(word(watched, 2)).to_have_text("three")
    expect(watched.page.locator(".word")).to_have_text(["one", "two", "three"])
    correct(watched, 1, "2")
    assert json.loads(downloaded(watched, "JSON (transcript.json)"))["text"] == "one 2 three"


SCRIPTS = {
    "ja": ["今日は", "Google", "の", "会議です。"],
    "th": ["สวัสดี", "ครับ", "Google", "ดี"],
    "ar": ["مرحبا", "بك", "في", "2026."],
    "hi": ["नमस्ते", "दुनिया।"],
    "el": ["ΣΊΣΥΦΟΣ", "İstanbul", "straße"],
    "emoji": ["👩‍👩‍👧", "𠮷野家", "ok"],
}


@pytest.mark.parametrize("language", SCRIPTS)
def test_words_stand_as_the_text_does_in_every_script(open_page: Open, language: str) -> None:
    words = spoken([" ".join(SCRIPTS[language])])
    watched = open_page(transcript(words, language=language))
    expect(word(watched, 0)).to_be_attached()
    assert watched.page.locator("p .text").all_text_contents() == [one.text for one in transcript(words).paragraphs]
    watched.page.get_by_role("searchbox").fill(SCRIPTS[language][1])
    expect(watched.page.locator(".word.hit")).to_have_text([SCRIPTS[language][1]])


def test_ten_hours_open_with_elements_for_the_words_in_sight_only(open_page: Open) -> None:
    sentences = ["what people say in a long meeting that goes on all day about one thing or another."] * 5000
    long = transcript(spoken(sentences, speakers=2, step=0.42), seconds=36_000)
    watched = open_page(long)
    assert len(long.words) > 80_000
    assert 0 < watched.page.locator(".word").count() < 4000
    last = len(long.words) - 1

    def at_the_end() -> bool:
        # Once more, as paragraphs that come into sight turn out to be taller or lower than was estimated.
        watched.page.keyboard.press("End")
        return bool(word(watched, last).is_visible())

    wait_until(at_the_end, "the last word is in sight")
    expect(word(watched, 0)).to_have_count(0)
    assert watched.page.locator(".word").count() < 4000
    assert watched.page.locator("p .text").first.text_content() == long.paragraphs[0].text
    assert watched.faults == []


def test_an_hour_takes_less_than_330_kb() -> None:
    """9,000 words of 5 letters: 150 a minute, the usual rate of speech."""
    hour = spoken(["these words of five letter about which every people talk."] * 900, speakers=2, step=0.4)
    assert len(hour) == 9000
    assert len(files(transcript(hour, seconds=3600))["transcript.html"]) < 330_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_are_no_serious_barriers(open_page: Open, scheme: str) -> None:
    doubtful = [replace(one, confidence=0.3 + 0.1 * (at % 7)) for at, one in enumerate(MEETING.words)]
    watched = open_page(transcript(doubtful), color_scheme=scheme, bypass_csp=True)
    correct(watched, 1, "evening")
    watched.page.get_by_text("Keys", exact=True).click()
    watched.page.get_by_role("searchbox").fill("budget")
    assert serious_barriers(watched.page) == []


def test_print_shows_the_text_alone(open_page: Open) -> None:
    watched = open_page()
    watched.page.emulate_media(media="print")
    expect(watched.page.locator(".player")).to_be_hidden()
    expect(watched.page.locator(".tools")).to_be_hidden()
    expect(watched.page.locator("p").last).to_be_visible()


def test_without_scripts_the_text_is_there(open_page: Open) -> None:
    watched = open_page(java_script_enabled=False)
    assert watched.page.locator("p .text").all_text_contents() == [one.text for one in MEETING.paragraphs]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The folder over HTTP, with any file that is asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_the_address_of_the_page_may_name_the_recording(open_page: Open, served: str, recording: Path) -> None:
    address = f"{served}/{recording.name}"
    watched = open_page(address=f"{served}/transcript.html#audio={address}")
    watched.wait_for("document.querySelector('audio').readyState > 0")
    assert watched.page.evaluate("document.querySelector('audio').duration") == SECONDS


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://example.com/a.mp3", "file:///etc/passwd", "data:,", "//x"]
)
def test_no_other_address_is_loaded(open_page: Open, tmp_path: Path, address: str) -> None:
    open_page()
    watched = open_page(address=f"{(tmp_path / 'transcript.html').as_uri()}#audio={address}")
    expect(watched.page.locator(".hint")).to_have_text("Click a word to hear it.")
    assert watched.page.evaluate("document.querySelector('audio').src") == ""
    assert watched.faults == []
