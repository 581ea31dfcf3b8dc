"""Assembly: parts in any order become the upload's words, and what has no words is a gap with its place."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import Assembly, ChunkResult, chunk_result, coverage, transcript_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.evidence import timed_words
from gpu_job.audit.findings import Findings, Splice
from gpu_job.audit.intervals import Span
from gpu_job.speakers.turns import Turn
from gpu_job.worker.services import TaskIdentity
from shared.enums import Engine
from shared.transcript.model import Gap, Overlap, Passage
from tests.support.sounds import silence

CPU, GPU = Engine.PARAKEET_CPU, Engine.PARAKEET_GPU
NOTHING_FOUND = [Findings()]


def spoken(at: float, text: str, channel: int = 0, engine: Engine = CPU) -> ChunkResult:
    """Two seconds with one word in the second second."""
    chunk = Chunk(int(at * SAMPLE_RATE), silence(2))
    return chunk_result(chunk, engine, [Token(f" {text}", 1.0, 1.5)], channel)


def assembled(*parts: ChunkResult) -> Assembly:
    assembly = Assembly()
    for one in parts:
        assembly.expect(one.start, one.end)
        assembly.add(one)
    return assembly


def texts(passages: Iterable[Passage]) -> list[str]:
    return [word.text for passage in passages for word in passage.words]


def test_words_are_timed_from_the_start_of_the_upload() -> None:
    (word,) = spoken(60, "here").tokens
    assert (word.start, word.end) == (61.0, 61.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    arriving = [spoken(at, str(at)) for at in range(0, 40, 4)]
    random.Random(seed).shuffle(arriving)
    assert texts(assembled(*arriving).passages(NOTHING_FOUND)) == [str(at) for at in range(0, 40, 4)]


def test_complete_is_when_the_end_is_known_and_every_chunk_has_its_answer() -> None:
    assembly = Assembly()
    assembly.expect(0, 2 * SAMPLE_RATE)
    assembly.expect(2 * SAMPLE_RATE, 4 * SAMPLE_RATE)
    assembly.add(spoken(0, "a"))
    assembly.add(spoken(0, "again"))
    assert not assembly.is_complete
    assembly.end(4 * SAMPLE_RATE)
    assert not assembly.is_complete
    assembly.add(ChunkResult(2 * SAMPLE_RATE, 4 * SAMPLE_RATE, CPU, failure="Broken."))
    assert assembly.is_complete
    assert texts(assembly.passages(NOTHING_FOUND)) == ["a"]


def test_turns_say_who_says_what_and_where_several_speak_at_once() -> None:
    assembly = assembled(spoken(0, "Hello."), spoken(4, "Yes."))
    assembly.end(8 * SAMPLE_RATE)
    turns = [Turn(0.5, 6.0, 0), Turn(4.5, 7.0, 1)]
    transcript = transcript_of(
        assembly, NOTHING_FOUND, lambda engines: "tiny", job_id="job", source="a.wav", language="en", turns=turns
    )
    assert transcript.words[0].speaker == 0
    assert [(one.number, one.seconds) for one in transcript.speakers] == [(0, 5.5), (1, 2.5)]
    assert transcript.overlaps == (Overlap(start=4.5, end=6.0, speakers=(0, 1)),)


def test_an_upload_without_sound_is_complete_at_once() -> None:
    assembly = Assembly()
    assembly.end(0)
    assert assembly.is_complete
    assert assembly.passages(NOTHING_FOUND) == []
    assert assembly.gaps(NOTHING_FOUND, []) == []


def test_a_word_that_two_chunks_recognized_counts_once() -> None:
    first, second = spoken(0, "twice"), spoken(0.5, "twice")
    second = replace(second, tokens=first.tokens)
    assert texts(assembled(first, second).passages(NOTHING_FOUND)) == ["twice"]


def test_the_rest_of_a_word_is_never_glued_to_another_chunks_word() -> None:
    rest = replace(spoken(2, "rest"), tokens=(Token("rest", 2.1, 2.4),))
    assert texts(assembled(spoken(0, "whole"), rest).passages(NOTHING_FOUND)) == ["whole", "rest"]


def test_split_channels_are_speakers_whose_words_are_in_order() -> None:
    parts = [spoken(0, "one"), spoken(4, "three"), spoken(2, "two", channel=1), spoken(6, "four", channel=1)]
    passages = assembled(*parts).passages([Findings(), Findings()])
    assert texts(passages) == ["one", "two", "three", "four"]
    assert [word.speaker for passage in passages for word in passage.words] == [0, 1, 0, 1]


def test_each_word_names_its_engine() -> None:
    passages = assembled(spoken(0, "a"), spoken(2, "b"), spoken(4, "c", engine=GPU)).passages(NOTHING_FOUND)
    assert [(passage.engine, texts([passage])) for passage in passages] == [(CPU, ["a", "b"]), (GPU, ["c"])]


def test_what_the_audit_found_is_in_the_words() -> None:
    assembly = assembled(spoken(0, "nobody's"), spoken(6, "kept"))
    findings = Findings(
        splices=[Splice(Span(2.0, 6.0), (Token(" found", 3.0, 3.4),))],
        dropped=timed_words(spoken(0, "nobody's").tokens),
    )
    assert texts(assembly.passages([findings])) == ["found", "kept"]


def test_failed_chunks_unreadable_audio_and_missed_speech_are_gaps_in_time_order() -> None:
    assembly = assembled(spoken(0, "a"), ChunkResult(4 * SAMPLE_RATE, 6 * SAMPLE_RATE, CPU, failure="Broken."))
    assembly.add_gap(Gap(start=10.0, end=15.0, reason="unreadable"))
    findings = [Findings(gaps=[Gap(start=7.0, end=8.0, reason="No words.")], retranscribed_seconds=3.0, audited=False)]
    passages = assembly.passages(findings)
    gaps = assembly.gaps(findings, passages)
    assert [(gap.start, gap.end, gap.reason) for gap in gaps] == [
        (4, 6, "Broken."),
        (7, 8, "No words."),
        (10, 15, "unreadable"),
    ]
    found = coverage(passages, gaps, findings)
    assert (found.covered_seconds, found.speech_seconds) == (0.5, 8.5)
    assert (found.gaps, found.repaired_seconds, found.dropped_words, found.audited) == (tuple(gaps), 3.0, 0, False)


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


@pytest.mark.parametrize(
    ("channels", "stated", "expected"),
    [(1, 60.0, 40.0), (2, 60.0, 40.0), (1, None, 20.0), (1, 10.0, 20.0)],
    ids=["half of it so far", "two channels, a quarter each", "length unknown", "longer than stated"],
)
def test_expected_audio_is_estimated_until_all_is_cut(channels: int, stated: float | None, expected: float) -> None:
    assembly = Assembly()
    # 20 s of the first 30: of the next 30 as large a share.
    assembly.expect(0, 10 * SAMPLE_RATE)
    assembly.expect(20 * SAMPLE_RATE, 30 * SAMPLE_RATE)
    assert assembly.expected_seconds(stated, channels) == pytest.approx(expected)
    assembly.end(60 * SAMPLE_RATE)
    assert assembly.expected_seconds(stated, channels) == 20.0
