"""The audit runner with the real detector and the real model: lost words come back, and nothing is made of noise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

import numpy as np
import pytest

from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.loudness import FRAME, levels, quietest
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.audit import NO_WORDS_REASON, Audit
from gpu_job.audit.evidence import timed_words
from gpu_job.audit.findings import apply_findings
from gpu_job.audit.intervals import Span
from gpu_job.audit.queries import AuditRules
from gpu_job.audit.runner import MAX_WAITING_QUERIES, AuditRunner, DeliverTokens
from gpu_job.vad.detector import SpeechDetector
from gpu_job.vad.segments import VadThresholds
from infra.recordings import recording
from shared.errors import EngineFailed
from shared.transcript.model import Gap
from tests.support.finished_audit import on_upload_clock, plain_words
from tests.support.sounds import music, noise, silence, tone
from tests.support.waiting import PATIENCE

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
    return np.concatenate(list(decode(recording("long_unseen.opus").path)))[: SECONDS * SAMPLE_RATE]


@pytest.fixture(scope="module")
def recognized(tiny_model: OnnxTdt, sound: Samples) -> list[tuple[Chunk, list[Token]]]:
    """The chunks of the sound and the true answers."""
    cut = list(chunks([sound], CutRules()))
    return [(chunk, on_upload_clock(chunk, tiny_model.transcribe([chunk.samples])[0])) for chunk in cut]


Transcribe = Callable[[Chunk, DeliverTokens], None]


@dataclass
class Host:
    """What an audit needs of its file."""

    transcribe: Transcribe
    is_done: threading.Event = field(default_factory=threading.Event)
    errors: Queue[Exception] = field(default_factory=Queue)

    def transcribe_window(self, window: Chunk, deliver: DeliverTokens) -> None:
        self.transcribe(window, deliver)

    def unheard(self, window: Chunk, gaps: Sequence[Gap]) -> None:
        pass

    def done(self) -> None:
        self.is_done.set()

    def broke(self, error: Exception) -> None:
        self.errors.put(error)


class Upload:
    """One channel on its way through its audit."""

    def __init__(self, transcribe: Transcribe, threads: Executor) -> None:
        self.host = Host(transcribe)
        self.threads = threads
        self.tokens: list[Token] = []
        self.runner = AuditRunner(Audit(AuditRules()), DETECTOR, threads, self.host)

    def run(self, answers: Iterable[tuple[Chunk, Sequence[Token]]]) -> list[Token]:
        """The tokens after audit and repair."""
        for chunk, tokens in answers:
            self.runner.cut(chunk)
            self.tokens.extend(tokens)
            self.runner.transcribed(chunk.start, tokens)
        self.runner.end()
        assert self.runner.is_done or self.host.is_done.wait(PATIENCE)
        return list(apply_findings(self.tokens, self.runner.findings))


@pytest.fixture
def upload(tiny_model: OnnxTdt, threads: Executor) -> Upload:
    """With the tiny model."""

    def transcribe(window: Chunk, deliver: DeliverTokens) -> None:
        deliver(on_upload_clock(window, tiny_model.transcribe([window.samples])[0]))

    return Upload(transcribe, threads)


def without(tokens: Iterable[Token], omission: Span) -> list[Token]:
    """Without the words that begin there."""
    words = [timed for timed in timed_words(tokens) if not omission.start <= timed.word.start < omission.end]
    return [token for timed in words for token in timed.tokens]


def all_tokens(recognized: Iterable[tuple[Chunk, list[Token]]]) -> list[Token]:
    return [token for _, tokens in recognized for token in tokens]


def test_speech_with_its_words_raises_no_query(upload: Upload, recognized: list[tuple[Chunk, list[Token]]]) -> None:
    assert upload.run(recognized) == all_tokens(recognized)
    assert upload.runner.findings.queried_seconds == 0


@pytest.mark.parametrize("blank", [0, 1, -1])
def test_a_blank_chunk_is_found_and_repaired(
    upload: Upload, recognized: list[tuple[Chunk, list[Token]]], blank: int
) -> None:
    lost = recognized[blank][0]
    repaired = upload.run((chunk, [] if chunk is lost else tokens) for chunk, tokens in recognized)
    assert len(plain_words(recognized[blank][1])) > 3
    assert plain_words(repaired) == plain_words(all_tokens(recognized))
    assert upload.runner.findings.gaps == []
    starts = [time for word in words_of(repaired) for time in (word.start, word.end)]
    assert starts == sorted(starts)


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_an_omission_across_a_join_is_repaired(
    tiny_model: OnnxTdt, upload: Upload, sound: Samples, overlap: float
) -> None:
    """Two chunks that part in the middle of a sentence, both without the words around the cut."""
    level = levels(sound)
    cut = quietest(level, 1800, 2200, 5) * FRAME
    pair = [Chunk(0, sound[:cut]), Chunk(begin := cut - int(overlap * SAMPLE_RATE), sound[begin : 40 * SAMPLE_RATE])]
    omission = Span(cut / SAMPLE_RATE - 2, cut / SAMPLE_RATE + 2)
    truth = on_upload_clock(Chunk(0, sound[:0]), tiny_model.transcribe([sound[: 40 * SAMPLE_RATE]])[0])
    missed = without(truth, omission)
    first = len(without(missed, Span(omission.end, 40)))
    answers = [missed[:first], missed[first:]]
    repaired = upload.run(zip(pair, answers, strict=True))
    assert len(plain_words(truth)) - len(plain_words(missed)) >= 4
    assert plain_words(repaired) == plain_words(truth)
    assert upload.runner.findings.gaps == []


def test_what_the_model_cannot_recognize_is_a_gap(
    threads: Executor, recognized: list[tuple[Chunk, list[Token]]]
) -> None:
    upload = Upload(lambda window, deliver: deliver([]), threads)
    chunk, tokens = recognized[0]
    omission = Span(tokens[8].start, tokens[-8].start)
    kept = without(tokens, omission)
    assert upload.run([(chunk, kept)]) == kept
    gaps = upload.runner.findings.gaps
    assert {gap.reason for gap in gaps} == {NO_WORDS_REASON}
    assert all(omission.start - 0.5 < gap.start < gap.end < omission.end + 0.5 for gap in gaps)
    assert sum(gap.end - gap.start for gap in gaps) > 0.5 * omission.seconds


NO_SPEECH = {
    "silence": silence(20),
    "noise": noise(20, -20),
    "soft noise": noise(20, -45),
    "tones": np.concatenate([tone(2, -20, hertz) for hertz in (110, 220, 330, 440, 660, 880, 1320, 1760)]),
    "music": music(20, -20),
    "bursts": np.concatenate([noise(0.4, -20), silence(0.6)] * 20),
}


@pytest.mark.parametrize("sound", NO_SPEECH.values(), ids=NO_SPEECH.keys())
def test_without_speech_there_are_no_gaps_and_no_words(tiny_model: OnnxTdt, upload: Upload, sound: Samples) -> None:
    """The words of the model there, if any, and what a worse one would."""
    hallucinated = [Token(" yeah", 5.0, 5.3, 0.9), Token(".", 5.3, 5.4, 0.9), Token(" mm", 12.0, 12.2, 0.3)]
    chunk = Chunk(7 * SAMPLE_RATE, sound)
    for tokens in (tiny_model.transcribe([sound])[0], hallucinated):
        channel = Upload(upload.host.transcribe, upload.threads)
        assert channel.run([(chunk, on_upload_clock(chunk, tokens))]) == []
        assert channel.runner.findings.gaps == []
        assert len(channel.runner.findings.dropped) == len(words_of(tokens))


def test_after_a_detector_fails_the_coverage_is_not_audited(
    threads: Executor, recognized: list[tuple[Chunk, list[Token]]]
) -> None:
    class Broken:
        def speech(self, samples: Samples, rules: VadThresholds) -> list[tuple[float, float]]:
            raise RuntimeError("no memory")

    host = Host(lambda *_: None)
    runner = AuditRunner(Audit(), Broken(), threads, host)
    runner.cut(recognized[0][0])
    runner.transcribed(recognized[0][0].start, [])
    runner.end()
    assert host.is_done.wait(PATIENCE)
    assert not runner.findings.audited


def gone(window: Chunk, deliver: DeliverTokens) -> None:
    raise EngineFailed("The engine was stopped.")


def test_without_an_engine_the_audit_stays_open(recognized: list[tuple[Chunk, list[Token]]]) -> None:
    """The upload is handed over then, and must not end with a gap that another worker can fill."""
    with ThreadPoolExecutor(1) as pool:
        runner = AuditRunner(Audit(), DETECTOR, pool, Host(gone))
        runner.cut(recognized[0][0])
        runner.transcribed(recognized[0][0].start, [])
        runner.end()
    assert not runner.is_done
    assert runner.findings.gaps == []


def test_threads_that_were_shut_down_leave_it_open(recognized: list[tuple[Chunk, list[Token]]]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    runner = AuditRunner(Audit(), DETECTOR, pool, Host(gone))
    runner.cut(recognized[0][0])
    runner.transcribed(recognized[0][0].start, [])
    runner.end()
    assert not runner.is_done


def test_whoever_cuts_helps_where_the_threads_fall_behind() -> None:
    class Stuck(Executor):
        def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
            return Future()

    asked: list[int] = []

    class FakeRecognizer:
        def speech(self, samples: Samples, rules: VadThresholds) -> list[tuple[float, float]]:
            asked.append(len(samples))
            return []

    runner = AuditRunner(Audit(), FakeRecognizer(), Stuck(), Host(gone))
    burst = np.concatenate([silence(1), noise(1, -20)])
    for n in range(MAX_WAITING_QUERIES + 10):
        start = n * 10 * SAMPLE_RATE
        runner.cut(Chunk(start, burst))
        runner.transcribed(start, [])
    assert 8 <= len(asked) <= 10
