from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.written_form import phrases
from shared.enums import Engine
from shared.options.text_options import Numbers, TextOptions
from shared.transcript.editing.edit_words import edited
from shared.transcript.model import Passage, Word

IN_DIGITS, IN_WORDS = phrases()
NOT_MET = {
    "twenty twenty vision",
    "ten sixty six",
    "five to four",
    "nine eleven was terrible",
    "two fifty a piece",
    "one hundred thousandth",
}
"""Phrases of the benchmark that come out wrong; docs/benchmarks.md says so."""


def words(text: str) -> list[Word]:
    return [Word(text=one, start=at * 0.4, end=at * 0.4 + 0.3) for at, one in enumerate(text.split())]


def rewritten(heard: list[Word], numbers: Numbers, language: str = "en") -> list[Word]:
    passages = edited([Passage(Engine.DEEPGRAM, heard)], language, TextOptions(numbers=numbers))
    return [word for passage in passages for word in passage.words]


@pytest.mark.parametrize("phrase", IN_DIGITS, ids=lambda phrase: phrase.heard)
def test_a_phrase_is_written_in_digits(phrase: object) -> None:
    assert phrase.is_right == (phrase.heard not in NOT_MET), phrase.got  # type: ignore[attr-defined]


@pytest.mark.parametrize("phrase", IN_WORDS, ids=lambda phrase: phrase.heard)
def test_a_phrase_is_written_in_words(phrase: object) -> None:
    assert phrase.is_right, phrase.got  # type: ignore[attr-defined]


def test_both_engines_agree_once_they_are_normalised() -> None:
    parakeet = words("It costs twenty three dollars, at 10:30 a.m. on March twenty first.")
    deepgram = words("It costs $23, at ten thirty AM on March 21st.")
    for numbers, wanted in (
        (Numbers.WRITTEN, "It costs $23, at 10:30 AM on March 21st."),
        (Numbers.SPOKEN, "It costs twenty-three dollars, at ten thirty AM on March twenty-first."),
    ):
        for heard in (parakeet, deepgram):
            in_digits = rewritten(heard, Numbers.WRITTEN)
            assert " ".join(word.text for word in rewritten(in_digits, numbers)) == wanted


@pytest.mark.parametrize(
    ("language", "parakeet", "deepgram"),
    [
        # In words, as Parakeet has them, and as `numerals` or `smart_format` would have written them.
        ("en", "call five one zero in twenty three days for fifty percent", "call 510 in 23 days for 50%"),
        ("en", "one thousand two hundred fifty dollars at ten thirty a.m. today", "$1,250 at 10:30 AM today"),
        ("en", "on March twenty first nineteen eighty five", "on March 21st 1985"),
        ("en", "one thousand two hundred fifty people or twelve thousand", "1,250 people or 12,000"),
        ("de", "um halb elf für zwanzig Prozent", "um 10:30 Uhr für 20%"),
        ("es", "a las diez y media", "a las 10:30"),
    ],
)
def test_what_one_engine_has_in_words_and_the_other_in_digits_ends_the_same(
    language: str, parakeet: str, deepgram: str
) -> None:
    in_digits = [
        [word.text for word in rewritten(words(said), Numbers.WRITTEN, language)] for said in (parakeet, deepgram)
    ]
    assert in_digits[0] == in_digits[1]


def test_half_of_something_is_no_time() -> None:
    assert rewritten(words("halb so viel wie drei Leute"), Numbers.WRITTEN, "de")[0].text == "halb"
    said = [word.text for word in rewritten(words("diez y media docena"), Numbers.WRITTEN, "es")]
    assert said == ["10", "y", "media", "docena"]
    assert "1:30" not in [word.text for word in rewritten(words("la una y media docena"), Numbers.WRITTEN, "es")]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("nineteen ninety nine dollars", "$1,999"),
        ("it was fifteen fifty dollars then", "it was $1,550 then"),
        ("nineteen, ninety nine dollars", "19, $99"),
        ("in nineteen ninety nine", "in 1999"),
    ],
)
def test_sums_are_said_in_hundreds_too(said: str, written: str) -> None:
    assert " ".join(word.text for word in rewritten(words(said), Numbers.WRITTEN)) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("two or three hundred dollars", "$200 or $300"),
        ("ten to fifteen thousand people", "10,000 to 15,000 people"),
        ("one or two hundred came", "100 or 200 came"),
        # It may have grown from two,
        ("from two to three hundred", "from two to 300"),
        ("one to two hundred", "one to 200"),
        ("five hundred or six hundred", "500 or 600"),
        ("two and a half thousand dollars", "$2,500"),
        ("one and a half thousand people", "1500 people"),
    ],
)
def test_numbers_of_one_size(said: str, written: str) -> None:
    assert " ".join(word.text for word in rewritten(words(said), Numbers.WRITTEN)) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("it's about ten minutes to six", "it's about 5:50"),
        ("at ten minutes to six pm they left", "at 5:50 PM they left"),
        ("we cut it from twenty minutes to five", "we cut it from 20 minutes to 5"),
        ("cut from about twenty minutes to five", "cut from about 20 minutes to 5"),
        ("I need thirty minutes to one task", "I need 30 minutes to one task"),
        ("twenty minutes to one hour", "20 minutes to one hour"),
        ("it was a quarter to three", "it was 2:45"),
    ],
)
def test_minutes_to_an_hour_are_a_time_only_where_one_is_said(said: str, written: str) -> None:
    assert " ".join(word.text for word in rewritten(words(said), Numbers.WRITTEN)) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("dressed to the nines", "dressed to the nines"),
        ("at one point twelve people left", "at one point 12 people left"),
        ("at one point oh my god", "at one point oh my god"),
        ("it's seven thirty in court today", "it's 7 30 in court today"),
        ("ten fifteen minute drive", "10 15 minute drive"),
        ("thirteen fourteen year old road users", "13 14 year old road users"),
        ("a dollar ninety percent of the time", "a dollar 90% of the time"),
        ("at five past one of them left", "at 5 past one of them left"),
        ("a quarter to two friends", "a quarter to two friends"),
        ("at twenty past three is lunch", "at 3:20 is lunch"),
        ("twenty past one pm", "1:20 PM"),
        ("this one or five others", "this one or 5 others"),
        ("one in ten to one in five", "one in 10 to one in 5"),
        ("high fives", "high fives"),
        ("twenty four seven year olds", "247 year olds"),
        ("we live at twelve thirty four Main Street in Boston", "we live at 1234 Main Street in Boston"),
        ("meet me at seven twenty Main Street.", "meet me at 720 Main Street."),
    ],
)
def test_what_sounds_like_something_else(said: str, written: str) -> None:
    assert " ".join(word.text for word in rewritten(words(said), Numbers.WRITTEN)) == written


def test_a_number_has_the_time_of_its_words() -> None:
    first, number, last = rewritten(words("about twenty three people"), Numbers.WRITTEN)
    assert (number.text, number.start, number.end) == ("23", 0.4, pytest.approx(1.1))
    assert (first.end, last.start) == (0.3, pytest.approx(1.2))


def test_a_pause_parts_numbers() -> None:
    heard = words("twenty three")
    late = [heard[0], Word(text="three", start=3.0, end=3.4)]
    assert [word.text for word in rewritten(late, Numbers.WRITTEN)] == ["20", "3"]


def test_a_language_whose_numbers_are_not_known_stays_as_it_is() -> None:
    heard = words("двадцать три 23")
    assert rewritten(heard, Numbers.WRITTEN, "ru") == heard
    assert rewritten(heard, Numbers.SPOKEN, "ru") == heard


SPOKEN = (
    *("twenty", "three", "hundred", "million", "dollars", "cents", "percent", "march", "first", "oh", "point", "a"),
    *("half", "past", "ten"),
)
SIGNS = ("$5", "10:30", "1,250", "21st", "25%", "a.m.", "-", "...", "0", "9" * 40, "1980s", "12.5.3")
TEXTS = st.one_of(st.sampled_from(SPOKEN + SIGNS), st.text(min_size=1, max_size=8).filter(str.strip))


@given(st.lists(TEXTS, max_size=12), st.sampled_from(Numbers), st.sampled_from(["en", "de-DE", "fr", "es", "it"]))
def test_whatever_was_heard_times_run_forwards_and_no_text_is_empty(
    heard: list[str], numbers: Numbers, language: str
) -> None:
    spoken = [Word(text=text, start=at * 0.4, end=at * 0.4 + 0.3) for at, text in enumerate(heard)]
    after = rewritten(spoken, numbers, language)
    assert all(left.start <= right.start for left, right in pairwise(after))
    assert all(word.text for word in after)
    assert bool(after) == bool(heard)


def test_each_passage_is_edited_by_the_rules_of_its_own_language() -> None:
    passages = [
        Passage(Engine.PARAKEET_CPU, words("twenty percent"), "en"),
        Passage(Engine.PARAKEET_CPU, words("zwanzig Prozent von drei Euro fünfzig"), "de"),
        Passage(Engine.PARAKEET_CPU, words("двадцать"), "ru"),
    ]
    texts = [[word.text for word in one.words] for one in edited(passages, "en", TextOptions(numbers=Numbers.WRITTEN))]
    assert texts == [["20%"], ["20%", "von", "3,50\u00a0€"], ["двадцать"]]
