"""The shard plan: ranges that cover every upload once, as many as the executions that could work on them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.shard_plan import MAX_SHARDS, Shard, ShardRules, plan_shards

HOUR = 3600.0
RULES = ShardRules(hours=2.0, busy_hours=6.0)

durations = st.floats(0.0, 1e7)
streams = st.integers(1, 8)
slots = st.integers(0, 100)
rules = st.builds(ShardRules, hours=st.floats(0.0, 100.0), busy_hours=st.floats(0.0, 100.0))


@pytest.mark.parametrize(
    ("hours", "streams", "free", "expected"),
    [
        (1, 1, 5, 0),
        (2, 1, 5, 0),
        (2.1, 1, 5, 2),
        (1.5, 2, 5, 2),
        (9, 1, 5, 5),
        (24, 1, 5, 15),
        (24, 1, 1, 4),
        (6, 1, 1, 0),
        (6.1, 1, 0, 2),
        (24, 1, 100, 12),
        (10_000, 1, 5, MAX_SHARDS),
    ],
)
def test_examples(hours: float, streams: int, free: int, expected: int) -> None:
    assert len(plan_shards(hours * HOUR, streams, free, RULES)) == expected


def test_twenty_four_hours_on_five_executions_end_together() -> None:
    shards = plan_shards(24 * HOUR, 1, 5, RULES)
    assert shards[0] == Shard(0, 0, 5760)
    assert shards[-1] == Shard(14, 14 * 5760, None)
    assert {shard.seconds_of(24 * HOUR) for shard in shards} == {5760.0}


def test_no_hours_are_no_shards() -> None:
    for free in (0, 1, 5):
        assert plan_shards(24 * HOUR, 1, free, ShardRules(0.0, 6.0)) == ()
    assert plan_shards(24 * HOUR, 1, 1, ShardRules(2.0, 0.0)) == ()
    assert len(plan_shards(24 * HOUR, 1, 5, ShardRules(2.0, 0.0))) == 15


@given(durations, streams, slots, rules)
def test_undivided_hours_are_never_divided(duration: float, streams: int, free: int, rules: ShardRules) -> None:
    if duration * streams <= rules.undivided_hours * HOUR:
        assert plan_shards(duration, streams, free, rules) == ()


@given(durations, streams, slots, rules)
def test_every_second_is_in_one_shard(duration: float, streams: int, free: int, rules: ShardRules) -> None:
    shards = plan_shards(duration, streams, free, rules)
    assert len(shards) != 1
    assert [shard.number for shard in shards] == list(range(len(shards)))
    if shards:
        assert shards[0].start == 0
        assert shards[-1].end is None
        assert all(before.end == after.start for before, after in pairwise(shards))
        assert all(shard.end is None or shard.end > shard.start for shard in shards)
        assert math.isclose(sum(shard.seconds_of(duration) for shard in shards), duration)
        assert all(shard.seconds_of(duration) > 0 for shard in shards)


@given(durations, streams, slots, rules)
def test_no_shard_is_longer_than_allowed_unless_there_are_too_many(
    duration: float, streams: int, free: int, rules: ShardRules
) -> None:
    hours = 0.0 if not rules.hours else rules.hours if free > 1 else rules.busy_hours
    shards = plan_shards(duration, streams, free, rules)
    assert len(shards) <= MAX_SHARDS
    audio_seconds = duration * streams
    if hours and audio_seconds > hours * HOUR and audio_seconds <= MAX_SHARDS * hours * HOUR and duration > MAX_SHARDS:
        # Borders are at whole seconds, so a shard may be a second longer.
        assert max(shard.seconds_of(duration) for shard in shards) <= hours * HOUR / streams + 1
    if not hours or audio_seconds <= hours * HOUR:
        assert shards == ()
