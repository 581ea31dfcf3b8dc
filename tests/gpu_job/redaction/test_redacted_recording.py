"""The redacted recording: transcribed again it says nothing of what was redacted."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import pytest

from dropscribe.local_media import inspected
from gpu_job import transcribe
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.tokens import Token
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.speech_models import SpeechModels
from gpu_job.redaction.redacted_recording import MOST_ROUNDS, Hearing, NotRedacted, Redactable, redact_recording
from gpu_job.transcription.setup import AUDIT_THREADS, Pipeline, PipelineOptions
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import recording
from shared.enums import Channels
from shared.errors import EngineFailed
from shared.languages.choice import LanguageChoice
from shared.languages.models import LanguageModels
from shared.languages.table import LanguageTable
from shared.options.model import UploadOptions
from shared.redaction.entities import Label
from shared.redaction.kinds import AudioMasking, Redact
from shared.transcript.editing.redaction import RedactedWords, redact_transcript
from shared.transcript.model import Gap, RedactedAudio, Transcript, WarningCode
from tests.support.engine_chain import chain_of
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.word_alignment import all_plain


@pytest.fixture
def engine(tiny_model: OnnxTdt) -> Iterator[EngineChain]:
    chain = chain_of(tiny_model)
    yield chain
    chain.stop()


def said(transcript: Transcript) -> list[str]:
    return all_plain([word.text for word in transcript.words])


def redact(
    path: Path, asked: UploadOptions, engine: EngineChain, target: Path, gaps: Sequence[Gap] = ()
) -> tuple[Transcript, Transcript, tuple[RedactedWords, ...], RedactedAudio]:
    """The transcript, the redacted one, what that lacks, and what is known of the redacted recording in `target`."""
    media = inspected(path)
    unredacted = asked.model_copy(update={"redact": (), "redact_terms": ()})
    whole = transcribe(path, engine=engine, media=media, asked=unredacted)
    redacted, words = redact_transcript(whole, asked.redaction)
    with ThreadPoolExecutor(AUDIT_THREADS) as threads:
        pipeline = Pipeline(engine, PipelineOptions(), SpeechDetector(), threads)
        hearing = Hearing(pipeline, "job", stays_local=True, cancelled=threading.Event())
        audio = redact_recording(Redactable(path, media, asked, words, gaps), hearing, target)
    return whole, redacted, words, audio


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("call.opus", ("island", "five one zero", "dark dog")),
        ("interview.m4a", ("julia", "small river")),
        ("lecture.flac", ("helen", "Thomas", "kitchen", "doctor")),
        ("memo.wav", ("doctor", "white office")),
        ("podcast.mp3", ("morning", "Julia moved")),
        ("stream.mp4", ("maria", "robert", "hotel")),
    ],
)
def test_none_of_the_terms_is_heard_in_the_redacted_recording(
    engine: EngineChain, tmp_path: Path, name: str, terms: tuple[str, ...]
) -> None:
    path, target = recording(name).path, tmp_path / "redacted.ogg"
    whole, redacted, words, audio = redact(path, UploadOptions(redact_terms=terms), engine, target)
    hidden = " ".join(all_plain([text for one in words for text in one.texts]))
    again = transcribe(target, engine=engine)
    for term in terms:
        phrase = f" {term.lower()} "
        assert phrase in f" {' '.join(said(whole))} "
        assert phrase in f" {hidden} "
        assert phrase not in f" {' '.join(said(redacted))} "
        assert phrase not in f" {' '.join(said(again))} "
    assert again.duration == pytest.approx(whole.duration, abs=0.1)
    # Most of the rest is still heard.
    kept = [one for one in said(redacted) if not one.startswith("[")]
    assert len(said(again)) > 0.4 * len(kept)
    assert 0 < audio.masked_seconds < whole.duration


def test_of_split_channels_each_loses_its_own_words(engine: EngineChain, tmp_path: Path) -> None:
    """In the one that speaks of the river somebody else says nothing of it, and so the other way round."""
    both, target = tmp_path / "both.flac", tmp_path / "redacted.ogg"
    left, right = (str(recording(name).path) for name in ("interview.m4a", "memo.wav"))
    mixed = "[0:a]aformat=channel_layouts=mono[l];[1:a]aformat=channel_layouts=mono[r];[l][r]join=inputs=2[a]"
    made = ["-filter_complex", mixed, "-map", "[a]", "-ar", "16000", str(both)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", left, "-i", right, *made]
    subprocess.run(command, check=True)
    asked = UploadOptions(redact_terms=("small river", "white office"), channels=Channels.SPLIT)
    whole, redacted, _, _ = redact(both, asked, engine, target)
    again = transcribe(target, engine=engine, media=inspected(target), asked=UploadOptions(channels=Channels.SPLIT))
    assert again.channels == 2
    for channel, term in enumerate(("small river", "white office")):
        assert term in of_channel(whole, channel)
        for one in (redacted, again):
            assert term not in of_channel(one, channel)
        assert len(of_channel(again, channel)) > 0.4 * len(of_channel(redacted, channel))


def of_channel(transcript: Transcript, channel: int) -> str:
    return " ".join(all_plain([word.text for word in transcript.words if word.speaker == channel]))


def test_a_file_that_is_transcribed_without_a_worker_is_redacted_but_for_its_sound(engine: EngineChain) -> None:
    asked = UploadOptions(redact=(Redact.PII,), redact_terms=("white office",))
    transcript = transcribe(recording("memo.wav").path, engine=engine, asked=asked)
    assert "[REDACTED]" in transcript.text
    assert "white office" not in transcript.text
    assert WarningCode.REDACTED_AUDIO_MISSING in [warning.code for warning in transcript.warnings]
    without = asked.model_copy(update={"redact_audio": AudioMasking.OFF})
    assert not transcribe(recording("memo.wav").path, engine=engine, asked=without).warnings


def test_names_are_found_and_beeped(engine: EngineChain, tmp_path: Path) -> None:
    asked = UploadOptions(redact=(Redact.PII,), redact_audio=AudioMasking.BEEP)
    _, redacted, words, audio = redact(recording("lecture.flac").path, asked, engine, tmp_path / "redacted.ogg")
    assert {"Helen", "Thomas"} <= {text.strip(".") for one in words for text in one.texts}
    assert "[NAME]" in redacted.text
    again = said(transcribe(tmp_path / "redacted.ogg", engine=engine))
    assert not {"helen", "thomas"} & set(again)
    assert redacted.redaction is not None
    assert len(redacted.redaction.stretches) == len(words)
    assert audio.rounds >= 1


class OneWordModel(FakeRecognizer):
    """A model that hears the same word in whatever it is given."""

    def __init__(self, word: str) -> None:
        super().__init__(name=word)
        self.gate.set()

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        return [[Token(f" {self.name}", 0.2, 0.8, 0.9)] for _ in batch]


def test_the_redacted_recording_is_listened_to_in_its_own_language(tmp_path: Path) -> None:
    """A model of another language would hear nothing of what is still said."""
    own, german = OneWordModel("nothing"), OneWordModel("Sabine")
    chain = EngineChain()
    chain.add(LocalEngine(own.engine, own.name, lambda: own, 1000.0, chain, load_other=lambda name: german))
    chain.start()
    models = SpeechModels(own.name, LanguageTable(models=LanguageModels.parse("german=de")))
    asked = UploadOptions(redact_terms=("Sabine",), language=LanguageChoice(tags=("de",)))
    path = recording("memo.wav").path
    words = (RedactedWords(0.2, 0.8, Label.REDACTED, texts=("Sabine",)),)
    with ThreadPoolExecutor(AUDIT_THREADS) as threads:
        pipeline = Pipeline(chain, PipelineOptions(speech_models=models), SpeechDetector(), threads)
        hearing = Hearing(pipeline, "job", stays_local=True, cancelled=threading.Event())
        recorded = Redactable(path, inspected(path), asked, words, ())
        with pytest.raises(NotRedacted, match=f"after {MOST_ROUNDS} rounds"):
            redact_recording(recorded, hearing, tmp_path / "redacted.ogg")
    chain.stop()


def test_a_recording_that_nobody_wants_is_not_made_to_its_end(engine: EngineChain, tmp_path: Path) -> None:
    path = recording("memo.wav").path
    with ThreadPoolExecutor(AUDIT_THREADS) as threads:
        pipeline = Pipeline(engine, PipelineOptions(), SpeechDetector(), threads)
        hearing = Hearing(pipeline, "job", stays_local=True, cancelled=threading.Event())
        hearing.cancelled.set()
        wanted = Redactable(path, inspected(path), UploadOptions(redact_terms=("doctor",)), (), ())
        with pytest.raises(EngineFailed, match="cancelled"):
            redact_recording(wanted, hearing, tmp_path / "redacted.ogg")
    assert not (tmp_path / "redacted.ogg").exists()


def test_it_ends_where_nobody_wants_it_any_more_while_it_is_listened_to(tmp_path: Path) -> None:
    """An attempt at which another worker is by then, say: engines go on with what is still wanted."""
    recognizer, path = OneWordModel("nothing"), recording("lecture.flac").path
    recognizer.batch_limits = BatchLimits(1, 40 * SAMPLE_RATE)  # few chunks are under way when it ends
    chain, cancelled, advanced = chain_of(recognizer), threading.Event(), list[int]()

    def advance() -> None:
        advanced.append(recognizer.begun.qsize())
        if advanced[-1]:
            cancelled.set()

    with ThreadPoolExecutor(AUDIT_THREADS) as threads:
        options = PipelineOptions(cuts=CutRules(max_seconds=2.0))
        pipeline = Pipeline(chain, options, SpeechDetector(), threads)
        hearing = Hearing(pipeline, "job", stays_local=True, cancelled=cancelled, on_progress=advance)
        wanted = Redactable(path, inspected(path), UploadOptions(redact_terms=("doctor",)), (), ())
        with pytest.raises(EngineFailed, match="cancelled"):
            redact_recording(wanted, hearing, tmp_path / "redacted.ogg")
    chain.stop()
    # While it was written, and with the first chunk that was heard.
    assert advanced[0] == 0
    assert advanced[-1] > 0
