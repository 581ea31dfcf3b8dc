"""In which language words are, and stretches that are in another one than what is around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gpu_job.languages.spoken import find_languages, likeliest_course
from gpu_job.languages.text_languages import TextLanguages
from shared.enums import Engine
from shared.transcript.model import Passage, WarningCode, Word

GERMAN = "Sabine kauft heute zwanzig rote Blumen. Wer sucht jetzt die alten Bücher im Garten?"
ENGLISH = "We opened the small window again. Where is the doctor who called you yesterday?"
FRENCH = "Il a ouvert la fenêtre hier soir. Où est le médecin qui vous a appelé ce matin?"
RUSSIAN = "Это не так хорошо."


def passage(*texts: str, sure: Sequence[float] = (), speaker: int | None = None) -> Passage:
    """Texts one after the other, three words a second."""
    words, clock = [], 0.0
    for text, confidence in zip(texts, sure or [0.99] * len(texts), strict=True):
        for word in text.split():
            words.append(Word(text=word, start=clock, end=clock + 0.3, confidence=confidence, speaker=speaker))
            clock += 1 / 3
    return Passage(Engine.PARAKEET_CPU, words)


def texts(passages: Sequence[Passage]) -> list[tuple[str | None, str]]:
    return [(one.language, " ".join(word.text for word in one.words)) for one in passages]


def scores(text: str) -> Mapping[str, float]:
    return TextLanguages(["de", "en", "fr", "ru", "nl", "es", "pl"]).log_probabilities(text)


@pytest.mark.parametrize(("text", "language"), [(GERMAN, "de"), (ENGLISH, "en"), (FRENCH, "fr"), (RUSSIAN, "ru")])
def test_a_recording_of_one_language_has_it_throughout(text: str, language: str) -> None:
    found = find_languages([passage(text, text)], scores)
    assert (found.language, found.flips, found.warnings) == (language, (), ())
    assert texts(found.passages) == [(language, f"{text} {text}")]


def test_a_recording_that_changes_its_language_has_both_and_no_word_is_lost() -> None:
    found = find_languages([passage(GERMAN, GERMAN, GERMAN), passage(ENGLISH, ENGLISH)], scores)
    assert texts(found.passages) == [("de", " ".join([GERMAN] * 3)), ("en", f"{ENGLISH} {ENGLISH}")]
    assert (found.language, found.flips) == ("de", ())


def test_a_short_foreign_sentence_is_no_change() -> None:
    found = find_languages([passage(GERMAN, "Happy Birthday, Ursula.", GERMAN)], scores)
    assert [language for language, _ in texts(found.passages)] == ["de"]


def test_a_stretch_in_another_script_of_which_the_model_was_less_sure_is_warned_of() -> None:
    found = find_languages([passage(GERMAN, RUSSIAN, GERMAN, sure=(0.99, 0.8, 0.99))], scores)
    assert [language for language, _ in texts(found.passages)] == ["de", "ru", "de"]
    (flip,) = found.flips
    assert (flip.language, flip.around) == ("ru", "de")
    assert flip.start == pytest.approx(len(GERMAN.split()) / 3)
    (warning,) = found.warnings
    assert warning.code is WarningCode.LANGUAGE_FLIPS
    assert "ru within de, at 5 s" in warning.message


def test_a_foreign_stretch_that_the_model_is_as_sure_of_is_quoted_speech() -> None:
    assert find_languages([passage(GERMAN, RUSSIAN, GERMAN)], scores).flips == ()


def test_each_speaker_has_a_language_of_their_own() -> None:
    german, english = passage(GERMAN, GERMAN, speaker=0), passage(ENGLISH, ENGLISH, speaker=1)
    mixed = sorted([*german.words, *english.words], key=lambda word: (word.start, word.speaker))
    found = find_languages([Passage(Engine.DEEPGRAM, mixed)], scores)
    by_speaker = {(word.speaker, one.language) for one in found.passages for word in one.words}
    assert by_speaker == {(0, "de"), (1, "en")}
    assert [word for one in found.passages for word in one.words] == mixed


def test_without_words_nothing_is_known() -> None:
    assert find_languages([], scores).language == "und"
    assert likeliest_course([]) == []
    assert likeliest_course([{}, {"de": 0.0}]) == ["und", "de"]


def test_the_detector_knows_languages_of_norway_under_their_common_code_and_keeps_what_it_is_asked_for() -> None:
    assert TextLanguages(["nb", "de"]).log_probabilities("Hvor er den gamle boken?").keys() == {"nb", "de"}
    everything = TextLanguages().log_probabilities(GERMAN)
    assert max(everything, key=lambda code: everything[code]) == "de"
    assert len(everything) > 100
