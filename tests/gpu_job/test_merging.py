"""Merging: what two overlapping chunks heard becomes one text, with nothing lost, doubled, glued or made up."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_job.merging import TOLERANCE_SECONDS, Stretch, kept, seam
from gpu_job.tokens import Token, words_of

START, END = 8.0, 10.0
"""What both chunks hear."""
FRAME = 0.08
PIECES = (" a", " b", " c", " d", "x", "y", "z", ".")


@st.composite
def speech(draw: st.DrawFn) -> list[Token]:
    """Eighteen seconds of tokens that begins with a word, in which a word said twice is told apart by its time."""
    texts = [" a", *draw(st.lists(st.sampled_from(PIECES), min_size=20, max_size=60))]
    lengths = draw(st.lists(st.integers(2, 5), min_size=len(texts), max_size=len(texts)))
    starts = [0, *accumulate(frames + 2 for frames in lengths)]
    return [
        Token(text, start * FRAME, (start + frames) * FRAME)
        for text, start, frames in zip(texts, starts, lengths, strict=False)
    ]


def heard_left(truth: list[Token]) -> list[Token]:
    return [token for token in truth if token.end <= END]


def heard_right(truth: list[Token]) -> list[Token]:
    """Of a chunk that starts within a word, only later words: half a word would be another one."""
    tokens = [token for token in truth if token.start >= START]
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


@given(speech())
def test_two_that_heard_the_same_give_exactly_what_was_said(truth: list[Token]) -> None:
    assert merged(heard_left(truth), heard_right(truth)) == truth


@given(speech(), st.lists(st.floats(-0.5, 0.5), min_size=100, max_size=100))
def test_times_may_differ_by_the_tolerance(truth: list[Token], shares: list[float]) -> None:
    shifts = [share * TOLERANCE_SECONDS for share in shares]
    right = [token.later(shift) for token, shift in zip(heard_right(truth), shifts, strict=False)]
    if right and min(token.start for token in right) >= START:
        spoken = [(token.text, round(token.start / FRAME)) for token in truth]
        together = merged(heard_left(truth), right)
        assert texts(together) == texts(truth), spoken
        assert all(before.start - after.start <= TOLERANCE_SECONDS for before, after in pairwise(together))


@given(speech(), st.booleans())
def test_one_who_heard_nothing_in_the_overlap_takes_nothing_from_the_other(truth: list[Token], left: bool) -> None:
    first, second = heard_left(truth), heard_right(truth)
    if left:
        first = [token for token in first if token.end <= START]
        assert merged(first, second) == first + second
    else:
        second = [token for token in second if token.start >= END]
        assert merged(first, second) == first + second


@given(speech(), st.integers(0, 4), st.integers(0, 4))
def test_words_dropped_at_the_edges_come_from_the_other_side(truth: list[Token], ends: int, begins: int) -> None:
    left, right = heard_left(truth), heard_right(truth)
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


@settings(max_examples=300)
@given(speech(), speech(), st.sampled_from([0.0, 6.0, 8.0, 9.5]))
def test_whatever_was_heard(first: list[Token], second: list[Token], later: float) -> None:
    left = heard_left(first)
    right = heard_right([token.later(later) for token in second])
    keep, begin = seam(left, right, START, END)
    assert all(token.end > START for token in left[keep:])
    assert all(token.start < END for token in right[:begin])
    # Words are whole on both sides: each was heard so by one of the two.
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


@given(speech(), st.lists(st.floats(2.0, 5.0), min_size=1, max_size=6), st.data())
def test_a_row_of_chunks_gives_the_whole(truth: list[Token], lengths: list[float], data: st.DataObject) -> None:
    """Some overlap by a second, some meet; each hears the whole words inside."""
    stretches, begin = [], 0.0
    for length in lengths:
        end = begin + length
        tokens = [token for token in heard_right_of(truth, begin) if token.end <= end]
        stretches.append(Stretch(begin, end, tokens))
        begin = end - 1.0
    tokens = [token for each, keep in zip(stretches, kept(stretches), strict=True) for token in each.tokens[keep]]
    assert tokens == [token for token in truth if token.end <= stretches[-1].end]


def heard_right_of(truth: list[Token], begin: float) -> list[Token]:
    tokens = [token for token in truth if token.start >= begin]
    first = next((index for index, token in enumerate(tokens) if token.begins_word), len(tokens))
    return tokens[first:]


def test_chunks_that_only_meet_keep_everything() -> None:
    first, second = Stretch(0.0, 2.0, at(0.1, " a", " b")), Stretch(2.0, 4.0, at(2.1, " b", " c"))
    assert kept([first, second]) == [slice(0, 2), slice(0, 2)]
    assert kept([]) == []
