"""Parakeet through NeMo: batches of samples -> words with times. One thread owns the model.

This is the lean path: preprocessor, encoder and decoder called directly. NeMo's `transcribe()` is never used on this
instance: it leaves the encoder in training mode, changes the decoding configuration, and is not thread safe.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.models import ASRModel
from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs
from nemo.utils import logging as nemo_logging
from omegaconf import OmegaConf, open_dict

from gpu_job import tdt_fix
from gpu_job.audio import SAMPLE_RATE, Samples
from gpu_job.batching import BatchLimits
from shared.failures import EngineFailed, FailureKind
from shared.transcript import Word
from shared.vocabulary import Engine

_log = logging.getLogger(__name__)

MIN_SAMPLES = SAMPLE_RATE // 10
"""A shorter chunk yields too few frames for the encoder's eightfold subsampling; it is filled up with silence."""

CONFIDENCE = {
    "preserve_frame_confidence": True,
    "preserve_token_confidence": True,
    "preserve_word_confidence": True,
    "exclude_blank": True,
    "aggregation": "min",
    "method_cfg": {"name": "max_prob"},
}
"""A word is as sure as its least sure token, a token as its probability."""


@dataclass(frozen=True)
class Device:
    """Where the model runs and in which precision."""

    name: str
    dtype: torch.dtype


@dataclass(frozen=True)
class Limits:
    """How large batches may be, by device."""

    max_chunks: int
    gpu_audio_seconds: float
    cpu_audio_seconds: float

    def of(self, device: Device) -> BatchLimits:
        """The limits on this device."""
        audio = self.gpu_audio_seconds if device.name == "cuda" else self.cpu_audio_seconds
        return BatchLimits(self.max_chunks, int(audio * SAMPLE_RATE))


def best_device() -> Device:
    """The GPU in bf16 where there is one, else the CPU in fp32."""
    if torch.cuda.is_available():
        return Device("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32)
    return Device("cpu", torch.float32)


class Parakeet:
    """A loaded model. Not thread safe."""

    def __init__(self, model: Any, name: str, device: Device, limits: Limits) -> None:
        self.name = name
        self.device = device
        self.batch_limits = limits.of(device)
        self._model = model.to(device.name).eval()
        self._model.preprocessor.featurizer.dither = 0.0
        self._model.preprocessor.featurizer.pad_to = 0
        for part in (self._model.encoder, self._model.decoder, self._model.joint):
            part.to(device.dtype)
        decoding = self._model.cfg.decoding
        with open_dict(decoding):
            decoding.compute_timestamps = True
            decoding.confidence_cfg = OmegaConf.create(CONFIDENCE)
        self._model.change_decoding_strategy(decoding, verbose=False)

    @property
    def engine(self) -> Engine:
        """The engine this makes of Parakeet."""
        return Engine.PARAKEET_GPU if self.device.name == "cuda" else Engine.PARAKEET_CPU

    @classmethod
    def load(cls, name: str, limits: Limits, device: Device | None = None) -> Parakeet:
        """Load a `.nemo` file or a published model. Raises EngineFailed of kind model_load."""
        nemo_logging.setLevel(logging.ERROR)
        tdt_fix.apply()
        path = Path(name)
        try:
            if path.suffix == ".nemo":
                model = ASRModel.restore_from(str(path), map_location="cpu")
            else:
                model = ASRModel.from_pretrained(name, map_location="cpu")
            return cls(model, path.stem if path.suffix == ".nemo" else name, device or best_device(), limits)
        except EngineFailed:
            raise
        except Exception as error:
            # NeMo, Hugging Face, tar and torch each raise their own; all mean that there is no model.
            _log.exception("model load failed")
            reason = f"The model {name} could not be loaded ({type(error).__name__}: {error})."
            raise EngineFailed(reason, FailureKind.MODEL_LOAD) from error

    def transcribe(self, batch: Sequence[Samples]) -> list[list[Word]]:
        """Chunks of samples -> the words of each, in seconds from the chunk's start. Raises EngineFailed."""
        try:
            with torch.inference_mode():
                return self._transcribe(batch)
        except torch.OutOfMemoryError as error:
            raise EngineFailed("The GPU's memory is too small for the batch.", FailureKind.OUT_OF_MEMORY) from error

    def _transcribe(self, batch: Sequence[Samples]) -> list[list[Word]]:
        lengths = torch.tensor([max(MIN_SAMPLES, len(samples)) for samples in batch])
        signal = np.zeros((len(batch), int(lengths.max())), np.float32)
        for row, samples in zip(signal, batch, strict=True):
            row[: len(samples)] = samples
        where = self.device.name
        features, frames = self._model.preprocessor(
            input_signal=torch.from_numpy(signal).to(where), length=lengths.to(where)
        )
        encoded, encoded_frames = self._model.encoder(audio_signal=features.to(self.device.dtype), length=frames)
        hypotheses = self._model.decoding.rnnt_decoder_predictions_tensor(
            encoded, encoded_frames, return_hypotheses=True
        )
        timed = process_timestamp_outputs(
            hypotheses, self._model.encoder.subsampling_factor, self._model.cfg.preprocessor.window_stride
        )
        return [_words(hypothesis) for hypothesis in timed]


def _words(hypothesis: Any) -> list[Word]:
    """NeMo's hypothesis -> words."""
    stamps = hypothesis.timestamp["word"]
    sureness = [float(value) for value in hypothesis.word_confidence or ()]
    # NeMo counts words for confidence in its own way; where the counts differ no value can be assigned.
    aligned: Sequence[float | None] = sureness if len(sureness) == len(stamps) else [None] * len(stamps)
    words = []
    for stamp, confidence in zip(stamps, aligned, strict=True):
        start = max(0.0, float(stamp["start"]))
        text = str(stamp["word"]).strip()
        if text:
            end = max(start, float(stamp["end"]))
            sure = None if confidence is None else min(1.0, max(0.0, confidence))
            words.append(Word(text=text, start=start, end=end, confidence=sure))
    return words
