"""The core call: a file in, its transcript out."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from dropscribe.local_media import inspected
from gpu_job import transcribe
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.pace import DecodePace
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.queries import AuditRules
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.open_engine import open_engine
from gpu_job.engines.task import Task
from gpu_job.pipeline import FileTranscription
from gpu_job.settings import JobSettings
from gpu_job.transcription.listener import TranscriptionListener
from gpu_job.transcription.setup import Pipeline, PipelineOptions
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import Recording, recording
from infra.tiny_parakeet import MODEL_PATH
from shared.enums import Channels, Engine
from shared.errors import BadMedia, EngineFailed, FailureKind
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount
from shared.transcript.model import WarningCode
from tests.support.engine_chain import chain_of
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.sounds import make, noise, raw, silence, tone
from tests.support.waiting import PATIENCE
from tests.support.word_alignment import all_plain

SPLIT = UploadOptions(channels=Channels.SPLIT)

CALL = recording("call.opus")


@pytest.fixture
def engine(tiny_model: OnnxTdt) -> Iterator[EngineChain]:
    chain = chain_of(tiny_model)
    yield chain
    chain.stop()


@pytest.mark.parametrize("name", ["call.opus", "memo.wav", "stream.mp4"])
def test_a_recording_becomes_its_words(engine: EngineChain, name: str) -> None:
    truth: Recording = recording(name)
    transcript = transcribe(truth.path, engine=engine, media=inspected(truth.path))
    assert all_plain([word.text for word in transcript.words]) == all_plain([word.word for word in truth.words])
    assert transcript.coverage.audited
    assert transcript.coverage.gaps == ()
    assert transcript.duration == pytest.approx(truth.duration, abs=0.1)
    assert transcript.source == truth.path.absolute().as_uri()
    assert transcript.engines == (Engine.PARAKEET_CPU,)


def test_without_what_inspection_found_the_words_are_the_same(engine: EngineChain) -> None:
    known = transcribe(CALL.path, engine=engine, media=inspected(CALL.path))
    assert transcribe(str(CALL.path), engine=engine).words == known.words


def test_each_channel_is_a_speaker(engine: EngineChain, tmp_path: Path) -> None:
    call, memo = CALL.path, recording("memo.wav").path
    both = "[0:a]aformat=channel_layouts=mono[l];[1:a]aformat=channel_layouts=mono[r];[l][r]join=inputs=2[out]"
    path = make(tmp_path / "two.wav", "-i", str(call), "-i", str(memo), "-filter_complex", both, "-map", "[out]")
    transcript = transcribe(path, engine=engine, media=inspected(path), asked=SPLIT)
    for speaker, alone in enumerate((CALL, recording("memo.wav"))):
        recognized = [word.text for word in transcript.words if word.speaker == speaker]
        assert all_plain(recognized) == all_plain([word.word for word in alone.words])[: len(recognized)]
        assert recognized
    with pytest.raises(ValueError, match="media"):
        transcribe(path, engine=engine, asked=SPLIT)


def test_each_second_has_its_loudness(engine: EngineChain, tmp_path: Path) -> None:
    """Of split channels the loudest one's; the last second may be shorter."""
    left, right = np.concatenate([tone(1, -20, 1600), silence(1.5)]), np.concatenate([silence(1), tone(1.5, -30, 1600)])
    path = make(tmp_path / "two.wav", *raw(tmp_path / "two.f32", np.stack([left, right], axis=1)), "-c:a", "pcm_f32le")
    split = transcribe(path, engine=engine, media=inspected(path), asked=SPLIT)
    assert split.loudness == (-20, -30, -30)
    assert transcribe(path, engine=engine).loudness == (-26, -36, -36)


def test_a_transcript_warns_where_speakers_were_asked_and_no_voice_is_in_the_recording(tmp_path: Path) -> None:
    """The engine wrote a word all the same."""
    recognizer = FakeRecognizer()
    recognizer.gate.set()
    chain = chain_of(recognizer)
    path = make(tmp_path / "hum.wav", *raw(tmp_path / "hum.raw", tone(3, 100)))
    asked = UploadOptions(speakers=SpeakerCount())
    transcript = transcribe(path, engine=chain, asked=asked, options=PipelineOptions(audit=None))
    chain.stop()
    assert [word.speaker for word in transcript.words] == [None]
    assert WarningCode.UNKNOWN_SPEAKERS in [warning.code for warning in transcript.warnings]


def test_without_an_audit_nothing_vouches_for_the_coverage(engine: EngineChain) -> None:
    transcript = transcribe(CALL.path, engine=engine, options=PipelineOptions(audit=None, language="de"))
    assert not transcript.coverage.audited
    assert transcript.language == "de"
    assert transcript.words


def test_a_model_is_opened_for_one_file(tmp_path: Path) -> None:
    """As the README says it, in a process of its own: torch and NeMo are imported by the engine's thread."""
    program = f"from gpu_job import transcribe; print(transcribe({str(CALL.path)!r}, engine={str(MODEL_PATH)!r}).text)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all_plain(done.stdout.split()) == all_plain([word.word for word in CALL.words])


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "nemo", "google.cloud.storage")
    program = f"import sys, gpu_job; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_model_that_cannot_be_loaded_is_an_error() -> None:
    with open_engine("/nowhere/model.nemo", engine=Engine.PARAKEET_CPU) as engine, pytest.raises(EngineFailed) as found:
        transcribe(CALL.path, engine=engine)
    assert found.value.kind is FailureKind.MODEL_LOAD


def test_a_file_without_sound_is_an_error(engine: EngineChain, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp3"
    path.write_bytes(b"Dear all, " * 1000)
    with pytest.raises(BadMedia):
        transcribe(path, engine=engine)


def bursts(folder: Path, *levels: float) -> Path:
    """Noise for a second each, of these first samples' kinds, far apart."""
    pieces: list[Samples] = []
    for level in levels:
        pieces += [noise(1, level), silence(10)]
    return make(folder / "bursts.wav", *raw(folder / "bursts.raw", np.concatenate(pieces)))


class AlwaysBroken(FakeRecognizer):
    """Fails on every chunk."""

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        raise ValueError("broken")


def test_where_every_chunk_failed_the_call_fails(tmp_path: Path) -> None:
    chain = chain_of(AlwaysBroken())
    with pytest.raises(EngineFailed, match="ValueError"):
        transcribe(bursts(tmp_path, -20, -20), engine=chain)
    chain.stop()


def test_an_engine_that_ends_meanwhile_ends_the_call(tmp_path: Path) -> None:
    class Ending(FakeRecognizer):
        def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
            raise EngineFailed("No GPU any more.", FailureKind.MODEL_LOAD)

    chain = chain_of(Ending())
    with pytest.raises(EngineFailed, match="No GPU any more"):
        transcribe(bursts(tmp_path, -20), engine=chain)
    chain.stop()


class Deaf(FakeRecognizer):
    """Gives no word for any chunk."""

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        return [[] for _ in batch]


class NoThreads(LocalEngine):
    """Cannot take what the audit submits."""

    def submit(self, task: Task, *, wait: bool) -> None:
        if task.urgent:
            raise RuntimeError("can't start new thread")
        super().submit(task, wait=wait)


@pytest.mark.timeout(120)
def test_an_audit_that_ends_in_an_exception_ends_the_call() -> None:
    deaf, chain = Deaf(), EngineChain()
    deaf.gate.set()
    chain.add(NoThreads(deaf.engine, deaf.name, lambda: deaf, 1000.0, chain))
    chain.start()
    with pytest.raises(RuntimeError, match="new thread"):
        transcribe(CALL.path, engine=chain)
    chain.stop()


@pytest.mark.timeout(120)
def test_one_file_may_be_transcribed_twice_at_once(tmp_path: Path) -> None:
    recognizer, submitted = FakeRecognizer(BatchLimits(1, 40 * SAMPLE_RATE)), Queue[int]()

    class Counting(LocalEngine):
        def submit(self, task: Task, *, wait: bool) -> None:
            super().submit(task, wait=wait)
            submitted.put(task.chunk.start)

    chain, path = EngineChain(), bursts(tmp_path, *[-20] * 6)
    chain.add(Counting(recognizer.engine, recognizer.name, lambda: recognizer, 1000.0, chain))
    chain.start()
    nine = inspected(path).model_copy(update={"channels": 9})
    with ThreadPoolExecutor(1) as caller:
        first = caller.submit(transcribe, path, engine=chain, options=PipelineOptions(audit=None))
        try:
            for _ in range(6):
                submitted.get(timeout=PATIENCE)
            with pytest.raises(BadMedia, match="9 channels"):
                transcribe(path, engine=chain, media=nine, asked=SPLIT)
            recognizer.gate.set()
            assert len(first.result(timeout=PATIENCE).words) == 6
        finally:
            chain.stop()


def test_after_a_cancelled_call_the_audit_submits_nothing() -> None:
    recognizer = FakeRecognizer()
    chain = chain_of(recognizer)
    with ThreadPoolExecutor(1) as threads:
        pipeline = Pipeline(chain, PipelineOptions(), SpeechDetector(), threads)
        file = FileTranscription(pipeline, "job", TranscriptionListener())
        file.cancel()
        with pytest.raises(EngineFailed, match="cancelled"):
            file.transcribe_window(0, Chunk(0, noise(1, -20)), lambda tokens: None)
    assert recognizer.begun.empty()
    chain.stop()


@pytest.mark.parametrize(("name", "error"), [("absent.wav", FileNotFoundError), ("", IsADirectoryError)])
def test_a_wrong_path_is_known_before_a_model_is_loaded(tmp_path: Path, name: str, error: type[OSError]) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises(error):
        transcribe(tmp_path / name, engine="/nowhere/model.nemo")
    started = [thread for thread in threading.enumerate() if thread.ident not in before]
    assert [thread.name for thread in started if thread.name.startswith("engine-")] == []


def test_silence_is_a_transcript_without_words(engine: EngineChain, tmp_path: Path) -> None:
    path = make(tmp_path / "silent.wav", *raw(tmp_path / "silent.raw", silence(30)))
    transcript = transcribe(path, engine=engine)
    assert (transcript.text, transcript.coverage.gaps, transcript.duration) == ("", (), 30.0)


def test_the_defaults_are_a_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "RESULTS_BUCKET", "STATE_BUCKET"):
        monkeypatch.setenv(name, "some-name")
    settings = JobSettings()
    # Which model hears which language is a table that only deployments have.
    assert replace(settings.pipeline_options, speech_models=None) == PipelineOptions()
    assert settings.pipeline_options.audit == AuditRules()


def test_the_pace_is_that_of_decoding_until_the_queue_is_full() -> None:
    pace = DecodePace()
    for _ in range(3):
        pace.add(audio_seconds=5.0, submit_seconds=0.001)
    before = pace.wall_seconds
    assert pace.audio_seconds == 15.0
    pace.add(audio_seconds=5.0, submit_seconds=10.0)
    pace.add(audio_seconds=5.0, submit_seconds=0.001)
    assert (pace.audio_seconds, pace.wall_seconds) == (15.0, before)
