"""Transcribing with NeMo's parts, without `transcribe()`, and scoring what comes out against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from kaldialign import align, edit_distance
from nemo.collections.asr.models import EncDecRNNTBPEModel
from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs
from numpy.typing import NDArray
from omegaconf import open_dict

from tools.tiny_parakeet.espeak import Word

_BATCH = 8
_GAP = "*"
"""kaldialign's sign for no word."""


def prepare(network: EncDecRNNTBPEModel) -> None:
    """Set a model up for word times and repeatable features."""
    network.eval()
    network.preprocessor.featurizer.dither = 0.0
    network.preprocessor.featurizer.pad_to = 0
    with open_dict(network.cfg.decoding):
        network.cfg.decoding.compute_timestamps = True
    network.change_decoding_strategy(network.cfg.decoding, verbose=False)


def transcribe(network: EncDecRNNTBPEModel, waveforms: Sequence[NDArray[np.float32]]) -> list[list[Word]]:
    """The words of every waveform (16 kHz, -1..1), by a prepared model."""
    transcripts: list[list[Word]] = [[] for _ in waveforms]
    by_length = sorted(range(len(waveforms)), key=lambda index: len(waveforms[index]))
    for begin in range(0, len(by_length), _BATCH):
        chosen = by_length[begin : begin + _BATCH]
        tensors = [torch.from_numpy(waveforms[index]) for index in chosen]
        counts = torch.tensor([len(tensor) for tensor in tensors])
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
        with torch.inference_mode():
            features, feature_counts = network.preprocessor(input_signal=padded, length=counts)
            encoded, frame_counts = network.encoder(audio_signal=features, length=feature_counts)
            hypotheses = network.decoding.rnnt_decoder_predictions_tensor(encoded, frame_counts, return_hypotheses=True)
        hypotheses = process_timestamp_outputs(
            hypotheses, network.encoder.subsampling_factor, network.cfg.preprocessor.window_stride
        )
        for index, hypothesis in zip(chosen, hypotheses, strict=True):
            transcripts[index] = [
                Word(word["word"], float(word["start"]), float(word["end"])) for word in hypothesis.timestamp["word"]
            ]
    return transcripts


@dataclass
class Score:
    """Errors summed over transcripts."""

    words: int = 0
    errors: int = 0
    """Word errors regardless of case and punctuation."""
    written_errors: int = 0
    """Word errors where case and punctuation count."""
    start_errors: list[float] = field(default_factory=list)
    """Seconds by which correctly recognised words start too late."""

    def add(self, truth: Sequence[Word], recognized: Sequence[Word]) -> None:
        """Count one transcript."""
        true_words, recognized_words = [_plain(word.text) for word in truth], [_plain(word.text) for word in recognized]
        self.words += len(truth)
        self.errors += edit_distance(true_words, recognized_words)["total"]
        self.written_errors += edit_distance([word.text for word in truth], [word.text for word in recognized])["total"]
        true_index = recognized_index = 0
        for true_word, recognized_word in align(true_words, recognized_words, _GAP):
            if true_word == recognized_word:
                self.start_errors.append(recognized[recognized_index].start - truth[true_index].start)
            true_index += true_word != _GAP
            recognized_index += recognized_word != _GAP

    def summary(self) -> dict[str, float | int]:
        """The figures of the card: rates in per cent, times in seconds, and no times where no word was right."""
        rates = {
            "words": self.words,
            "wer_percent": round(100 * self.errors / max(self.words, 1), 2),
            "wer_with_case_and_punctuation_percent": round(100 * self.written_errors / max(self.words, 1), 2),
        }
        if not self.start_errors:
            return rates
        starts = np.array(self.start_errors)
        return {
            **rates,
            "median_start_error": round(float(np.median(starts)), 3),
            "median_absolute_start_error": round(float(np.median(np.abs(starts))), 3),
            "p95_absolute_start_error": round(float(np.percentile(np.abs(starts), 95)), 3),
        }


def _plain(word: str) -> str:
    return word.rstrip(".,?").lower()
