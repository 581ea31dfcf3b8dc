"""Every step for a GPU machine, dry: the tiny model on the CPU, in this process, in the smallest amounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.full_model import PACE_TOLERANCE, settle_pace
from benchmarks.gpu import sweep as sweep_module
from benchmarks.gpu.figures import read_rows
from benchmarks.gpu.points import Point, Stopped, Sweep
from benchmarks.gpu.speech import speech, stretches
from benchmarks.gpu.step import measured, run_step
from benchmarks.gpu.steps import STEPS
from benchmarks.gpu.subject import SHORT_RECORDING, Part, Subject, figure
from benchmarks.report import Measurement, write_json
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.audio.samples import Samples

TIMED_STEPS = {"job", "engine", "peers", "knobs"}
"""Their targets are speeds, which a test on a machine that others use says nothing of."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject.dry()


@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_every_step_runs(name: str, subject: Subject, tmp_path: Path) -> None:
    earlier = figure("of an earlier step", 1.0, "x")
    write_json([earlier], tmp_path / "gpu.json")

    rows = run_step(name, subject, tmp_path / "gpu.json", seconds=3600.0)

    assert rows
    if name not in TIMED_STEPS:
        assert [row for row in rows if row.holds is False] == []
    assert read_rows(tmp_path / "gpu.json") == [earlier, *rows]


def test_chunks_of_a_measured_batch_are_all_different(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[Samples]] = []
    prepare = Parakeet.prepare

    def kept(engine: Parakeet, batch: list[Samples]) -> object:
        batches.append(batch)
        return prepare(engine, batch)

    monkeypatch.setattr(Parakeet, "prepare", kept)
    point = sweep_module.measure(subject, subject.model(), 1, 3, 1)

    assert (point.chunk_seconds, point.chunks) == (1, 3)
    (batch,) = batches
    assert len({one.tobytes() for one in batch}) == 3


def test_a_batch_that_does_not_fit_ends_its_row_and_no_other(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_subject: Subject, _model: object, chunk_seconds: int, chunks: int, _runs: int) -> Point:
        if chunk_seconds * chunks > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB.")
        return Point(chunk_seconds, chunks, 100.0, 0)

    monkeypatch.setattr(sweep_module, "measure", no_room)

    found = list(sweep_module.sweep(subject, None, Sweep([10, 20], max_audio_seconds=80)))

    assert [(point.chunk_seconds, point.chunks) for point in found] == [(10, 1), (10, 2), (10, 4), (20, 1), (20, 2)]
    assert [point for point in found if isinstance(point, Stopped)] == [
        Stopped(10, 4, "CUDA out of memory."),
        Stopped(20, 2, "CUDA out of memory."),
    ]


def test_the_pace_of_tokens_is_set_by_speech_that_was_decoded(subject: Subject) -> None:
    model = subject.model()

    rates = settle_pace(model, stretches(speech(SHORT_RECORDING), 5.0, 4), 2.5)

    assert abs(rates[0] - 2.5) > PACE_TOLERANCE
    assert abs(rates[-1] - 2.5) < PACE_TOLERANCE


def test_a_part_that_fails_is_a_row_and_the_others_go_on() -> None:
    def broken() -> Iterator[Measurement]:
        yield figure("first", 1.0, "x")
        raise RuntimeError("no such kernel")

    parts = [
        Part("broken", broken),
        Part("long", lambda: [figure("never", 1.0, "x")], needs_seconds=100.0),
        Part("next", lambda: [figure("last", 2.0, "x")]),
    ]

    rows = list(measured(parts, seconds=50.0))

    assert [row.name for row in rows] == ["gpu: first", "gpu: broken", "gpu: long", "gpu: last"]
    assert "no such kernel" in rows[1].peer
    assert [row.holds for row in rows] == [None, False, False, None]
