"""The launch plan: as many executions as the backlog is worth, never more than there are slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.launch_plan import (
    MAX_START_SHARE,
    Backlog,
    LaunchRules,
    RunningExecutions,
    executions_to_launch,
    queue_ahead,
)
from shared.costs.shard_plan import ShardRules, plan_shards
from shared.costs.speeds import DeviceSpeed
from shared.enums import JobDevice
from shared.settings.executions import ExecutionSettings
from shared.settings.speeds import SpeedSettings
from trigger_function.settings.function import FunctionSettings

HOUR = 3600.0
L4 = DeviceSpeed(startup_seconds=30.0, x_real_time=123.0)
RULES = LaunchRules(max_executions=5, drain_seconds=600.0)
NOTHING_RUNS = RunningExecutions()

seconds = st.floats(0.0, 1e8)
backlogs = st.builds(
    Backlog,
    items=st.integers(0, 10_000),
    audio_seconds=seconds,
    due_seconds=st.none() | st.floats(0.1, 1e6),
    speakers_seconds=st.just(0.0) | seconds,
)
waiting = backlogs.filter(lambda backlog: backlog.items > 0)
speeds = st.builds(DeviceSpeed, startup_seconds=st.floats(0.1, 2000), x_real_time=st.floats(0.1, 1000))
rules = st.builds(LaunchRules, max_executions=st.integers(1, 100), drain_seconds=st.floats(1.0, 1e5))
running = st.builds(RunningExecutions, count=st.integers(1, 120), audio_seconds=seconds) | st.just(NOTHING_RUNS)


def launches(
    backlog: Backlog, running: RunningExecutions = NOTHING_RUNS, speed: DeviceSpeed = L4, rules: LaunchRules = RULES
) -> int:
    """The plan where every slot that no execution has is free."""
    return executions_to_launch(backlog, running, speed, rules, max(0, rules.max_executions - running.count))


@pytest.mark.parametrize(
    ("backlog", "running", "expected"),
    [
        (Backlog(), NOTHING_RUNS, 0),
        (Backlog(1, 30.0), NOTHING_RUNS, 1),
        (Backlog(1, 24 * HOUR), NOTHING_RUNS, 1),
        (Backlog(15, 24 * HOUR), NOTHING_RUNS, 2),
        (Backlog(100, 100 * HOUR), NOTHING_RUNS, 5),
        (Backlog(20, 19 * HOUR), NOTHING_RUNS, 1),
        (Backlog(21, 21 * HOUR), NOTHING_RUNS, 2),
        # Who speaks is heard at half the speed.
        (Backlog(15, 24 * HOUR, speakers_seconds=24 * HOUR), NOTHING_RUNS, 3),
        (Backlog(15, 24 * HOUR, speakers_seconds=6 * HOUR), NOTHING_RUNS, 2),
        (Backlog(15, 24 * HOUR), RunningExecutions(1, speakers_seconds=24 * HOUR), 2),
        (Backlog(20, 20 * HOUR), RunningExecutions(1), 0),
        (Backlog(40, 40 * HOUR), RunningExecutions(1), 2),
        (Backlog(40, 40 * HOUR), RunningExecutions(1, audio_seconds=20 * HOUR), 3),
        (Backlog(100, 100 * HOUR), RunningExecutions(4), 1),
        (Backlog(1000, 1000 * HOUR), RunningExecutions(5), 0),
        (Backlog(2, 48 * HOUR), RunningExecutions(2, starting=1), 1),
        (Backlog(20, 2 * HOUR, due_seconds=60.0), NOTHING_RUNS, 2),
        (Backlog(20, 2 * HOUR, due_seconds=1.0), NOTHING_RUNS, 2),
        (Backlog(100, 100 * HOUR), RunningExecutions(1, quota_refused=True), 0),
        (Backlog(100, 100 * HOUR), RunningExecutions(quota_refused=True), 5),
    ],
    ids=[
        "nothing waits",
        "a lone file",
        "a lone file that is one work item, however long",
        "24 hours in shards",
        "100 dropped hours",
        "one does it in time",
        "one would be late",
        "24 hours whose speakers are told apart, which takes longer",
        "six of 24 hours' speakers are told apart beside the rest",
        "speakers of what is taken are still to be told apart",
        "the one that runs does it in time",
        "the one that runs would be late",
        "and has its hands full",
        "one slot is left",
        "no slot is left",
        "one upload is for the one that starts",
        "a deadline before the usual time",
        "no start that takes longer than its work",
        "no quota: go on with those that run",
        "no quota, and nothing runs: ask again",
    ],
)
def test_examples_on_an_l4(backlog: Backlog, running: RunningExecutions, expected: int) -> None:
    assert launches(backlog, running) == expected


def shipped(device: JobDevice) -> tuple[DeviceSpeed, LaunchRules, ShardRules]:
    """By the settings' defaults: an L4, the CPU job's cores, their slots, and the shards of long uploads."""
    execution, speed, function = (
        ExecutionSettings.model_fields,
        SpeedSettings.model_fields,
        FunctionSettings.model_fields,
    )
    slots = "max_parallel_tasks" if device is JobDevice.GPU else "cpu_max_parallel_tasks"
    return (
        DeviceSpeed(speed[f"{device}_startup_seconds"].default, speed[f"{device}_x_real_time"].default),
        LaunchRules(execution[slots].default, execution["target_drain_minutes"].default * 60),
        ShardRules(function["shard_hours"].default, function["shard_hours_busy"].default),
    )


@pytest.mark.parametrize(
    ("hours", "due_seconds", "on_gpu", "on_cpu"),
    [
        ([], None, 0, 0),
        ([0.1], None, 1, 1),
        ([1.0], None, 1, 1),
        ([3.0], None, 1, 2),
        ([10.0], None, 1, 5),
        ([24.0], None, 2, 5),
        ([24.0], 200.0, 5, 5),
        ([0.1] * 20, None, 1, 2),
        ([1.0] * 100, None, 5, 5),
        ([3.0], 60.0, 2, 2),
    ],
    ids=[
        "nothing",
        "a short file",
        "an hour",
        "a lone file of three hours: the CPU takes 15 min",
        "ten hours: on the GPU 5 min",
        "a day: on one GPU 12 min",
        "a day that is due at once",
        "many short ones: two hours",
        "100 dropped hours",
        "no more than there are shards, whatever is due",
    ],
)
def test_what_is_dropped_by_the_defaults(
    hours: Sequence[float], due_seconds: float | None, on_gpu: int, on_cpu: int
) -> None:
    """A lone file starts one execution, unless that would take longer than TARGET_DRAIN_MINUTES."""
    for device, expected in ((JobDevice.GPU, on_gpu), (JobDevice.CPU, on_cpu)):
        speed, rules, shard_rules = shipped(device)
        items = [len(plan_shards(each * HOUR, 1, rules.max_executions, shard_rules)) or 1 for each in hours]
        backlog = Backlog(sum(items), sum(hours) * HOUR, due_seconds)
        assert launches(backlog, speed=speed, rules=rules) == expected
        no_quota = RunningExecutions(1, quota_refused=True)
        assert launches(backlog, no_quota, speed, rules) == 0


@given(backlogs, running, speeds, rules, st.integers(0, 200))
def test_never_over_the_slots(
    backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules, free: int
) -> None:
    count = executions_to_launch(backlog, running, speed, rules, free)
    assert 0 <= count <= free
    assert count <= backlog.items
    assert count == 0 or running.count + count <= rules.max_executions


@given(running, speeds, rules)
def test_nothing_is_launched_for_nothing(running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules) -> None:
    assert launches(Backlog(), running, speed, rules) == 0


@given(waiting, speeds, rules)
def test_one_at_least_for_anything_that_waits(backlog: Backlog, speed: DeviceSpeed, rules: LaunchRules) -> None:
    assert launches(backlog, NOTHING_RUNS, speed, rules) >= 1


@given(backlogs, st.integers(0, 100), seconds, running, speeds, rules)
def test_more_backlog_never_launches_fewer(
    backlog: Backlog, items: int, audio: float, running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules
) -> None:
    more = replace(backlog, items=backlog.items + items, audio_seconds=backlog.audio_seconds + audio)
    assert launches(more, running, speed, rules) >= launches(backlog, running, speed, rules)


@given(backlogs, st.floats(0.1, 1e6), running, speeds, rules)
def test_an_earlier_deadline_never_launches_fewer(
    backlog: Backlog, due: float, running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules
) -> None:
    hurried = replace(backlog, due_seconds=min(due, backlog.due_seconds or due))
    assert launches(hurried, running, speed, rules) >= launches(backlog, running, speed, rules)


@given(waiting, running, speeds, rules)
def test_launching_the_plan_leaves_nothing_to_launch(
    backlog: Backlog, running: RunningExecutions, speed: DeviceSpeed, rules: LaunchRules
) -> None:
    count = launches(backlog, running, speed, rules)
    after = replace(running, count=running.count + count, starting=running.starting + count)
    assert launches(backlog, after, speed, rules) == 0


@given(waiting, speeds, rules)
def test_a_start_beside_others_is_worth_its_price(backlog: Backlog, speed: DeviceSpeed, rules: LaunchRules) -> None:
    """Start-ups at most double what the audio costs, but for the last execution's part of them."""
    count = launches(backlog, NOTHING_RUNS, speed, rules)
    speakers_seconds = backlog.speakers_seconds / speed.speakers_x_real_time
    work_seconds = max(backlog.audio_seconds / speed.x_real_time, speakers_seconds)
    share = MAX_START_SHARE / (1 - MAX_START_SHARE)
    assert (count - 1) * speed.startup_seconds <= work_seconds * share * (1 + 1e-9)


@given(waiting, running.filter(lambda running: running.count > 0))
def test_what_waits_is_shared_by_the_executions(backlog: Backlog, running: RunningExecutions) -> None:
    count = launches(backlog, running)
    queue = queue_ahead(backlog, running, count, L4)
    assert queue.running
    as_long = max(backlog.audio_seconds, backlog.speakers_seconds * L4.x_real_time / L4.speakers_x_real_time)
    assert queue.waiting_seconds * (running.count + count) == pytest.approx(as_long)


def test_without_an_execution_there_is_no_queue_to_stand_in() -> None:
    assert not queue_ahead(Backlog(), NOTHING_RUNS, 0, L4).running
