"""Arithmetic on intervals."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from gpu_job.audit import intervals
from gpu_job.audit.intervals import Span, merge_close

TENTHS = st.integers(0, 40).map(lambda tenths: tenths / 10)
SPANS = st.lists(st.tuples(TENTHS, TENTHS).map(lambda pair: Span(min(pair), max(pair))), max_size=12)


def test_spans_less_than_a_pause_apart_are_one() -> None:
    given_spans = [Span(5, 6), Span(0, 1), Span(1.4, 2), Span(1.5, 1.7), Span(2.5, 3)]
    assert merge_close(given_spans, 0.5) == [Span(0, 2), Span(2.5, 3), Span(5, 6)]


@given(spans=SPANS, pause=st.sampled_from((0.0, 0.1, 0.5)), at_once=st.integers(1, 5))
def test_they_are_the_same_however_many_are_merged_at_once(spans: list[Span], pause: float, at_once: int) -> None:
    whole = merge_close(spans, pause)
    with patch.object(intervals, "SPANS_AT_ONCE", at_once):
        assert merge_close(iter(spans), pause) == whole
