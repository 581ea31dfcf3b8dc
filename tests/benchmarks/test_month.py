"""The simulated month: the same for the same seed, nobody lost, and executions that cost what they run."""

from __future__ import annotations

import pytest

from benchmarks.month import Result, settings_of, simulate
from benchmarks.month_gpu import BATCH_AUDIO_SECONDS, BATCH_SECONDS, GpuJob
from benchmarks.month_uploads import KINDS, month
from shared.enums import Method


def job() -> GpuJob:
    """10 s of start-up, 100 x in full batches, 5 s of patience."""
    return GpuJob(start_up_seconds=10, x_real_time=100, decode_x_real_time=1e9, idle_seconds=5)


def test_the_month_is_the_same_for_the_same_seed_and_mixed_as_named() -> None:
    uploads = month(seed=1, count=2000)
    assert uploads == month(seed=1, count=2000)
    assert uploads != month(seed=2, count=2000)
    assert [one.at for one in uploads] == sorted(one.at for one in uploads)
    for kind in KINDS:
        mine = [one.media.duration_seconds for one in uploads if one.kind == kind.name]
        assert len(mine) / 2000 == pytest.approx(kind.share, abs=0.04)
        assert min(mine) >= kind.shortest_seconds
        assert max(mine) <= kind.longest_seconds
        assert sorted(mine)[len(mine) // 2] == pytest.approx(kind.median_seconds, rel=0.2)


def test_a_lone_file_pays_start_batch_and_patience() -> None:
    gpu = job()
    gpu.add(0, 1, BATCH_AUDIO_SECONDS)
    (done,) = gpu.finish()
    assert done.at == pytest.approx(10 + BATCH_AUDIO_SECONDS / 100)
    assert gpu.spent.total == pytest.approx(done.at + 5)
    assert (gpu.spent.executions, gpu.spent.idle) == (1, 5)


def test_a_second_file_within_the_patience_shares_the_start() -> None:
    gpu = job()
    gpu.add(0, 1, 64)
    ended = next(iter(gpu.run(13))).at
    gpu.add(13, 2, 64)
    list(gpu.finish())
    assert gpu.spent.executions == 1
    assert gpu.spent.idle == pytest.approx(13 - ended + 5)
    late = job()
    late.add(0, 1, 64)
    list(late.run(60))
    late.add(60, 2, 64)
    list(late.finish())
    assert late.spent.executions == 2


def test_short_files_together_are_faster_than_one_by_one() -> None:
    together, alone = job(), job()
    for number in range(4):
        together.add(0, number, 8)
    assert len(list(together.finish())) == 4
    for number in range(4):
        alone.add(1000.0 * number, number, 8)
        list(alone.run(1000.0 * number + 999))
    assert alone.spent.transcription - together.spent.transcription == pytest.approx(3 * BATCH_SECONDS)


def test_a_long_queue_is_handed_over_after_an_hour() -> None:
    gpu = job()
    gpu.add(0, 1, 100 * 3600 * 2.5)
    list(gpu.finish())
    assert gpu.spent.executions == 3


@pytest.mark.parametrize("changes", [{}, {"cost_optimization": False}], ids=["cost policy", "decision table"])
def test_every_upload_ends_once_after_it_arrived(changes: dict[str, object]) -> None:
    result = simulated(changes)
    assert len(result.seconds) == sum(result.methods.values()) == 400
    assert min(result.seconds) > 0


def test_at_deepgram_alone_no_instance_runs() -> None:
    result = simulated({"transcription_method": Method.DEEPGRAM})
    assert (result.spent.total, result.gpu_usd) == (0, 0)
    assert result.methods == {Method.DEEPGRAM: 400}


def test_the_cost_policy_is_cheapest() -> None:
    others = [{"transcription_method": method} for method in (Method.DEEPGRAM, Method.PARAKEET)]
    assert simulated({}).usd < min(simulated(changes).usd for changes in others)


def simulated(changes: dict[str, object]) -> Result:
    return simulate(month(count=400), settings_of(changes))
