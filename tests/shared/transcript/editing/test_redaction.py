"""Redaction of a transcript whose words were edited before, or whose speakers are not sure."""

from __future__ import annotations

import pytest

from shared.enums import Engine
from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.redaction.kinds import Redact
from shared.redaction.request import RedactionRequest
from shared.transcript.compose import compose
from shared.transcript.editing.edit_words import edited
from shared.transcript.editing.redaction import redact_transcript
from shared.transcript.model import Passage, Word
from shared.transcript.render import render


def redacted(said: str, text: TextOptions, *terms: str, speakers: tuple[int | None, ...] = (None,)) -> str:
    """What is written of `said`, without these terms or, where there are none, personal data. `speakers`: of the words
    in turn."""
    request = RedactionRequest(kinds=(Redact.CUSTOM if terms else Redact.PII,), terms=terms)
    words = [
        Word(text=one, start=at * 0.4, end=at * 0.4 + 0.3, speaker=speakers[at % len(speakers)])
        for at, one in enumerate(said.split())
    ]
    transcript = compose(
        job_id="0" * 24,
        source="gs://uploads/a.ogg",
        duration=60.0,
        language="en",
        model="m",
        passages=edited([Passage(Engine.DEEPGRAM, words)], "en", text, request),
    )
    return " ".join(word.text for word in redact_transcript(transcript, request)[0].words)


WRITTEN = TextOptions(numbers=Numbers.WRITTEN)


@pytest.mark.parametrize(
    ("said", "text", "term", "written"),
    [
        ("call five one zero now", WRITTEN, "five one zero", "call [REDACTED] now"),
        ("call five one zero nine in twenty two days", WRITTEN, "five one zero", "call [REDACTED] 9 in 22 days"),
        ("room 510 of 23", TextOptions(numbers=Numbers.SPOKEN), "510", "room [REDACTED] of twenty-three"),
        ("that shit show", TextOptions(profanity=Profanity.MASK), "shit show", "that [REDACTED]"),
        ("the project uh blue", TextOptions(fillers=Fillers.DROP), "project blue", "the [REDACTED]"),
    ],
)
def test_terms_are_found_however_words_are_to_be_written(said: str, text: TextOptions, term: str, written: str) -> None:
    assert redacted(said, text, term) == written


def test_a_term_is_found_where_the_speaker_is_mistaken_in_it() -> None:
    assert redacted("the project blue is", TextOptions(), "project blue", speakers=(0, 0, None, 0)) == (
        "the [REDACTED] [REDACTED] is"
    )


def test_a_number_is_found_where_the_speaker_is_unknown_in_it() -> None:
    said = "call five five five oh one two three now"
    assert redacted(said, TextOptions(), speakers=(0, 0, 0, 0, None, None, 0, 0, 0)) == ("call [PHONE] [PHONE] now")
    # What two people say in turn is nobody's number,
    assert "[" not in redacted("one two three four five six", TextOptions(), speakers=(0, 0, 0, 1, 1, 1))
    # unless its digits or the words around say what it is.
    said = "my card is four one one one one one one one one one one one one one one one"
    assert redacted(said, TextOptions(), speakers=(*(0,) * 11, *(1,) * 8)) == "my card is [CARD] [CARD]"


def test_a_number_is_found_where_who_takes_it_down_says_yes_in_between() -> None:
    said = "call five five five yes oh one two right three now"
    assert redacted(said, TextOptions(), speakers=(0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)) == "call [PHONE] yes right now"
    assert redacted(said, TextOptions()) == "call [PHONE] now"


@pytest.mark.parametrize(
    ("said", "turns", "written"),
    [
        ("My name is Sarah Quux and I call", (4, 4), "My name is [NAME] [NAME] and I call"),
        ("this is sarah connor calling", (3, 2), "this is [NAME] [NAME] calling"),
        ("And your name is? Wendelin Quux. I called.", (4, 4), "And your name is? [NAME]. I called."),
        ("may i have your last name it's quux", (6, 2), "may i have your last name it's [NAME]"),
        ("So what's your name please? Wendelin Quux.", (5, 2), "So what's your name please? [NAME]."),
        ("So may I have your first name? Grace. I called.", (7, 3), "So may I have your first name? [NAME]. I called."),
        ("So may I have your last name? Young.", (7, 1), "So may I have your last name? [NAME]."),
        ("So may I have your last name? Good. It is long.", (7, 4), "So may I have your last name? Good. It is long."),
        ("So that was his last name. May I go?", (6, 3), "So that was his last name. May I go?"),
        # What somebody else goes on with is no name,
        ("My name is Sarah Okay Sarah thank you", (4, 4), "My name is [NAME] Okay [NAME] thank you"),
        (
            "May I have your last name? Certainly. It is long.",
            (6, 4),
            "May I have your last name? Certainly. It is long.",
        ),
        ("So your last name is? Pardon? I did not hear.", (5, 5), "So your last name is? Pardon? I did not hear."),
        # nor is an answer that says more.
        ("tell me your last name gladly sir", (5, 2), "tell me your last name gladly sir"),
    ],
)
def test_a_name_of_two_turns_is_found(said: str, turns: tuple[int, int], written: str) -> None:
    speakers = (*(0,) * turns[0], *(1,) * turns[1])
    assert len(speakers) == len(said.split())
    assert redacted(said, TextOptions(), speakers=speakers) == written


@pytest.mark.parametrize(
    "said", ["my name is wendelin quux and", "card four one one one got it one one seven three and"]
)
@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("speakers", [(None,), (0,)])
def test_no_file_has_it_wherever_the_engines_meet(said: str, cut: int, speakers: tuple[int | None, ...]) -> None:
    request = RedactionRequest(kinds=(Redact.PII, Redact.CUSTOM), terms=("quux",))
    words = [
        Word(text=one, start=at * 0.4, end=at * 0.4 + 0.3, speaker=speakers[at % len(speakers)])
        for at, one in enumerate(said.split())
    ]
    heard = compose(
        job_id="0" * 24,
        source="gs://uploads/a.ogg",
        duration=60.0,
        language="en",
        model="m",
        passages=[Passage(Engine.PARAKEET_CPU, words[:cut]), Passage(Engine.DEEPGRAM, words[cut:])],
    )
    redacted_transcript, _ = redact_transcript(heard, request)
    files = render(redacted_transcript)
    assert len(files) == 8
    for file in files:
        for secret in {"wendelin", "quux", "seven"} & set(said.split()):
            assert secret not in file.data.decode().lower(), file.name
