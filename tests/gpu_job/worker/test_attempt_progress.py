"""An attempt that works is told from one that hangs."""

from __future__ import annotations

import pytest

from gpu_job.worker.jobs.attempt_progress import AttemptProgress

TIMEOUT = 300.0


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("decoded_until", "length", "at", "stuck"),
    [
        (0.0, None, TIMEOUT - 1, False),
        (0.0, None, TIMEOUT, True),
        # What is decoded before the first word, of a file that is silent for long, moves it.
        (900.0, None, 900.0 + TIMEOUT - 1, False),
        (900.0, None, 900.0 + TIMEOUT, True),
        # A day's recording is assembled in 2.4 h at most.
        (900.0, 86_400.0, 900.0 + TIMEOUT + 8_639.0, False),
        (900.0, 86_400.0, 900.0 + TIMEOUT + 8_640.0, True),
    ],
)
def test_an_attempt_without_results_is_stuck_once_nothing_moved_for_as_long_as_a_batch_may_take(
    decoded_until: float, length: float | None, at: float, stuck: bool
) -> None:
    clock = Clock()
    progress = AttemptProgress(clock)
    while clock.at < at:
        progress.look(min(clock.at, decoded_until), 0.0)
        clock.at = min(clock.at + 15.0, at)
    # The last look that saw it move was less than 15 s before.
    assert progress.is_stuck(TIMEOUT, length) is stuck


def test_one_with_a_result_is_never_taken_for_stuck() -> None:
    clock = Clock()
    progress = AttemptProgress(clock)
    progress.has_result = True
    clock.at = 1e9
    assert not progress.is_stuck(TIMEOUT, None)


def test_one_that_makes_a_redacted_recording_is_not_stuck_however_long_that_takes() -> None:
    clock = Clock()
    progress = AttemptProgress(clock)
    for _ in range(100):
        clock.at += TIMEOUT - 1
        progress.advance()
        assert not progress.is_stuck(TIMEOUT, 1.0)
    clock.at += TIMEOUT + 1
    assert progress.is_stuck(TIMEOUT, 1.0)


def test_new_words_are_what_an_upload_waits_for_and_beats_are_not() -> None:
    progress = AttemptProgress()
    progress.look(60.0, 0.0)
    assert progress.advanced_at is None
    progress.look(60.0, 30.0)
    first = progress.advanced_at
    assert first is not None
    progress.look(90.0, 30.0)
    assert progress.advanced_at == first
