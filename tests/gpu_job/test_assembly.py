"""Assembly: parts in any order become the upload's words, and what has no words is a gap with its place."""

from __future__ import annotations

import random

import pytest

from gpu_job.assembly import Assembly, Part, part
from gpu_job.audio import SAMPLE_RATE
from gpu_job.chunking import Chunk
from gpu_job.services import TaskIdentity
from gpu_job.tokens import Token
from shared.transcript import Gap
from shared.vocabulary import Engine
from tests.gpu_job.sounds import silence

CPU = Engine.PARAKEET_CPU


def spoken(at: int, text: str) -> Part:
    """Two seconds with one word in the second second."""
    return part(Chunk(at * SAMPLE_RATE, silence(2)), CPU, [Token(f" {text}", 1.0, 1.5)])


def test_words_are_timed_from_the_start_of_the_upload() -> None:
    (word,) = spoken(60, "here").tokens
    assert (word.start, word.end) == (61.0, 61.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    arriving = [spoken(at, str(at)) for at in range(0, 40, 4)]
    random.Random(seed).shuffle(arriving)
    assembly = Assembly()
    for one in arriving:
        assembly.expect()
        assembly.add(one)
    assert [word.text for passage in assembly.passages() for word in passage.words] == [
        str(at) for at in range(0, 40, 4)
    ]


def test_complete_is_when_the_end_is_known_and_every_chunk_has_its_answer() -> None:
    assembly = Assembly()
    assembly.expect()
    assembly.expect()
    assembly.add(spoken(0, "a"))
    assembly.add(spoken(0, "again"))
    assert not assembly.is_complete
    assembly.end(4 * SAMPLE_RATE)
    assert not assembly.is_complete
    assembly.add(Part(2 * SAMPLE_RATE, 4 * SAMPLE_RATE, CPU, failure="Broken."))
    assert assembly.is_complete
    assert [word.text for passage in assembly.passages() for word in passage.words] == ["a"]


def test_an_upload_without_sound_is_complete_at_once() -> None:
    assembly = Assembly()
    assembly.end(0)
    assert assembly.is_complete
    assert assembly.coverage().gaps == ()


def test_failed_chunks_and_holes_are_gaps_in_time_order() -> None:
    assembly = Assembly()
    assembly.hole(Gap(start=10.0, end=15.0, reason="unreadable"))
    for one in (spoken(0, "a"), Part(4 * SAMPLE_RATE, 6 * SAMPLE_RATE, CPU, failure="Broken.")):
        assembly.expect()
        assembly.add(one)
    coverage = assembly.coverage()
    assert [(gap.start, gap.end, gap.reason) for gap in coverage.gaps] == [(4, 6, "Broken."), (10, 15, "unreadable")]
    assert (coverage.covered_seconds, coverage.speech_seconds) == (2.0, 9.0)


def test_cloud_run_says_which_task_this_is() -> None:
    environ = {"CLOUD_RUN_EXECUTION": "transcribe-x7", "CLOUD_RUN_TASK_INDEX": "3", "CLOUD_RUN_TASK_ATTEMPT": "2"}
    task = TaskIdentity.of(environ)
    assert task == TaskIdentity("transcribe-x7", 3, 2)
    assert task.holder == "transcribe-x7/3" == TaskIdentity.of({**environ, "CLOUD_RUN_TASK_ATTEMPT": "0"}).holder


@pytest.mark.parametrize("environ", [{}, {"CLOUD_RUN_EXECUTION": "", "CLOUD_RUN_TASK_INDEX": ""}])
def test_by_hand_it_is_a_first_task_of_its_own(environ: dict[str, str]) -> None:
    task = TaskIdentity.of(environ)
    assert (task.index, task.attempt) == (0, 0)
    assert task.execution.startswith("by-hand-")
