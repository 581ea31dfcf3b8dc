"""Which chunks are in another language than those around them, and which hearing of them is kept."""

from __future__ import annotations

import pytest

from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.languages.chunk_flips import FlippedChunk, HeardChunk, Way, flipped_chunks, heard_chunk, is_better
from gpu_job.languages.text_languages import TextLanguages

LANGUAGES = TextLanguages(["de", "en", "fr"]).log_probabilities
GERMAN = "Sabine kauft heute zwanzig rote Blumen. Wer sucht jetzt die alten Bücher im Garten?"
ENGLISH = "We opened the small window again. Where is the doctor who called you yesterday?"


def chunk(number: int, text: str, sure: float | None = 0.99, channel: int = 0, seconds: int = 20) -> HeardChunk:
    first = number * seconds * SAMPLE_RATE
    tokens = [Token(f" {word}", 0.0, 0.1, sure) for word in text.split()]
    found = heard_chunk(channel, first, first + seconds * SAMPLE_RATE, tokens, LANGUAGES)
    assert found is not None
    return found


def flips(*chunks: HeardChunk, known: str | None = None) -> list[tuple[int, str, str]]:
    found = flipped_chunks(chunks, known)
    return [(one.heard.first // (20 * SAMPLE_RATE), one.language, one.around) for one in found]


@pytest.mark.parametrize("known", [None, "de"])
def test_a_less_sure_chunk_in_another_language_than_both_neighbours_is_a_flip(known: str | None) -> None:
    chunks = [chunk(0, GERMAN), chunk(1, ENGLISH, 0.8), chunk(2, GERMAN)]
    assert flips(*reversed(chunks), known=known) == [(1, "en", "de")]


@pytest.mark.parametrize("place", [0, 2])
def test_so_is_one_at_an_end_of_the_recording(place: int) -> None:
    texts = [GERMAN] * 3
    texts[place] = ENGLISH
    assert flips(*(chunk(at, text, 0.8 if at == place else 0.99) for at, text in enumerate(texts))) == [
        (place, "en", "de")
    ]


@pytest.mark.parametrize("sure", [0.99, None])
def test_what_the_model_was_as_sure_of_or_says_nothing_of_is_believed(sure: float | None) -> None:
    assert flips(chunk(0, GERMAN), chunk(1, ENGLISH, sure), chunk(2, GERMAN)) == []


def test_a_long_stretch_is_believed_and_so_is_a_recording_of_two_halves() -> None:
    assert flips(chunk(0, GERMAN), *(chunk(at, ENGLISH, 0.8) for at in (1, 2, 3)), chunk(4, GERMAN)) == []
    assert flips(chunk(0, GERMAN), chunk(1, ENGLISH, 0.8)) == []


def test_channels_have_languages_of_their_own() -> None:
    left, right = [chunk(at, GERMAN) for at in range(3)], [chunk(at, ENGLISH, 0.8, channel=1) for at in range(3)]
    assert flips(*left, *right) == []


def test_an_owner_who_is_mistaken_has_nothing_heard_again() -> None:
    assert flips(*(chunk(at, ENGLISH, 0.8) for at in range(3)), known="de") == []


def test_too_few_words_say_nothing() -> None:
    assert heard_chunk(0, 0, 1, [Token(" Danke.", 0.0, 0.1, 0.9)], LANGUAGES) is None
    assert heard_chunk(0, 0, 1, [], LANGUAGES) is None


@pytest.mark.parametrize(
    ("text", "sure", "way", "kept"),
    [
        (GERMAN, 0.85, Way.CONTEXT, True),
        (GERMAN, 0.75, Way.CONTEXT, False),
        (ENGLISH, 0.99, Way.CONTEXT, False),
        (GERMAN, 0.85, Way.TOLD, True),
        (GERMAN, 0.85, Way.MODEL, False),
        (GERMAN, 0.95, Way.MODEL, True),
        (GERMAN, None, Way.TOLD, False),
    ],
)
def test_the_second_hearing_is_kept_where_it_is_in_the_language_around_and_surer(
    text: str, sure: float | None, way: Way, kept: bool
) -> None:
    flipped = FlippedChunk(chunk(1, ENGLISH, 0.8), "en", "de")
    assert is_better(flipped, chunk(1, text, sure), way) is kept
    assert not is_better(flipped, None, way)
