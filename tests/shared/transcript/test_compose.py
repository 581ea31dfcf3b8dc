"""Words become segments and paragraphs: each word in exactly one of each, with times that lie inside the audio."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.enums import Engine
from shared.media import Upload
from shared.transcript.compose import Grouping, clamp_times, compose, group
from shared.transcript.model import Coverage, Passage, Transcript, Word
from shared.transcript.words import Words, rows_of

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
    return [segment.text for segment in group(passages, "en", grouping)[1]]


def paragraphs(*passages: Passage, grouping: Grouping | None = None) -> list[str]:
    return [paragraph.text for paragraph in group(passages, "en", grouping)[2]]


@settings(deadline=None)
@given(passages=passages_anyhow, duration=st.floats(0.1, 120))
def test_whatever_was_heard_the_transcript_is_sound(passages: list[Passage], duration: float) -> None:
    transcript = composed(*passages, duration=duration)
    words = transcript.words
    assert [word.text for word in words] == [word.text for one in passages for word in one.words]
    assert all(0 <= word.start <= word.end <= duration for word in words)
    assert all(before.start <= after.start for before, after in pairwise(words))
    inside = [segment.word_indexes(words) for segment in transcript.segments]
    assert sorted(chain.from_iterable(inside)) == list(range(len(words)))
    for segment, indexes in zip(transcript.segments, inside, strict=True):
        assert (indexes[0], indexes[-1]) == (segment.first_word, segment.last_word)
        assert segment.text == " ".join(words[index].text for index in indexes)
        assert {words[index].speaker for index in indexes} == {segment.speaker}
        assert segment.start <= segment.end
    assert all(before.first_word < after.first_word for before, after in pairwise(transcript.segments))
    numbers = [range(one.first_segment, one.last_segment + 1) for one in transcript.paragraphs]
    assert list(chain.from_iterable(numbers)) == list(range(len(transcript.segments)))
    assert transcript.text == " ".join(one.text for one in transcript.segments)
    assert transcript.text == " ".join(one.text for one in transcript.paragraphs)


@given(st.lists(words_anyhow, max_size=30), st.floats(0, 120))
def test_words_are_brought_inside_the_audio(words: list[Word], duration: float) -> None:
    inside = clamped(words, duration)
    assert [word.text for word in inside] == [word.text for word in words]
    assert all(0 <= word.start <= word.end <= duration for word in inside)
    assert all(before.start <= after.start for before, after in pairwise(inside))
    assert clamped(inside, duration) == inside


def test_words_that_fit_are_left_as_they_are() -> None:
    words = spoken("as they are")
    assert clamped(words, 100) == words


def clamped(words: Sequence[Word], duration: float) -> Sequence[Word]:
    return list(Words.of_rows(clamp_times(rows_of(words), duration)))


def interleaved(*voices: list[Word]) -> Passage:
    """The words of several speakers in the order of their starts, as the channels of a call are merged."""
    return Passage(GPU, sorted((word for words in voices for word in words), key=lambda word: word.start))


def test_who_speaks_meanwhile_does_not_break_a_speakers_sentence() -> None:
    call = interleaved(
        spoken("I think that we should go on Monday.", speaker=0), spoken("Yes, of course.", 1.1, speaker=1)
    )
    transcript = composed(call)
    assert [(one.speaker, one.text) for one in transcript.segments] == [
        (0, "I think that we should go on Monday."),
        (1, "Yes, of course."),
    ]
    assert transcript.text == "I think that we should go on Monday. Yes, of course."
    assert [word.text for word in transcript.words[:6]] == ["I", "think", "that", "Yes,", "we", "of"]


def test_segments_of_all_speakers_stand_in_the_order_of_their_starts() -> None:
    call = interleaved(spoken("Did you go? When was it?", speaker=0), spoken("I did. On Monday.", 0.9, speaker=1))
    assert segments(call) == ["Did you go?", "I did.", "When was it?", "On Monday."]


def test_a_pause_of_its_own_speaker_ends_a_segment_although_another_one_speaks_in_it() -> None:
    call = interleaved(
        [*spoken("and then", speaker=0), *spoken("she left", 4, speaker=0)],
        spoken("what happened after that may I ask", 0.8, speaker=1),
    )
    assert segments(call) == ["and then", "what happened after that may I ask", "she left"]


def test_a_sentence_is_a_segment() -> None:
    assert segments(Passage(GPU, spoken("One two. Three four? Five"))) == ["One two.", "Three four?", "Five"]


@pytest.mark.parametrize(("pause", "parts"), [(0.9, 1), (1.0, 2), (5.0, 2)])
def test_a_pause_ends_a_segment(pause: float, parts: int) -> None:
    before = Word(text="one", start=0, end=1)
    after = Word(text="two", start=1 + pause, end=8)
    assert len(segments(Passage(GPU, [before, after]))) == parts


def test_speech_without_full_stops_does_not_become_one_endless_segment() -> None:
    _, parts, _ = group([Passage(GPU, spoken("word " * 300))], "en")
    assert len(parts) > 3
    assert max(segment.end - segment.start for segment in parts) <= Grouping().segment_max_seconds


def test_another_speaker_starts_another_segment_and_paragraph() -> None:
    two = Passage(GPU, [*spoken("I see", speaker=0), *spoken("you do", 0.8, speaker=1)])
    assert segments(two) == ["I see", "you do"]
    _, parts, blocks = group([two], "en")
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
