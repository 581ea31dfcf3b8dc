"""Key terms as people write them: in metadata, and in a list in the bucket."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.keyterms.terms import (
    LONGEST_KEYTERM,
    MOST_FILE_BYTES,
    MOST_KEYTERMS,
    Keyterm,
    is_keyterms_file,
    joined,
    merged,
    parse_keyterms,
    parse_keyterms_file,
)


def test_phrases_with_and_without_weights() -> None:
    assert parse_keyterms("Parakeet:2; Cloud  Run ;;C++:0.5") == (
        Keyterm(phrase="Parakeet", weight=2),
        Keyterm(phrase="Cloud Run"),
        Keyterm(phrase="C++", weight=0.5),
    )


@pytest.mark.parametrize(
    ("text", "phrase", "weight"),
    [
        ("Mission: Impossible", "Mission: Impossible", 1.0),
        ("ratio 3:1:1", "ratio 3:1", 1.0),
        ("Ångström", "\u00c5ngstr\u00f6m", 1.0),
        ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m", 1.0),
        ("東京:1.5", "東京", 1.5),
    ],
)
def test_what_is_phrase_and_what_weight(text: str, phrase: str, weight: float) -> None:
    (term,) = parse_keyterms(text)
    assert term == Keyterm(phrase=phrase, weight=weight)
    assert parse_keyterms(str(term)) == (term,)


def test_a_phrase_counts_once_with_its_higher_weight() -> None:
    assert parse_keyterms("a:2; b; a; b:3") == (Keyterm(phrase="a", weight=2), Keyterm(phrase="b", weight=3))
    terms = parse_keyterms("Cloud Run; Parakeet:2.5; ratio 3:1:1")
    assert parse_keyterms(joined(terms)) == terms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x:9", "weight of 'x'"),
        ("x:0", "weight of 'x'"),
        ("x:1e999", "weight of 'x'"),
        (":2", "is no phrase"),
        ("a\x00b", "is no phrase"),
        ("a\u202eb", "is no phrase"),
        ("!!!", "no letter and no digit"),
        ("x" * (LONGEST_KEYTERM + 1), "longer than"),
        ("; ".join(f"w{number}" for number in range(MOST_KEYTERMS + 1)), "more than 200"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_keyterms(text)


def test_as_many_as_are_allowed() -> None:
    terms = parse_keyterms("; ".join(f"{'w' * (LONGEST_KEYTERM - 3)}{number}" for number in range(MOST_KEYTERMS)))
    assert len(merged([*terms, *terms])) == MOST_KEYTERMS


def test_a_list_in_the_bucket() -> None:
    text = "\ufeff# of the ward\nParakeet:2\r\n\n  Cloud Run\n"
    assert parse_keyterms_file("keyterms.txt", text.encode()) == parse_keyterms("Parakeet:2; Cloud Run")
    assert parse_keyterms_file("keyterms.txt", b"") == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"fine\nbad;term\n", "line 2"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * (MOST_FILE_BYTES + 1), "64 KiB"),
        (b"\n".join(b"w%d" % number for number in range(MOST_KEYTERMS + 1)), "more than 200"),
        (b"x" * MOST_FILE_BYTES, "line 1"),
    ],
)
def test_a_bad_list_is_rejected_with_its_name(content: bytes, why: str) -> None:
    with pytest.raises(Rejected, match=why) as error:
        parse_keyterms_file("lists/ward.keyterms.txt", content)
    assert "lists/ward.keyterms.txt" in error.value.reason
    assert len(error.value.reason) < 500


@pytest.mark.parametrize(
    ("name", "is_list"),
    [
        ("keyterms.txt", True),
        ("calls/keyterms.txt", True),
        ("lists/ward.KEYTERMS.txt", True),
        ("lists/mykeyterms.txt", False),
        ("keyterms.txt/a.mp3", False),
        ("calls/a.mp3", False),
    ],
)
def test_which_objects_are_lists(name: str, is_list: bool) -> None:
    assert is_keyterms_file(name) is is_list
