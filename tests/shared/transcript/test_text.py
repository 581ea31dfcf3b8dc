"""The two formats for people: transcript.txt and transcript.html."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from shared.enums import Engine
from shared.media import Upload
from shared.pages.packing import packed
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word
from shared.transcript.render import render
from shared.transcript.text import to_text

VOID = {"meta", "br"}


def spoken(text: str, *, start: float = 0.0, speaker: int | None = None) -> list[Word]:
    return [
        Word(text=part, start=start + index * 0.4, end=start + index * 0.4 + 0.3, speaker=speaker)
        for index, part in enumerate(text.split(" "))
    ]


def transcript(
    *passages: Passage,
    coverage: Coverage | None = None,
    name: str = "a.mp3",
    model: str = "m",
    language: str = "en",
) -> Transcript:
    upload = Upload(bucket="uploads", name=name, generation=1)
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=7323.0,
        language=language,
        model=model,
        passages=passages,
        coverage=coverage,
    )


def gpu(words: list[Word]) -> Passage:
    return Passage(Engine.PARAKEET_GPU, words)


def missing(*gaps: tuple[float, float, str]) -> Coverage:
    return Coverage(
        speech_seconds=100,
        covered_seconds=99.96,
        gaps=tuple(Gap(start=start, end=end, reason=reason) for start, end, reason in gaps),
    )


def html_of(transcript: Transcript) -> str:
    return {file.name: file.data for file in render(transcript)}["transcript.html"].decode()


class Page(HTMLParser):
    """Tags and text of a page; fails on a tag that is closed without being open or stays open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.paragraphs: list[str] = []
        self.text = ""
        self.data = ""
        """What its script reads."""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self._open):
            self.data = data if self.tags[-1] == ("script", {"type": "application/json", "id": "data"}) else self.data
            return
        self.text += data
        if "p" in self._open:
            self.paragraphs[-1] += data


def test_paragraphs_stand_between_blank_lines() -> None:
    text = to_text(transcript(gpu(spoken("One. Two.") + spoken("Three.", start=10))))
    assert text == "One. Two.\n\nThree.\n"


def test_speakers_are_named_where_they_are_known() -> None:
    words = spoken("Hello.", speaker=0) + spoken("Hi.", start=1, speaker=1)
    assert to_text(transcript(gpu(words))) == "Speaker 0: Hello.\n\nSpeaker 1: Hi.\n"


def test_gaps_are_marked_before_between_and_after_paragraphs() -> None:
    words = spoken("One.", start=100) + spoken("Two.", start=800)
    coverage = missing((900, 901, "late"), (0, 9.5, "early"), (723.9, 729.2, "no words near speech"))
    assert to_text(transcript(gpu(words), coverage=coverage)).split("\n\n") == [
        "[no transcript from 00:00:00 to 00:00:10: early]",
        "One.",
        "[no transcript from 00:12:03 to 00:12:10: no words near speech]",
        "Two.",
        "[no transcript from 00:15:00 to 00:15:01: late]\n",
    ]


def test_a_gap_inside_a_paragraph_divides_it() -> None:
    words = spoken("One. Two.") + spoken("Three.", start=2.2)
    text = to_text(transcript(gpu(words), coverage=missing((0.8, 2.1, "noise"))))
    assert text == "One. Two.\n\n[no transcript from 00:00:00 to 00:00:03: noise]\n\nThree.\n"


def test_every_gap_before_a_paragraph_is_marked_before_it() -> None:
    text = to_text(transcript(gpu(spoken("One.", start=100)), coverage=missing((0, 1, "a"), (5, 6, "b"))))
    assert [part[-3:] for part in text.strip().split("\n\n")] == [" a]", " b]", "ne."]


def test_gaps_without_any_words_are_still_told() -> None:
    silent = transcript(coverage=missing((0, 3, "unreadable\n\naudio")))
    assert to_text(silent) == "[no transcript from 00:00:00 to 00:00:03: unreadable audio]\n"
    assert Page(html_of(silent)).paragraphs == ["[no transcript from 00:00:00 to 00:00:03: unreadable audio]"]


def test_blank_lines_in_words_do_not_make_paragraphs() -> None:
    assert to_text(transcript(gpu([Word(text="a\n\nb", start=0, end=1)]))) == "a b\n"


def test_the_page_shows_paragraphs_with_their_times_and_gaps_in_their_place() -> None:
    words = spoken("One.", start=1) + spoken("Two.", start=3700)
    page = Page(html_of(transcript(gpu(words), coverage=missing((20, 30, "lost")))))
    assert page.paragraphs == ["00:00:01One.", "[no transcript from 00:00:20 to 00:00:30: lost]", "01:01:40Two."]


def test_the_page_states_source_duration_engine_model_and_coverage() -> None:
    text = Page(html_of(transcript(gpu(spoken("One.")), coverage=missing(), model="tiny parakeet"))).text
    for fact in ("gs://uploads/a.mp3#1", "02:02:03", "parakeet-gpu", "tiny parakeet", "99.9 % of the speech"):
        assert fact in text


@pytest.mark.parametrize(
    ("coverage", "stated"),
    [
        (Coverage(speech_seconds=5, covered_seconds=5), "100.0 % of the speech"),
        (Coverage(speech_seconds=86400, covered_seconds=86399.9), "99.9 % of the speech"),
        (Coverage(speech_seconds=0, covered_seconds=0), "no speech found"),
        (Coverage(speech_seconds=5, covered_seconds=5, audited=False), "not checked against the audio"),
    ],
)
def test_coverage_is_never_rounded_up_and_says_when_nobody_looked(coverage: Coverage, stated: str) -> None:
    assert stated in Page(html_of(transcript(gpu(spoken("One.")), coverage=coverage))).text


def test_where_engines_took_turns_each_paragraph_names_its_own() -> None:
    mixed = transcript(gpu(spoken("One.")), Passage(Engine.DEEPGRAM, spoken("Two.", start=60)))
    assert Page(html_of(mixed)).paragraphs == ["00:00:00 parakeet-gpuOne.", "00:01:00 deepgramTwo."]


def test_markup_in_words_names_and_reasons_stays_text() -> None:
    attack = "</title><script>alert(1)</script><img src=//x.example>"
    words = [Word(text=attack, start=0, end=1)]
    hostile = transcript(gpu(words), coverage=missing((5, 6, attack)), name=attack, model=attack)
    page = Page(html_of(hostile))
    tags = [tag for tag, _ in page.tags]
    assert "img" not in tags
    assert tags.count("script") == 2  # its own
    data = json.loads(page.data)
    assert (data["textLengths"], data["transcript"]["model"]) == (packed([len(attack)]), attack)
    assert page.paragraphs[0].endswith(attack)
    assert page.text.count(attack) == 5


@pytest.mark.parametrize(("language", "tag"), [("ar", "ar"), ("pt-BR", "pt-BR"), ("multi", ""), ('"><b>', "")])
def test_the_page_is_in_the_transcripts_language(language: str, tag: str) -> None:
    page = Page(html_of(transcript(gpu(spoken("One.")), language=language)))
    assert page.tags[0] == ("html", {"lang": tag})


def test_each_paragraph_has_the_direction_of_its_own_words() -> None:
    words = spoken("\u0645\u0631\u062d\u0628\u0627 \u0628\u0643.", speaker=0)
    mixed = transcript(
        gpu(words),
        Passage(Engine.DEEPGRAM, spoken("Hello.", start=60, speaker=1)),
        language="ar",
        coverage=missing((20, 30, "x")),
    )
    page = Page(html_of(mixed))
    paragraphs = [attributes for tag, attributes in page.tags if tag == "p"]
    assert [one["dir"] for one in paragraphs] == ["auto", "ltr", "auto"]
    # Letters that are not the speaker's: dir="auto" passes over elements with a direction of their own, and over <bdi>.
    assert [attributes["dir"] for _, attributes in page.tags if attributes.get("class") == "by"] == ["ltr", "ltr"]
    assert [tag for tag, _ in page.tags if tag in ("b", "bdi")] == ["b", "bdi"] * 2


def test_what_cannot_be_seen_makes_no_paragraph() -> None:
    silent = transcript(gpu([Word(text="\u200b\x00", start=0, end=1)]))
    assert to_text(silent) == ""
    assert Page(html_of(silent)).paragraphs == ["No speech was found."]


def test_the_page_loads_nothing_and_fits_a_phone() -> None:
    page = Page(html_of(transcript(gpu(spoken("One.")))))
    assert not any({"src", "href"} & attributes.keys() for _, attributes in page.tags)
    metas = {
        attributes.get("name") or attributes.get("http-equiv"): attributes.get("content")
        for tag, attributes in page.tags
        if tag == "meta"
    }
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    assert "default-src 'none'" in str(metas["Content-Security-Policy"])
