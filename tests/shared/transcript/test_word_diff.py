"""Word diffs: which words of two transcripts differ, and when they are said."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transcript.model import Word
from shared.transcript.word_diff import Change, word_diff


def words(text: str) -> list[Word]:
    """A word a second."""
    return [Word(text=one, start=float(index), end=index + 0.5) for index, one in enumerate(text.split())]


def texts(some: Sequence[Word]) -> str:
    return " ".join(word.text for word in some)


def test_changes_have_their_words_and_times() -> None:
    diff = word_diff(words("the quick brown fox jumps over a dog"), words("the quick red fox jumped over a lazy dog"))
    assert [(one.change, one.start, texts(one.before), texts(one.after)) for one in diff.changes] == [
        (Change.CHANGED, 2.0, "brown", "red"),
        (Change.CHANGED, 4.0, "jumps", "jumped"),
        (Change.INSERTED, 7.0, "", "lazy"),
    ]
    assert diff.counts == {Change.CHANGED: 2, Change.INSERTED: 1, Change.DELETED: 0}
    assert diff.rate == pytest.approx(3 / 8)


def test_case_and_punctuation_are_no_difference() -> None:
    assert word_diff(words("Hello, World! \u201cFine.\u201d"), words("hello world fine")).changes == ()
    assert word_diff(words("Stra\u00dfe \u4f60\u597d\u3002"), words("STRASSE \u4f60\u597d")).changes == ()


def test_three_words_that_become_two_are_two_changed_and_one_deleted() -> None:
    diff = word_diff(words("so a b c on"), words("so x y on"))
    assert diff.counts == {Change.CHANGED: 2, Change.INSERTED: 0, Change.DELETED: 1}


def test_without_words_there_is_no_rate() -> None:
    assert word_diff([], words("all new")).rate is None
    assert word_diff([], words("all new")).counts[Change.INSERTED] == 2
    assert word_diff(words("all gone"), []).rate == 1


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_the_changes_turn_one_text_into_the_other(before: list[str], after: list[str]) -> None:
    left, right = words(" ".join(before)), words(" ".join(after))
    diff, made, at = word_diff(left, right), [], 0
    for one in diff.changes:
        inserted_at = at + right.index(one.after[0], len(made)) - len(made) if one.after else at
        begin = left.index(one.before[0], at) if one.before else inserted_at
        made += [word.text for word in left[at:begin]] + [word.text for word in one.after]
        at = begin + len(one.before)
    assert [*made, *(word.text for word in left[at:])] == after
