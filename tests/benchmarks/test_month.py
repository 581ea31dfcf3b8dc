"""The simulated month: the same for the same seed, nobody lost, and executions that cost what they run."""

from __future__ import annotations

import pytest

from benchmarks.month import Result, settings_of, simulate
from benchmarks.month_job import BATCH_AUDIO_SECONDS, BATCH_SECONDS, SimulatedJob
from benchmarks.month_uploads import KINDS, burst_of, month
from shared.costs.gathering import GatherRules
from shared.costs.launch_plan import LaunchRules
from shared.enums import Method


def job() -> SimulatedJob:
    """10 s of start-up, 100 x in full batches, 5 s of patience."""
    return SimulatedJob(start_up_seconds=10, x_real_time=100, decode_x_real_time=1e9, idle_seconds=5)


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


def test_executions_share_a_burst_and_cost_hardly_more() -> None:
    one, five = job(), job()
    five.launch = LaunchRules(max_executions=5, drain_seconds=60)
    for gpu in (one, five):
        for number in range(100):
            gpu.add(0, number, 3600)
    last_of_one, last = (max(done.at for done in gpu.finish()) for gpu in (one, five))
    assert five.most_at_once == five.spent.executions == 5
    assert last == pytest.approx(last_of_one / 5, rel=0.1)
    assert five.spent.transcription == pytest.approx(one.spent.transcription, rel=0.01)
    assert five.spent.idle == 5 * 5


def test_a_burst_is_so_long_and_soon_over() -> None:
    dropped = burst_of(50.0)
    hours = sum(one.media.duration_seconds for one in dropped) / 3600
    assert 50 <= hours < 61
    assert dropped[0].at == 0
    assert dropped[-1].at < 60


def test_files_that_wait_share_the_start_that_the_reconciler_makes() -> None:
    gpu = job()
    gpu.gather = GatherRules(longest_seconds=100, audio_seconds=1000, tick_seconds=60)
    gpu.add(0, 1, 64, wait_seconds=100)
    list(gpu.run(30))
    found = gpu.queue(30)
    assert (found.running, found.waiting_seconds, found.due_seconds, found.company_seconds) == (False, 64, 70, 1000)
    gpu.add(30, 2, 64, wait_seconds=70)
    assert list(gpu.run(119)) == []
    done = list(gpu.finish())
    # The reconciler comes at 120 s.
    assert sorted(one.number for one in done) == [1, 2]
    assert min(one.began for one in done) == 130
    assert gpu.spent.executions == 1


def test_files_that_wait_start_once_there_is_enough_audio() -> None:
    gpu = job()
    gpu.gather = GatherRules(longest_seconds=1e6, audio_seconds=100, tick_seconds=60)
    gpu.add(0, 1, 64, wait_seconds=1e6)
    gpu.add(50, 2, 64, wait_seconds=1e6)
    assert min(one.began for one in gpu.finish()) == 60


EVERY_DEPLOYMENT: list[dict[str, object]] = [
    {},
    {"cost_optimization": False},
    {"gpu_job": None, "deepgram_api_key": None},
    {"cpu_job": None},
    {"gather_seconds": 600.0},
]


@pytest.mark.parametrize(
    "changes", EVERY_DEPLOYMENT, ids=["cost policy", "decision table", "CPU job", "no CPU job", "waiting"]
)
def test_every_upload_ends_once_after_it_arrived(changes: dict[str, object]) -> None:
    result = simulated(changes)
    assert len(result.seconds) == sum(result.ways.values()) == 400
    assert min(result.seconds) > 0


def test_at_deepgram_alone_no_instance_runs() -> None:
    result = simulated({"transcription_method": Method.DEEPGRAM})
    assert [spent.total for spent in result.spent.values()] == [0, 0]
    assert sum(result.job_usd.values()) == 0
    assert result.ways == {"deepgram": 400}


def test_the_cost_policy_is_cheaper_than_one_engine_and_waiting_cheaper_yet() -> None:
    others: list[dict[str, object]] = [
        {"transcription_method": Method.DEEPGRAM},
        {"transcription_method": Method.PARAKEET, "cpu_job": None},
        {"cpu_job": None},
    ]
    usual = simulated({}).usd
    assert usual < min(simulated(changes).usd for changes in others)
    assert simulated({"gather_seconds": 600.0}).usd < usual


def simulated(changes: dict[str, object]) -> Result:
    return simulate(month(count=400), settings_of(changes))
