"""Models other than Parakeet TDT, through onnx-asr's own classes: CTC, RNN-T, GigaAM, Vosk, T-One, Whisper, Canary.

What onnx-asr does not say is not made up: CTC and RNN-T models give each token's beginning and no end, and a token then
ends with its encoder frame, or where the next one begins; Whisper and Canary give no times, and their words are spread
over the chunk and marked as estimated; Whisper gives no confidences.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx_asr

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.model_folder import BadOnnxModel, Quantization
from gpu_job.asr.onnx.tdt_decoding import confidence
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.onnx_sessions import session_options
from shared.enums import Engine
from shared.languages.choice import primary_language

MIN_SAMPLES = SAMPLE_RATE // 10
"""A shorter chunk is filled up with silence."""

_FRAME_SECONDS = 0.08
"""The coarsest encoder's, of FastConformer; GigaAM's has 0.04 s."""

_CHOICES = 1024
"""Of a vocabulary, for confidences on NeMo's scale; twice as many change them by 0.02 at most."""


class OnnxAsrModel:
    """A loaded model, a Recognizer. `run` belongs to one thread."""

    engine = Engine.PARAKEET_CPU
    hardware = "cpu"

    def __init__(
        self,
        folder: Path,
        model_type: str,
        quantization: Quantization,
        name: str,
        limits: BatchLimits,
        threads: int,
        memory_bytes: int = 0,
    ) -> None:
        """Open the networks. `memory_bytes`: what they take. Raises BadOnnxModel."""
        self.name = name
        self.memory_bytes = memory_bytes
        self.batch_limits = limits
        self._is_quantized = quantization == "int8"
        try:
            self._model: Any = onnx_asr.load_model(
                model_type,
                folder,
                quantization=None if quantization == "fp32" else quantization,
                sess_options=session_options(threads),
                providers=["CPUExecutionProvider"],
            ).with_timestamps()
        except Exception as error:
            # onnx-asr, ONNX Runtime and the files each raise their own.
            raise BadOnnxModel(f"{folder} cannot be loaded ({type(error).__name__}: {error}).") from error

    def prepare(self, batch: Sequence[Samples]) -> list[Samples]:
        """Fill very short chunks up. From any thread."""
        return [np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples)))) for samples in batch]

    def run(self, prepared: list[Samples], language: str | None = None) -> list[tuple[Any, float]]:
        """Recognize. From the one thread that owns the model. `language`: that is spoken; None: the model finds out."""
        # In int8 one by one, as in `tdt_model`: else the words of a chunk depend on the others of the batch.
        groups = [[samples] for samples in prepared] if self._is_quantized else [prepared]
        found = (self._model.recognize(group, sample_rate=SAMPLE_RATE, language=language) for group in groups)
        results = list(chain.from_iterable(found))
        return [(result, seconds(len(samples))) for result, samples in zip(results, prepared, strict=True)]

    def in_language(self, language: str) -> InLanguage:
        """The same model, told the language: Whisper and Canary are, the others have one or find out."""
        return InLanguage(self, primary_language(language))

    def finish(self, output: list[tuple[Any, float]]) -> list[list[Token]]:
        """The tokens of each chunk, in seconds from its start. From any thread."""
        return [tokens_of(result, end) for result, end in output]


class InLanguage:
    """A loaded model for chunks of one language, a Recognizer."""

    def __init__(self, model: OnnxAsrModel, language: str) -> None:
        """`language`: without script and region, as the models have it."""
        self._model = model
        self._language = language
        self.name, self.engine, self.hardware = model.name, model.engine, model.hardware
        self.prepare, self.finish = model.prepare, model.finish

    @property
    def batch_limits(self) -> BatchLimits:
        """The model's."""
        return self._model.batch_limits

    @batch_limits.setter
    def batch_limits(self, limits: BatchLimits) -> None:
        self._model.batch_limits = limits

    def run(self, prepared: list[Samples]) -> list[tuple[Any, float]]:
        """As the model's."""
        return self._model.run(prepared, self._language)


def tokens_of(result: Any, end: float) -> list[Token]:
    """onnx-asr's TimestampedResult of a chunk of `end` seconds -> tokens; without times one for each word."""
    if not result.tokens or result.timestamps is None:
        return _spread(result.text.split(), end)
    sure: Sequence[float | None] = [None] * len(result.tokens)
    if result.logprobs is not None:
        probabilities = np.exp(np.minimum(0.0, np.array(result.logprobs, np.float32)))
        sure = np.clip(confidence(probabilities, _CHOICES), 0.0, 1.0).tolist()
    begins = [min(begin, end) for begin in result.timestamps]
    next_begins = chain(begins[1:], [end])
    ends = [min(after, begin + _FRAME_SECONDS) for begin, after in zip(begins, next_begins, strict=True)]
    return [Token(*token) for token in zip(result.tokens, begins, ends, sure, strict=True)]


def _spread(words: Sequence[str], end: float) -> list[Token]:
    """Words over a chunk, each as long as its share of the letters, and marked as estimated."""
    letters = np.cumsum([0, *map(len, words)])
    edges = (end * letters / max(1, letters[-1])).tolist()
    return [
        Token(f" {word}", begin, after, is_timed=False)
        for word, begin, after in zip(words, edges[:-1], edges[1:], strict=True)
    ]
