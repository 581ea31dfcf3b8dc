"""The benchmarks' effects at the smallest size: a whole job without a model, and what a run says of one that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.length_memory import NULL_COMMAND
from benchmarks.null_job import FLAG
from benchmarks.runs import JobCloud, looped, run, transcribed
from shared.enums import Engine
from tests.support.waiting import PATIENCE


def test_a_run_tells_its_audio_its_time_and_what_the_time_went_to(tmp_path: Path) -> None:
    with JobCloud(tmp_path / "cloud", command=(*NULL_COMMAND, FLAG)) as cloud:
        path = looped(90.0, tmp_path)
        done = run(cloud, path, copies=2, timeout=PATIENCE)
        (message,) = transcribed(cloud, path, 1, PATIENCE)
        with pytest.raises(RuntimeError, match="transcribed by parakeet-cpu, not by parakeet-gpu"):
            run(cloud, path, timeout=PATIENCE, engine=Engine.PARAKEET_GPU)

    assert done.audio_seconds == pytest.approx(180.0, abs=1.0)
    assert 0 < done.start_up_seconds < done.wall_seconds
    assert 0 <= done.waited <= 1
    assert message.word_count > 150  # of 90 s
    assert message.coverage is not None
    assert message.coverage.dropped_words == 0


def test_a_worker_that_cannot_start_is_not_waited_for(tmp_path: Path) -> None:
    broken = (sys.executable, "-c", "raise SystemExit('no such card')")
    with JobCloud(tmp_path / "cloud", command=broken) as cloud:
        assert cloud.environment["ENABLE_FALLBACK"] == "false"
        with pytest.raises(RuntimeError, match="no such card"):
            run(cloud, looped(10.0, tmp_path), timeout=PATIENCE)
