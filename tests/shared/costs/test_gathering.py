"""Gathering: who waits for how long, and that whatever arrives begins in time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.gathering import GatherRules, Queue, gather_seconds

RULES = GatherRules(longest_seconds=600, audio_seconds=3600, tick_seconds=60)
IDLE = Queue()


@pytest.mark.parametrize(
    ("rules", "queue", "audio", "spare", "wait"),
    [
        (GatherRules(), IDLE, 60, None, 0),
        (RULES, IDLE, 60, None, 600),
        (RULES, Queue(running=True), 60, None, 0),
        (RULES, IDLE, 3600, None, 0),
        (RULES, Queue(waiting_seconds=3540), 60, None, 0),
        (RULES, Queue(waiting_seconds=3539), 60, None, 600),
        (RULES, Queue(waiting_seconds=60, due_seconds=20), 60, None, 20),
        (RULES, Queue(waiting_seconds=60, due_seconds=0), 60, None, 0),
        (RULES, IDLE, 60, 400, 340),
        (RULES, IDLE, 60, 60, 0),
        (RULES, IDLE, 60, -5, 0),
        (RULES, IDLE, 60, 1e9, 600),
    ],
    ids=[
        "off",
        "alone",
        "an execution runs",
        "long enough by itself",
        "enough together",
        "not quite enough",
        "the oldest is due soon",
        "the oldest is due",
        "a deadline, less a tick",
        "a deadline within a tick",
        "a deadline that is missed anyway",
        "a deadline far away",
    ],
)
def test_how_long_an_upload_waits(
    rules: GatherRules, queue: Queue, audio: float, spare: float | None, wait: float
) -> None:
    assert gather_seconds(rules, queue, audio, spare) == wait


@dataclass
class PendingUpload:
    until: float
    begin_by: float
    """What its deadline leaves; infinite without one."""
    audio: float


arrivals = st.lists(
    st.tuples(st.floats(0, 500), st.floats(1, 5000), st.none() | st.floats(1, 2000)), min_size=1, max_size=30
)


@given(arrivals, st.floats(0, 1000), st.floats(10, 8000), st.floats(1, 300))
def test_whatever_arrives_begins_in_time(
    drops: list[tuple[float, float, float | None]], longest: float, audio: float, tick: float
) -> None:
    """Uploads after pauses, and a reconciler that looks once a tick: nobody waits longer than was allowed, none begins
    after what its deadline leaves, and never is as much audio left waiting as starts an execution."""
    rules = GatherRules(longest, audio, tick)
    waiting: list[PendingUpload] = []
    at, ticked = 0.0, 0.0

    def start() -> None:
        for one in waiting:
            assert at <= one.until + tick + 1e-6
            assert at <= one.begin_by + 1e-6
        waiting.clear()

    def tick_until(end: float) -> None:
        nonlocal at, ticked
        while ticked + tick <= end:
            ticked += tick
            at = ticked
            if any(one.until <= at for one in waiting):
                start()
        at = end

    for pause, seconds, spare in drops:
        tick_until(at + pause)
        due = max(0.0, min(one.until for one in waiting) - at) if waiting else None
        wait = gather_seconds(
            rules, Queue(waiting_seconds=sum(one.audio for one in waiting), due_seconds=due), seconds, spare
        )
        begin_by = float("inf") if spare is None or spare <= tick else at + spare
        waiting.append(PendingUpload(at + wait, begin_by, seconds))
        if wait <= 0 or sum(one.audio for one in waiting) >= audio:
            start()
        assert sum(one.audio for one in waiting) < audio
    tick_until(at + longest + 2 * tick)
    assert waiting == []
