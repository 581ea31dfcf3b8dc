"""Repairing with the real detector and the real model: lost words come back, and nothing is made of noise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest

from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.ffmpeg import DecoderLimits
from gpu_job.audio.loudness import FRAME, levels, quietest
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.audit import NO_WORDS, Audit
from gpu_job.audit.evidence import heard_words
from gpu_job.audit.findings import amended
from gpu_job.audit.intervals import Span
from gpu_job.audit.questions import AuditRules
from gpu_job.audit.runner import MAX_WAITING, AuditRunner, Deliver
from gpu_job.vad.detector import SpeechDetector
from gpu_job.vad.segments import VadThresholds
from infra.recordings import recording
from shared.errors import EngineFailed
from tests.support.settled_audit import on_upload_clock, plain_words
from tests.support.sounds import music, noise, silence, tone

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")

DETECTOR = SpeechDetector()
SECONDS = 75
"""Of the long recording: a few chunks."""


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, thread_name_prefix="audit") as pool:
        yield pool


@pytest.fixture(scope="module")
def sound() -> Samples:
    return np.concatenate(list(decode(recording("long_unseen.opus").path, DecoderLimits())))[: SECONDS * SAMPLE_RATE]


@pytest.fixture(scope="module")
def heard(parakeet: Parakeet, sound: Samples) -> list[tuple[Chunk, list[Token]]]:
    """The chunks of the sound and the true answers."""
    cut = list(chunks([sound], CutRules()))
    return [(chunk, on_upload_clock(chunk, parakeet.transcribe([chunk.samples])[0])) for chunk in cut]


class Upload:
    """One channel on its way: what the worker does with a Repairing."""

    def __init__(self, decode_again: Callable[[Chunk, Deliver], None], threads: Executor, rules: AuditRules) -> None:
        self.settled = threading.Event()
        self.tokens: list[Token] = []
        self.repairing = AuditRunner(Audit(rules), DETECTOR, threads, decode_again, self.settled.set)

    def run(self, answers: Iterable[tuple[Chunk, Sequence[Token]]]) -> list[Token]:
        """The tokens after audit and repair."""
        for chunk, tokens in answers:
            self.repairing.cut(chunk)
            self.tokens.extend(tokens)
            self.repairing.heard(chunk.start, tokens)
        self.repairing.end()
        assert self.repairing.is_settled or self.settled.wait(60)
        return amended(self.tokens, self.repairing.findings)


@pytest.fixture
def upload(parakeet: Parakeet, threads: Executor) -> Upload:
    """With the tiny model."""

    def decode_again(window: Chunk, deliver: Deliver) -> None:
        deliver(on_upload_clock(window, parakeet.transcribe([window.samples])[0]))

    return Upload(decode_again, threads, AuditRules())


def without(tokens: Iterable[Token], hole: Span) -> list[Token]:
    """Without the words that begin there."""
    words = [heard for heard in heard_words(tokens) if not hole.start <= heard.word.start < hole.end]
    return [token for heard in words for token in heard.tokens]


def whole(heard: Iterable[tuple[Chunk, list[Token]]]) -> list[Token]:
    return [token for _, tokens in heard for token in tokens]


def test_speech_with_its_words_raises_no_question(upload: Upload, heard: list[tuple[Chunk, list[Token]]]) -> None:
    assert upload.run(heard) == whole(heard)
    assert upload.repairing.findings.asked_seconds == 0


@pytest.mark.parametrize("blank", [0, 1, -1])
def test_a_blank_chunk_is_found_and_repaired(
    upload: Upload, heard: list[tuple[Chunk, list[Token]]], blank: int
) -> None:
    lost = heard[blank][0]
    repaired = upload.run((chunk, [] if chunk is lost else tokens) for chunk, tokens in heard)
    assert len(plain_words(heard[blank][1])) > 3
    assert plain_words(repaired) == plain_words(whole(heard))
    assert upload.repairing.findings.gaps == []
    starts = [time for word in words_of(repaired) for time in (word.start, word.end)]
    assert starts == sorted(starts)


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_a_hole_across_a_join_is_repaired(parakeet: Parakeet, upload: Upload, sound: Samples, overlap: float) -> None:
    """Two chunks that part in the middle of a sentence, both deaf to what is around the cut."""
    level = levels(sound)
    cut = quietest(level, 1800, 2200, 5) * FRAME
    pair = [Chunk(0, sound[:cut]), Chunk(begin := cut - int(overlap * SAMPLE_RATE), sound[begin : 40 * SAMPLE_RATE])]
    hole = Span(cut / SAMPLE_RATE - 2, cut / SAMPLE_RATE + 2)
    truth = on_upload_clock(Chunk(0, sound[:0]), parakeet.transcribe([sound[: 40 * SAMPLE_RATE]])[0])
    deaf = without(truth, hole)
    first = len(without(deaf, Span(hole.end, 40)))
    answers = [deaf[:first], deaf[first:]]
    repaired = upload.run(zip(pair, answers, strict=True))
    assert len(plain_words(truth)) - len(plain_words(deaf)) >= 4
    assert plain_words(repaired) == plain_words(truth)
    assert upload.repairing.findings.gaps == []


def test_what_the_model_cannot_hear_is_a_gap(threads: Executor, heard: list[tuple[Chunk, list[Token]]]) -> None:
    upload = Upload(lambda window, deliver: deliver([]), threads, AuditRules())
    chunk, tokens = heard[0]
    hole = Span(tokens[8].start, tokens[-8].start)
    kept = without(tokens, hole)
    assert upload.run([(chunk, kept)]) == kept
    gaps = upload.repairing.findings.gaps
    assert {gap.reason for gap in gaps} == {NO_WORDS}
    assert all(hole.start - 0.5 < gap.start < gap.end < hole.end + 0.5 for gap in gaps)
    assert sum(gap.end - gap.start for gap in gaps) > 0.5 * hole.seconds


NOBODY = {
    "silence": silence(20),
    "noise": noise(20, -20),
    "soft noise": noise(20, -45),
    "tones": np.concatenate([tone(2, -20, hertz) for hertz in (110, 220, 330, 440, 660, 880, 1320, 1760)]),
    "music": music(20, -20),
    "bursts": np.concatenate([noise(0.4, -20), silence(0.6)] * 20),
}


@pytest.mark.parametrize("sound", NOBODY.values(), ids=NOBODY.keys())
def test_where_nobody_speaks_there_are_no_gaps_and_no_words(parakeet: Parakeet, upload: Upload, sound: Samples) -> None:
    """What the model hears there, if anything, and what a worse one would."""
    ghosts = [Token(" yeah", 5.0, 5.3, 0.9), Token(".", 5.3, 5.4, 0.9), Token(" mm", 12.0, 12.2, 0.3)]
    chunk = Chunk(7 * SAMPLE_RATE, sound)
    for tokens in (parakeet.transcribe([sound])[0], ghosts):
        channel = Upload(upload.repairing._decode, upload.repairing._threads, AuditRules())
        assert channel.run([(chunk, on_upload_clock(chunk, tokens))]) == []
        assert channel.repairing.findings.gaps == []
        assert len(channel.repairing.findings.dropped) == len(words_of(tokens))


def test_a_detector_that_fails_is_owned_up_to(threads: Executor, heard: list[tuple[Chunk, list[Token]]]) -> None:
    class Broken:
        def speech(self, samples: Samples, rules: VadThresholds) -> list[tuple[float, float]]:
            raise RuntimeError("no memory")

    settled = threading.Event()
    repairing = AuditRunner(Audit(), Broken(), threads, lambda *_: None, settled.set)
    repairing.cut(heard[0][0])
    repairing.heard(heard[0][0].start, [])
    repairing.end()
    assert settled.wait(30)
    assert not repairing.findings.audited


def gone(window: Chunk, deliver: Deliver) -> None:
    raise EngineFailed("The engine was stopped.")


def test_without_an_engine_the_audit_stays_open(heard: list[tuple[Chunk, list[Token]]]) -> None:
    """The upload is handed over then, and must not end with a gap that another worker can fill."""
    with ThreadPoolExecutor(1) as pool:
        repairing = AuditRunner(Audit(), DETECTOR, pool, gone, lambda: None)
        repairing.cut(heard[0][0])
        repairing.heard(heard[0][0].start, [])
        repairing.end()
    assert not repairing.is_settled
    assert repairing.findings.gaps == []


def test_threads_that_were_shut_down_leave_it_open(heard: list[tuple[Chunk, list[Token]]]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    repairing = AuditRunner(Audit(), DETECTOR, pool, gone, lambda: None)
    repairing.cut(heard[0][0])
    repairing.heard(heard[0][0].start, [])
    repairing.end()
    assert not repairing.is_settled


def test_whoever_cuts_helps_where_the_threads_fall_behind() -> None:
    class Stuck(Executor):
        def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
            return Future()

    asked: list[int] = []

    class Counting:
        def speech(self, samples: Samples, rules: VadThresholds) -> list[tuple[float, float]]:
            asked.append(len(samples))
            return []

    repairing = AuditRunner(Audit(), Counting(), Stuck(), gone, lambda: None)
    burst = np.concatenate([silence(1), noise(1, -20)])
    for n in range(MAX_WAITING + 10):
        start = n * 10 * SAMPLE_RATE
        repairing.cut(Chunk(start, burst))
        repairing.heard(start, [])
    assert 8 <= len(asked) <= 10
