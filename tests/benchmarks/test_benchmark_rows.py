"""The benchmarks' arithmetic: what is held against which target, and what bills and names are read as."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cpu_seconds import cpu_seconds, cpu_seconds_of
from benchmarks.engine_runs import EngineRun
from benchmarks.executions import Run
from benchmarks.executions import rows as execution_rows
from benchmarks.gil_clock import GilClock
from benchmarks.gpu.points import Point, Sweep
from benchmarks.gpu.rows import (
    engine_row,
    job_against_parts,
    job_rows,
    memory_row,
    peak_teraflops,
    peer_row,
    usd_per_audio_hour,
)
from benchmarks.gpu.speech import stretches
from benchmarks.gpu.subject import figure
from benchmarks.job_run import JobRun, spent
from benchmarks.length_memory import Peak, TranscriptMemory
from benchmarks.length_memory import rows as length_rows
from benchmarks.long_transcript import stored
from benchmarks.report import Measurement
from benchmarks.resident import PeakMemory, family_megabytes
from benchmarks.whole_job import rows as job_stage_rows
from benchmarks.without_model import Cost
from benchmarks.without_model import rows as without_model_rows
from gpu_job.asr.memory import Architecture, Attention, MemoryModel
from gpu_job.audio.samples import SAMPLE_RATE
from shared.costs.bill import Phase, instance_bill, instance_second_usd
from shared.costs.prices import JobShape, price_book

POINT = Point(30, 64, 15_000.0, 10**10)
RUN = JobRun(3600.0, 20.0, {Phase.START_UP: 10.0, Phase.TRANSCRIPTION: 6.0, Phase.WAITING: 2.0})


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA L4", 121),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H200", 989),
        ("NVIDIA L40S", None),
        ("NVIDIA GeForce RTX 3090", None),
    ],
)
def test_a_card_is_known_by_its_whole_name(name: str, peak: int | None) -> None:
    assert peak_teraflops(name) == peak


def test_the_engine_is_held_to_its_target_on_the_targets_card_only() -> None:
    fast, slow = EngineRun([], 24_800.0, 2.0), EngineRun([], 24_798.0, 2.0)

    assert engine_row(POINT, 64, fast, "NVIDIA H200").holds is True
    assert engine_row(POINT, 64, slow, "NVIDIA H200").holds is False
    assert engine_row(POINT, 64, fast, "NVIDIA L4").holds is None


def test_memory_beyond_the_prediction_does_not_hold() -> None:
    model = MemoryModel(Architecture(), value_bytes=2, attention=Attention.SDPA)
    predicted = model.weights + model.activations(64, 30 * SAMPLE_RATE)

    as_predicted, more = (memory_row(Point(30, 64, 1.0, int(share * predicted)), model) for share in (1.0, 1.5))

    assert as_predicted.value == pytest.approx(1.0)
    assert as_predicted.holds is True
    assert more.value == pytest.approx(1.5)
    assert more.holds is False


def test_the_slower_engine_does_not_hold_against_its_peer() -> None:
    assert peer_row(2000.0, 1000.0, 64, timestamps=True).value == 2.0
    assert peer_row(900.0, 1000.0, 64, timestamps=True).holds is False


def test_the_whole_job_counts_its_start() -> None:
    whole, without_batch, _ = job_rows(RUN, "NVIDIA L4", "default settings")

    assert (whole.value, whole.holds) == (180.0, False)
    assert without_batch.value == 25.0


def test_the_whole_job_is_held_against_the_slower_of_its_parts() -> None:
    job = figure("whole job, large batches, after start-up", 2400.0, "x")
    rest = figure("whole job, everything but the model, after start-up", 3000.0, "x")
    engines = [engine_row(POINT, 64, EngineRun([], factor, 1.0), "NVIDIA L4") for factor in (9000.0, 12_000.0)]
    equal = figure("engine, 64 equal chunks of 30 s", 99_000.0, "x")

    (bound_by_rest,) = job_against_parts([job, rest, *engines, equal])
    (bound_by_engine,) = job_against_parts([job, replace(rest, value=20_000.0), *engines])

    assert (bound_by_rest.value, bound_by_rest.holds) == (0.8, True)
    assert (bound_by_engine.value, bound_by_engine.holds) == (0.2, False)
    assert job_against_parts([job, *engines]) == job_against_parts([job, rest, equal]) == []


def test_an_audio_hours_price_has_the_instances_whole_life_in_it() -> None:
    shape = JobShape(gpu="nvidia-l4", vcpu=8, memory_gib=32)

    price = usd_per_audio_hour(RUN, shape, price_book())

    assert price == pytest.approx(25.0 * instance_second_usd(shape, price_book()))


def test_bills_are_read_back_as_seconds_of_each_phase() -> None:
    shape = JobShape(gpu=None, vcpu=2, memory_gib=1)
    phases = (Phase.START_UP, Phase.WAITING, Phase.WAITING)
    bills = [instance_bill(shape, {phase: 3.0}, price_book()) for phase in phases]

    assert spent(bills) == {Phase.START_UP: 3.0, Phase.TRANSCRIPTION: 0.0, Phase.WAITING: 6.0}


def test_batches_grow_until_the_audio_in_one_is_enough() -> None:
    assert list(Sweep([10], growth=4, max_audio_seconds=160).batches(10)) == [1, 4, 16]


def test_the_job_is_held_to_its_longest_stage_after_the_start_up() -> None:
    stages = {"start-up": 8.0, "fetch": 0.1, "decode": 5.0, "transcribe": 7.0}
    runs = [JobRun(3600.0, wall, RUN.spent) for wall in (15.0, 90.0, 16.5)]

    _, ratio, waited = job_stage_rows(runs, [stages] * 3)

    assert (ratio.value, ratio.holds) == (1.1, True)
    assert "transcribe" in ratio.name
    assert waited.value == 25.0


def test_memory_must_not_grow_after_the_first_hour() -> None:
    peaks = [Peak(1 / 6, 150.0, 4.0), Peak(1.0, 160.0, 9.0), Peak(6.0, 170.0, 40.0), Peak(24.0, 180.0, 160.0)]

    *lengths, words_row = length_rows(peaks, [TranscriptMemory(24.0, 180.0, 410.0)])

    assert [row.holds for row in lengths] == [None, None, True, False]
    assert words_row.value == 180.0
    assert words_row.peer.startswith("7.5 MB per hour")


def test_five_executions_are_compared_with_one_and_their_words_too() -> None:
    one, five = Run(1, 1, 400.0, 100, 360.0), Run(5, 5, 100.0, 98, 360.0)

    share, words = execution_rows(one, five)

    assert (share.value, share.holds) == (0.25, True)
    assert "alone 72 and 360 s" in share.peer
    assert (words.value, words.holds) == (2, False)


def test_a_long_transcript_has_150_words_a_minute() -> None:
    made = list(stored(0.5))

    assert sum(token.begins_word for part in made for token in part.tokens) == 30 * 150
    assert made[-1].tokens[-1].end == pytest.approx(1800.0, abs=0.1)


def test_memory_counts_children_and_forgets_the_dead() -> None:
    hold = "import sys; x = bytearray(50_000_000); print(flush=True); sys.stdin.read()"
    before = family_megabytes(os.getpid())
    with PeakMemory(os.getpid) as memory:
        child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with_child = family_megabytes(os.getpid())
        began = datetime.now(UTC)
        while memory.megabytes < before + 47 and (datetime.now(UTC) - began).total_seconds() < 20:
            pass
        child.communicate()

    assert with_child > before + 47
    assert memory.megabytes > before + 47
    assert family_megabytes(child.pid) == 0.0


def test_a_machine_without_cuda_is_skipped_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    from benchmarks.gpu.bench import gpu

    found: list[Measurement] = list(gpu())

    assert found == []
    assert capsys.readouterr().out.startswith("gpu: skipped")


def test_what_the_gpus_figures_are_held_against_needs_no_cloud_and_no_nemo() -> None:
    code = (
        "import sys, benchmarks.gpu.rows; "
        "print([name for name in ('torch', 'nemo', 'flask', 'infra.emulators.cloud') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_an_hour_without_the_model_is_bound_by_all_cores_or_by_one_interpreter() -> None:
    cost = Cost(worker=4.0, decoders=1.0, ffmpeg=10.0, idle_share=0.0, rendering=0.5, gil_share=None)
    many_decoders, slow_worker = replace(cost, worker=0.5, decoders=10.0), replace(cost, gil_share=0.75)

    assert many_decoders.ceiling == pytest.approx(8 * 3600 / 11.0)
    assert cost.ceiling == 900.0
    assert slow_worker.ceiling == 1200.0
    assert [row.holds for row in without_model_rows(cost)] == [False, True, False]
    assert [row.holds for row in without_model_rows(slow_worker)] == [False, False, True, False]
    fast = replace(cost, worker=0.5, decoders=5.0, gil_share=1.0)
    assert [row.holds for row in without_model_rows(fast)] == [True, True, True, True]


def test_processor_time_under_the_lock_is_told_from_that_without_it(tmp_path: Path) -> None:
    """A thread that counts for a second, one that compresses for two, which takes no lock, and both."""
    clock = GilClock.made(tmp_path)
    if clock is None:
        pytest.skip("there is no C compiler here")
    program = f"""
import os, threading, time, zlib
from pathlib import Path
from benchmarks.gil_clock import GilClock

def count():
    while time.thread_time() < 1.0: pass

def compress():
    data = os.urandom(200_000)
    while time.thread_time() < 2.0: zlib.compress(data)

def looks(*works):
    before = clock.looks()
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print((clock.looks() - before).share)

clock = GilClock(Path({str(tmp_path)!r}))
clock.watch()
looks(count)
looks(compress)
looks(count, compress)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    counting, compressing, both = map(float, said.split())
    assert counting > 0.9
    assert compressing < 0.1
    assert 0.25 < both < 0.45


def test_stretches_of_speech_are_all_different() -> None:
    sound = np.arange(5 * SAMPLE_RATE, dtype=np.float32)

    found = stretches(sound, 2.0, 512)

    assert {len(one) for one in found} == {2 * SAMPLE_RATE}
    assert len({float(one[0]) for one in found}) == 512


def test_processor_seconds_are_those_of_the_work_and_not_of_the_waiting() -> None:
    work = cpu_seconds_of([sys.executable, "-c", "import time; sum(range(10**7)); time.sleep(0.5)"])
    rest = cpu_seconds_of([sys.executable, "-c", "import time; time.sleep(0.5)"])
    before = cpu_seconds(os.getpid())
    sum(range(10**7))

    assert work > rest
    assert (cpu_seconds(os.getpid()) - before).own > 0
