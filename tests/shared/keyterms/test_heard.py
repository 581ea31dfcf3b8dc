"""The report of key terms: how often each stands in the transcript, and where that is doubtful."""

from __future__ import annotations

from dataclasses import replace

from shared.enums import Engine
from shared.keyterms.heard import heard_terms
from shared.keyterms.report import MOST_DOUBTFUL, DoubtfulTerm, EngineTerms
from shared.keyterms.terms import parse_keyterms
from shared.transcript.compose import compose
from shared.transcript.json_files.transcript_json import transcript_json
from shared.transcript.model import Passage, Transcript, Word, with_keyterms


def spoken(
    text: str, *, speaker: int | None = None, unsure: frozenset[str] = frozenset(), at: float = 0.0
) -> list[Word]:
    return [
        Word(
            text=word,
            start=at + number,
            end=at + number + 0.5,
            confidence=0.1 if word in unsure else 0.9,
            speaker=speaker,
        )
        for number, word in enumerate(text.split())
    ]


def transcript(words: list[Word]) -> Transcript:
    passages = [Passage(Engine.PARAKEET_CPU, words)]
    return compose(job_id="j", source="s", duration=500, language="en", model="m", passages=passages)


def test_capitals_and_punctuation_do_not_matter() -> None:
    words = spoken("Cloud Run, is cloud run. Run cloud cloud-run CLOUD RUN")
    assert [term.heard for term in heard_terms(words, parse_keyterms("cloud run; Run; Kubernetes; cloudrun"))] == [
        3,
        4,
        0,
        1,
    ]


def test_a_phrase_is_one_speakers() -> None:
    words = sorted(spoken("cloud run", speaker=0) + spoken("yes no", speaker=1, at=0.4), key=lambda word: word.start)
    assert next(iter(heard_terms(words, parse_keyterms("cloud run")))).heard == 1
    assert next(iter(heard_terms(words, parse_keyterms("cloud yes")))).heard == 0


def test_a_term_is_doubtful_where_one_of_its_words_is() -> None:
    words = spoken("Cloud Run or Cloud run", unsure="run")
    (term,) = heard_terms(words, parse_keyterms("Cloud Run"))
    assert (term.heard, term.doubtful_count) == (2, 1)
    assert term.doubtful == (DoubtfulTerm(start=3, end=4.5, text="Cloud run", confidence=0.1),)


def test_of_many_doubtful_places_the_first_are_listed() -> None:
    words = spoken("run " * (MOST_DOUBTFUL + 7), unsure="run")
    (term,) = heard_terms(words, parse_keyterms("run"))
    assert (term.doubtful_count, len(term.doubtful)) == (MOST_DOUBTFUL + 7, MOST_DOUBTFUL)


def test_without_confidences_nothing_is_doubtful() -> None:
    words = [replace(word, confidence=None) for word in spoken("cloud run")]
    (term,) = heard_terms(words, parse_keyterms("cloud run"))
    assert (term.heard, term.doubtful) == (1, ())


def test_the_transcript_says_who_favoured_what() -> None:
    plain = transcript(spoken("cloud run"))
    assert with_keyterms(plain, (), ()) is plain
    assert "keyterms" not in transcript_json(plain)
    engines = [
        EngineTerms(engine=Engine.PARAKEET_CPU, favoured=True, left_out=("東京",), reason="letters"),
        EngineTerms(engine=Engine.DEEPGRAM, favoured=True),
    ]
    report = transcript_json(with_keyterms(plain, parse_keyterms("Cloud Run:2; 東京"), engines))["keyterms"]
    assert [(term["phrase"], term["weight"], term["heard"]) for term in report["terms"]] == [
        ("Cloud Run", 2, 1),
        ("東京", 1, 0),
    ]
    assert [engine["engine"] for engine in report["engines"]] == ["parakeet-cpu"]
