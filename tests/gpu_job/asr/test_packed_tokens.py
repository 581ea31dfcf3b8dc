"""Packed tokens read as those that they were made of."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.asr.packed_tokens import PackedTokens, packed
from gpu_job.asr.tokens import Token

times = st.floats(0, 1e6)
tokens = st.builds(Token, st.text(), times, times, st.none() | st.floats(0, 1), st.booleans())


@given(st.lists(tokens), st.slices(8))
def test_they_read_as_what_they_were_made_of(made_of: list[Token], some: slice) -> None:
    kept = PackedTokens(made_of)
    assert list(kept) == made_of
    assert [kept[place] for place in range(-len(made_of), len(made_of))] == [*made_of, *made_of]
    assert kept[some] == tuple(made_of[some])
    assert kept == tuple(made_of)
    assert tuple(made_of) == kept
    assert hash(kept) == hash(tuple(made_of))
    assert packed(kept) is kept


def test_there_is_nothing_behind_the_last() -> None:
    kept = PackedTokens([Token(" a", 0.0, 0.1)])
    with pytest.raises(IndexError):
        _ = kept[1]
    assert kept != (Token(" b", 0.0, 0.1),)


def test_texts_that_come_again_take_no_further_memory() -> None:
    """As they come out of a checkpoint: equal texts, each a string of its own."""
    texts = ["".join([" wo", "rd"]) for _ in range(2)]
    first, second = PackedTokens([Token(text, math.pi, math.e, 0.5) for text in texts])
    assert first.text is second.text
    assert sys.getsizeof(PackedTokens(())) < 200
