"""Merging: what two overlapping chunks recognized becomes one text, with nothing lost, doubled, glued or made up."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.asr.tokens import Token, words_of
from gpu_job.assembly.merge import TOLERANCE_SECONDS, ChunkTokens, kept_slices, seam

START, END = 8.0, 10.0
"""What both chunks contain."""
FRAME = 0.08
WORDS = [(" a",), (" b",), (" c", "x"), (" d", "x", "y"), (" e", "."), (" f", "y")]


def speech_of(seed: int) -> list[Token]:
    """Sixteen seconds of words, up to 0.8 s long; no two alike follow each other."""
    dice = random.Random(seed)
    tokens: list[Token] = []
    frame = 0
    before: tuple[str, ...] = ()
    while frame * FRAME < 16:
        before = dice.choice([word for word in WORDS if word != before])
        for text in before:
            length = dice.randint(2, 3)
            tokens.append(Token(text, frame * FRAME, (frame + length) * FRAME))
            frame += length
        frame += dice.choice((1, 1, 2, 8))
    return tokens


SPEECH = st.integers(0, 10**9).map(speech_of)
examples = settings(max_examples=100, deadline=None)


def tokens_left(truth: list[Token]) -> list[Token]:
    return [token for token in truth if token.end <= END]


def tokens_right(truth: list[Token], begin: float = START) -> list[Token]:
    """Of a chunk that starts within a word, only later words: half a word would be another one."""
    tokens = [token for token in truth if token.start >= begin]
    first = next((index for index, token in enumerate(tokens) if token.begins_word), len(tokens))
    return tokens[first:]


def merged(left: list[Token], right: list[Token], start: float = START, end: float = END) -> list[Token]:
    keep, begin = seam(left, right, start, end)
    assert 0 <= keep <= len(left)
    assert 0 <= begin <= len(right)
    return left[:keep] + right[begin:]


def texts(tokens: list[Token]) -> list[str]:
    return [token.text for token in tokens]


def whole_words(tokens: list[Token]) -> list[Token]:
    """Without the last word: where its chunk ends it may be but half."""
    last = max((index for index, token in enumerate(tokens) if token.begins_word), default=0)
    return tokens[:last]


@examples
@given(SPEECH)
def test_two_with_the_same_tokens_give_exactly_what_was_said(truth: list[Token]) -> None:
    assert merged(tokens_left(truth), tokens_right(truth)) == truth


@examples
@given(SPEECH, st.integers(0, 10**9))
def test_times_may_differ(truth: list[Token], seed: int) -> None:
    """Each by half the tolerance, one way or the other."""
    dice = random.Random(seed)
    right = tokens_right(truth)
    shifted = [token.later(dice.uniform(-0.5, 0.5) * TOLERANCE_SECONDS) for token in right]
    together = merged(tokens_left(truth), shifted)
    assert texts(together) == texts(truth)
    assert all(before.start - after.start <= TOLERANCE_SECONDS for before, after in pairwise(together))


@examples
@given(SPEECH, st.booleans())
def test_one_without_tokens_in_the_overlap_takes_nothing_from_the_other(truth: list[Token], left: bool) -> None:
    first, second = tokens_left(truth), tokens_right(truth)
    if left:
        first = [token for token in first if token.end <= START]
        assert merged(first, second) == first + second
    else:
        second = [token for token in second if token.start >= END]
        assert merged(first, second) == first + second


@examples
@given(SPEECH, st.integers(0, 4), st.integers(0, 4))
def test_words_dropped_at_the_edges_come_from_the_other_side(truth: list[Token], ends: int, begins: int) -> None:
    left, right = tokens_left(truth), tokens_right(truth)
    for _ in range(ends):
        if whole_words(left) and whole_words(left)[-1].end > START:
            left = whole_words(left)
    for _ in range(begins):
        following = next((i for i, token in enumerate(right[1:], 1) if token.begins_word), None)
        # What neither side hears cannot come back.
        if following is not None and left[-1].end > right[following].start:
            right = right[following:]
    if right and left[-1].end >= right[0].start - FRAME * 2.5:
        assert texts(merged(left, right)) == texts(truth)


@examples
@given(SPEECH, SPEECH, st.sampled_from([0.0, 6.0, 8.0, 9.5]))
def test_any_two_token_lists(first: list[Token], second: list[Token], later: float) -> None:
    left = tokens_left(first)
    right = tokens_right([token.later(later) for token in second])
    keep, begin = seam(left, right, START, END)
    assert all(token.end > START for token in left[keep:])
    assert all(token.start < END for token in right[:begin])
    # Words are whole on both sides: each was recognized so by one of the two.
    assert keep == len(left) or left[keep].begins_word
    assert begin == len(right) or begin == 0 or right[begin].begins_word
    made = {(word.text, word.start) for word in words_of(left[:keep] + right[begin:])}
    assert made <= {(word.text, word.start) for word in [*words_of(left), *words_of(right)]}


def at(start: float, *pieces: str, step: float = 0.3) -> list[Token]:
    return [Token(text, start + index * step, start + index * step + 0.24) for index, text in enumerate(pieces)]


def test_half_a_word_at_the_end_gives_way_to_the_whole_one() -> None:
    left = at(8.2, " who", " found", " os")
    right = at(8.5, " found", " os", "car", " yes", "ter", "day")
    assert texts(merged(left, right, 8.2, 9.1)) == [" who", " found", " os", "car", " yes", "ter", "day"]


def test_half_a_word_at_the_start_gives_way_to_the_whole_one() -> None:
    left = at(8.2, " who", " found", " os", "car")
    right = at(9.1, "car", " yes", "ter", "day")
    assert texts(merged(left, right, 9.0, 9.4)) == [" who", " found", " os", "car", " yes", "ter", "day"]


def test_halves_of_two_words_are_never_glued() -> None:
    left = at(8.2, " some", "thing")
    right = at(8.2, " any", "thing", "s")
    assert "".join(texts(merged(left, right, 8.0, 9.5))) in (" something", " anythings")


def test_a_word_that_one_side_missed_between_two_matches_stays() -> None:
    whole, short = at(8.2, " a", " b", " c"), [*at(8.2, " a"), *at(8.8, " c")]
    assert texts(merged(whole, short)) == texts(merged(short, whole)) == [" a", " b", " c"]


def test_what_the_edge_made_of_a_cut_word_goes() -> None:
    left = [*at(8.2, " the", " old"), *at(8.8, " how")]
    right = [*at(8.2, " he", " old"), *at(8.8, " house", " is")]
    assert texts(merged(left, right, 8.2, 9.0)) == [" the", " old", " house", " is"]


def test_a_word_said_twice_is_kept_twice() -> None:
    left, right = at(8.2, " no", " no", " no"), at(8.5, " no", " no", " no")
    assert texts(merged(left, right)) == [" no"] * 4


def test_without_a_match_both_stay_to_the_middle_and_no_place_is_left_blank() -> None:
    left, right = at(8.0, " a", " b", " c", " d", " e", " f"), at(8.1, " u", " v", " w", " x", " y", " z")
    together = merged(left, right)
    assert len(together) >= 6
    assert all(after.start - before.end <= 0.3 for before, after in pairwise(together))
    assert texts(together)[0] == " a"
    assert texts(together)[-1] == " z"


@examples
@given(SPEECH, st.lists(st.floats(2.0, 5.0), min_size=1, max_size=6))
def test_a_row_of_chunks_gives_the_whole(truth: list[Token], lengths: list[float]) -> None:
    chunks, begin = [], 0.0
    for length in lengths:
        end = begin + length
        tokens = [token for token in tokens_right(truth, begin) if token.end <= end]
        chunks.append(ChunkTokens(begin, end, tokens))
        begin = end - 1.0
    tokens = [token for each, keep in zip(chunks, kept_slices(chunks), strict=True) for token in each.tokens[keep]]
    assert tokens == [token for token in truth if token.end <= begin + 1.0]


def test_chunks_that_only_meet_keep_everything() -> None:
    first, second = ChunkTokens(0.0, 2.0, at(0.1, " a", " b")), ChunkTokens(2.0, 4.0, at(2.1, " b", " c"))
    assert kept_slices([first, second]) == [slice(0, 2), slice(0, 2)]
    assert kept_slices([]) == []
