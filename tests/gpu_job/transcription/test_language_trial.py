"""Which model hears an upload of whose language little is known: all hear the first speech, the surest one the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.asr.recognizer import Recognizer, SpeechModel
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult, chunk_result
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.speech_models import SpeechModels, TrialModels
from gpu_job.pipeline import transcribe
from gpu_job.transcription.language_trial import MOST_AUDIO, LanguageTrial, choose
from gpu_job.transcription.setup import PipelineOptions
from infra.recordings import recording
from infra.tiny_parakeet import GERMAN_ONNX_PATH, ONNX_PATH
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.languages.choice import LanguageChoice
from shared.languages.models import PUBLISHED_MODEL, LanguageModels
from shared.languages.table import LanguageTable
from shared.options.model import UploadOptions

ENGLISH, MANY, OTHER = SpeechModel("english"), SpeechModel("many"), SpeechModel("whisper")
MODELS = TrialModels((ENGLISH, MANY), OTHER)
GERMAN_FILE = Path(__file__).parents[2] / "support" / "recordings" / "german.opus"


def heard(sure: float | None, words: int = 20, failure: str | None = None) -> dict[tuple[int, int], ChunkResult]:
    tokens = tuple(Token(" word", at, at + 0.5, sure) for at in range(words))
    return {(0, 0): ChunkResult(0, 20 * SAMPLE_RATE, Engine.PARAKEET_CPU, tokens, failure)}


@pytest.mark.parametrize(
    ("english", "many", "chosen"),
    [
        (heard(0.95), heard(0.96), ENGLISH),
        (heard(0.80), heard(0.96), MANY),
        (heard(0.96), heard(0.80), ENGLISH),
        (heard(0.80), heard(0.85), OTHER),
        (heard(0.80, failure="gone"), heard(0.96), MANY),
        (heard(0.80, words=3), heard(0.96), MANY),
        (heard(None), heard(0.96), MANY),
        (heard(None), heard(0.96, words=3), None),
        ({}, {}, None),
    ],
)
def test_the_surest_model_is_chosen_and_where_none_is_sure_the_one_for_any_other_language(
    english: dict[tuple[int, int], ChunkResult], many: dict[tuple[int, int], ChunkResult], chosen: SpeechModel | None
) -> None:
    assert choose(MODELS, {ENGLISH: english, MANY: many}) == chosen


def test_without_a_model_for_any_other_language_the_surest_of_unsure_ones_is_taken() -> None:
    models = TrialModels((ENGLISH, MANY), None)
    assert choose(models, {ENGLISH: heard(0.7), MANY: heard(0.8)}) == MANY
    assert choose(models, {ENGLISH: heard(0.7), MANY: heard(0.8, failure="gone")}) is None
    assert choose(models, {ENGLISH: heard(0.95), MANY: heard(0.8, failure="gone")}) == ENGLISH


def chunk(begin: int, speech_share: float = 1.0) -> Chunk:
    return Chunk(begin * SAMPLE_RATE, np.zeros(20 * SAMPLE_RATE, np.float32), speech_share)


def test_a_trial_hears_as_much_speech_as_it_may_and_keeps_the_winners_words() -> None:
    asked: list[str] = []

    def submit(channel: int, one: Chunk, model: SpeechModel | None, deliver: Callable[[ChunkResult], None]) -> None:
        assert model is not None
        asked.append(model.name)
        if model == ENGLISH:
            raise EngineFailed("It is not there.")
        tokens = [Token(" wort", at, at + 0.5, 0.95) for at in range(15)]
        deliver(chunk_result(one, Engine.PARAKEET_CPU, tokens, channel))

    trial = LanguageTrial(MODELS, 30.0, submit, lambda: None)
    for begin in (0, 20):
        assert not trial.is_full
        trial.add(0, chunk(begin))
    assert trial.is_full
    choice = trial.decide()
    assert asked == ["english"] * 2 + ["many"] * 2
    assert choice is not None
    assert choice.model == MANY
    assert sorted(choice.heard) == [(0, 0), (0, 20 * SAMPLE_RATE)]


def test_long_silence_ends_a_trial() -> None:
    trial = LanguageTrial(MODELS, 20.0, lambda *_: None, lambda: None)
    for begin in range(int(MOST_AUDIO)):
        assert not trial.is_full
        trial.add(0, chunk(20 * begin, speech_share=0.0))
    assert trial.is_full


def test_waiting_ends_where_the_transcription_does() -> None:
    def check() -> None:
        raise EngineFailed("cancelled")

    trial = LanguageTrial(MODELS, 20.0, lambda *_: None, check)
    trial.add(0, chunk(0))
    with pytest.raises(EngineFailed, match="cancelled"):
        trial.decide()


def test_a_copy_of_a_model_in_the_table_is_on_trial_once() -> None:
    """As in the GPU's image, whose own model is a folder."""
    models = SpeechModels("/models/parakeet", release=f"{PUBLISHED_MODEL}@main")
    on_trial = models.on_trial(LanguageChoice(), on_gpu=True)
    assert on_trial is not None
    assert [one.name for one in on_trial.known] == ["/models/parakeet", "nvidia/parakeet-tdt-0.6b-v3"]
    assert on_trial.other is None
    assert models.on_trial(None, on_gpu=True) is None


@pytest.fixture
def two_languages() -> Iterator[EngineChain]:
    def load(name: str) -> Recognizer:
        return load_recognizer(name, Engine.PARAKEET_CPU, RecognizerOptions(precision="fp32"))

    chain, own = EngineChain(), str(ONNX_PATH)
    chain.add(LocalEngine(Engine.PARAKEET_CPU, own, lambda: load(own), 1000.0, chain, load_other=load))
    chain.start()
    yield chain
    chain.stop()


def test_speech_of_two_languages_is_heard_by_the_model_of_each(two_languages: EngineChain) -> None:
    table = LanguageTable(models=LanguageModels.parse(f"{ONNX_PATH}=en;{GERMAN_ONNX_PATH}=de"))
    options = PipelineOptions(speech_models=SpeechModels(str(ONNX_PATH), table), audit=None)
    auto = UploadOptions(language=LanguageChoice())
    english = transcribe(recording("memo.wav").path, engine=two_languages, asked=auto, options=options)
    german = transcribe(GERMAN_FILE, engine=two_languages, asked=auto, options=options)
    assert [(one.language, one.model) for one in (english, german)] == [
        ("en", ONNX_PATH.name),
        ("de", GERMAN_ONNX_PATH.name),
    ]
    assert english.text == recording("memo.wav").text
    assert german.text.startswith("Ursula bringt niemals schwarze Bücher")
