"""When a model is taken for hung: by its settings at first, then by what it took before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.task import Task
from gpu_job.engines.time_limits import (
    KNOWN_BATCHES,
    LEAST_PREDICTED_SECONDS,
    PREDICTED_FACTOR,
    BatchPace,
    TimeLimits,
    audio_seconds,
)

LIMITS = TimeLimits(batch_seconds=300.0)


def batch(*lengths: float) -> list[Task]:
    """Chunks of so many seconds."""
    chunks = [Chunk(0, np.zeros(int(length * SAMPLE_RATE), np.float32)) for length in lengths]
    return [Task("job", chunk, lambda _: None) for chunk in chunks]


def pace(batches: int, audio: float, spent: float) -> BatchPace:
    made = BatchPace()
    for _ in range(batches):
        made.add(audio, spent)
    return made


def test_audio_of_a_batch_is_the_sum_of_its_chunks() -> None:
    assert audio_seconds(batch(10, 20, 30)) == 60


def test_the_first_batches_have_the_settings_limit() -> None:
    assert LIMITS.batch(batch(600, 600)) == 1500
    assert LIMITS.batch(batch(600, 600), pace(KNOWN_BATCHES - 1, 1200, 10)) == 1500


def test_a_batch_that_takes_many_times_what_others_took_is_hung() -> None:
    # An L4: 1,200 s of audio in 10 s. The settings alone would wait for 25 minutes.
    known = pace(KNOWN_BATCHES, 1200, 10)
    assert LIMITS.batch(batch(600, 600), known) == pytest.approx(PREDICTED_FACTOR * 10)
    assert LIMITS.batch(batch(1), known) == LEAST_PREDICTED_SECONDS


def test_the_slowest_batch_counts() -> None:
    known = pace(KNOWN_BATCHES, 1200, 10)
    known.add(10, 1)
    assert known.predicted_seconds(1200) == pytest.approx(120)


@given(
    st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 2000)), max_size=20),
    st.floats(0.001, 2000),
)
def test_a_batch_like_any_before_is_never_taken_for_hung(earlier: list[tuple[float, float]], length: float) -> None:
    known = BatchPace()
    for audio, spent in earlier:
        known.add(audio, spent)
    tasks = batch(length)
    limit = LIMITS.batch(tasks, known)
    assert 0 < limit <= LIMITS.batch(tasks)
    if (predicted := known.predicted_seconds(audio_seconds(tasks))) is not None:
        assert limit >= min(LIMITS.batch(tasks), predicted)
