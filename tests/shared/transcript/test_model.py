"""Words become segments and paragraphs: each word in exactly one of each, with times that lie inside the audio."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.enums import Engine
from shared.media import Media, Upload
from shared.transcript.model import (
    Coverage,
    Gap,
    Grouping,
    Passage,
    Transcript,
    Word,
    clamp_times,
    compose,
    ends_sentence,
    group,
    missing_end,
    with_gap,
)

UPLOAD = Upload(bucket="uploads", name="a.mp3", generation=1)
GPU, DEEPGRAM = Engine.PARAKEET_GPU, Engine.DEEPGRAM

times = st.floats(0, 100)
words_anyhow = st.builds(
    Word,
    text=st.sampled_from(["so", "yes.", "why?", '"no."', "well,"]),
    start=times,
    end=times,
    speaker=st.sampled_from([None, 0, 1]),
)
passages_anyhow = st.lists(
    st.builds(Passage, engine=st.sampled_from(Engine), words=st.lists(words_anyhow, max_size=12)), max_size=5
)


def spoken(text: str, start: float = 0.0, *, step: float = 0.4, speaker: int | None = None) -> list[Word]:
    return [
        Word(text=one, start=start + step * index, end=start + step * index + 0.3, speaker=speaker)
        for index, one in enumerate(text.split())
    ]


def composed(*passages: Passage, duration: float = 1000, coverage: Coverage | None = None) -> Transcript:
    return compose(
        job_id=UPLOAD.job_id,
        source=UPLOAD.uri,
        duration=duration,
        language="en",
        model="m",
        passages=passages,
        coverage=coverage,
    )


def segments(*passages: Passage, grouping: Grouping | None = None) -> list[str]:
    return [segment.text for segment in group(passages, grouping)[1]]


def paragraphs(*passages: Passage, grouping: Grouping | None = None) -> list[str]:
    return [paragraph.text for paragraph in group(passages, grouping)[2]]


@settings(deadline=None)
@given(passages=passages_anyhow, duration=st.floats(0.1, 120))
def test_whatever_was_heard_the_transcript_is_sound(passages: list[Passage], duration: float) -> None:
    transcript = composed(*passages, duration=duration)
    assert [word.text for word in transcript.words] == [word.text for one in passages for word in one.words]
    for before, after in pairwise(transcript.segments):
        assert after.first_word == before.last_word + 1
    for earlier, later in pairwise(transcript.paragraphs):
        assert later.first_segment == earlier.last_segment + 1
    if transcript.words:
        assert (transcript.segments[0].first_word, transcript.paragraphs[0].first_segment) == (0, 0)
        assert transcript.segments[-1].last_word == len(transcript.words) - 1
        assert transcript.paragraphs[-1].last_segment == len(transcript.segments) - 1
    assert transcript.text == " ".join(one.text for one in transcript.segments)
    assert transcript.text == " ".join(one.text for one in transcript.paragraphs)
    assert all(0 <= word.start <= word.end <= duration for word in transcript.words)
    starts = [word.start for word in transcript.words]
    assert starts == sorted(starts)
    assert all(segment.start <= segment.end for segment in transcript.segments)


@given(st.lists(words_anyhow, max_size=30), st.floats(0, 120))
def test_words_are_brought_inside_the_audio(words: list[Word], duration: float) -> None:
    inside = clamp_times(words, duration)
    assert [word.text for word in inside] == [word.text for word in words]
    assert all(0 <= word.start <= word.end <= duration for word in inside)
    assert all(before.start <= after.start for before, after in pairwise(inside))
    assert clamp_times(inside, duration) == inside


def test_words_that_fit_are_left_as_they_are() -> None:
    words = spoken("as they are")
    assert clamp_times(words, 100) == words


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("end.", True),
        ("end?", True),
        ('end!"', True),
        ("end.)\u201d", True),
        ("\u7d42\u3002", True),
        ("end,", False),
        ("3.5", False),
        ('"', False),
    ],
)
def test_a_sentence_ends_with_its_mark_whatever_closes_after_it(text: str, ends: bool) -> None:
    assert ends_sentence(text) == ends


def test_a_sentence_is_a_segment() -> None:
    assert segments(Passage(GPU, spoken("One two. Three four? Five"))) == ["One two.", "Three four?", "Five"]


@pytest.mark.parametrize(("pause", "parts"), [(0.9, 1), (1.0, 2), (5.0, 2)])
def test_a_pause_ends_a_segment(pause: float, parts: int) -> None:
    before = Word(text="one", start=0, end=1)
    after = Word(text="two", start=1 + pause, end=8)
    assert len(segments(Passage(GPU, [before, after]))) == parts


def test_speech_without_full_stops_does_not_become_one_endless_segment() -> None:
    _, parts, _ = group([Passage(GPU, spoken("word " * 300))])
    assert len(parts) > 3
    assert max(segment.end - segment.start for segment in parts) <= Grouping().segment_max_seconds


def test_another_speaker_starts_another_segment_and_paragraph() -> None:
    two = Passage(GPU, [*spoken("I see", speaker=0), *spoken("you do", 0.8, speaker=1)])
    assert segments(two) == ["I see", "you do"]
    _, parts, blocks = group([two])
    assert [one.speaker for one in parts] == [one.speaker for one in blocks] == [0, 1]


def test_a_segment_is_one_engines_and_says_whose() -> None:
    transcript = composed(Passage(GPU, spoken("one two")), Passage(DEEPGRAM, spoken("three", 0.8)), Passage(GPU, []))
    assert [(one.text, one.engine) for one in transcript.segments] == [("one two", GPU), ("three", DEEPGRAM)]
    assert transcript.engines == (GPU, DEEPGRAM)


@pytest.mark.parametrize(("pause", "parts"), [(1.9, 1), (2.0, 2)])
def test_a_long_pause_starts_a_paragraph(pause: float, parts: int) -> None:
    words = [Word(text="One.", start=0, end=1), Word(text="Two.", start=1 + pause, end=8)]
    assert len(paragraphs(Passage(GPU, words))) == parts


def test_a_long_paragraph_ends_with_its_segment() -> None:
    rules = Grouping(paragraph_max_words=4)
    text = "One two three. Four five six. Seven."
    assert paragraphs(Passage(GPU, spoken(text)), grouping=rules) == ["One two three. Four five six.", "Seven."]


def test_silence_has_an_empty_transcript() -> None:
    transcript = composed()
    assert (transcript.text, transcript.words, transcript.segments, transcript.paragraphs) == ("", (), (), ())
    assert transcript.coverage.share == 1
    assert transcript.engines == ()


def test_without_an_audit_the_words_are_all_that_is_known() -> None:
    coverage = composed(Passage(GPU, [*spoken("One."), *spoken("Two.", 10)])).coverage
    assert (coverage.speech_seconds, coverage.covered_seconds) == pytest.approx((0.6, 0.6))
    assert not coverage.audited


def test_an_audit_is_passed_on() -> None:
    coverage = Coverage(speech_seconds=10, covered_seconds=8)
    assert composed(Passage(GPU, spoken("One.")), coverage=coverage).coverage == coverage
    assert coverage.share == pytest.approx(0.8)


def test_a_transcript_knows_its_upload() -> None:
    transcript = composed(duration=7)
    assert (transcript.job_id, transcript.source, transcript.duration) == (UPLOAD.job_id, UPLOAD.uri, 7)


@pytest.mark.parametrize(
    ("stated", "estimated", "decoded", "missing"),
    [
        (100, False, 100, False),
        (100, False, 98, False),
        (100, False, 97.9, True),
        (1000, False, 990, False),
        (1000, False, 989, True),
        (1000, True, 500, False),
        (100, False, 150, False),
    ],
)
def test_an_end_that_the_header_promised_and_nobody_could_read_is_a_gap(
    stated: float, estimated: bool, decoded: float, missing: bool
) -> None:
    media = Media(
        container="mp3",
        codec="mp3",
        duration_seconds=stated,
        duration_is_estimate=estimated,
        sample_rate_hz=16000,
        channels=1,
        size_bytes=9,
    )
    gap = missing_end(media, decoded)
    assert (gap is not None) == missing
    assert gap is None or (gap.start, gap.end) == (decoded, stated)


def test_a_gap_behind_the_end_makes_the_transcript_longer() -> None:
    heard = composed(Passage(GPU, spoken("One.")), duration=10)
    gap = Gap(start=10, end=15, reason="Unreadable.")
    longer = with_gap(heard, gap)
    assert (longer.duration, longer.coverage.gaps) == (15, (gap,))
    assert longer.coverage.speech_seconds == pytest.approx(heard.coverage.speech_seconds + 5)
    assert longer.coverage.covered_seconds == heard.coverage.covered_seconds
    assert longer.words == heard.words
