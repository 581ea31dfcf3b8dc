"""Parakeet TDT on ONNX Runtime: batches of samples -> tokens with times, ends and confidences, as the NeMo path's.

`prepare` computes features, `run` encodes and decodes, `finish` makes tokens; the engine overlaps the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime

from gpu_job.asr.batching import BatchLimits, slices
from gpu_job.asr.boosting.spelling import Speller
from gpu_job.asr.boosting.tree import BoostingTree
from gpu_job.asr.onnx.log_mel import HOP, log_mel_batch
from gpu_job.asr.onnx.model_folder import DECODER_JOINT, ENCODER, VOCABULARY, BadOnnxModel, OnnxFolder, Quantization
from gpu_job.asr.onnx.tdt_decoding import DecoderState, Floats, Ints, decode
from gpu_job.asr.onnx.vocabulary import read_vocabulary
from gpu_job.asr.recognizer import LeftOut
from gpu_job.asr.tdt_hypotheses import Hypotheses
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.onnx_sessions import open_session
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.keyterms.terms import Keyterm

MIN_SAMPLES = SAMPLE_RATE // 10
"""A shorter chunk yields too few frames for the encoder's eightfold subsampling; it is filled up with silence."""

MAX_SAMPLES = 400 * SAMPLE_RATE
"""NeMo exports as many positions as the configuration's `pos_emb_max_len`: of published models 5,000, of 80 ms."""

SLICE_SAMPLES: Mapping[Quantization, int] = {"fp32": 80 * SAMPLE_RATE, "int8": 0}
"""The encoder sees so much audio at once, padding included, but at least one chunk: more falls out of the cache. Two
slices side by side took 1.12 times as long as one after the other, on 2 cores (2026-11-28). In int8 each chunk is
alone: what is computed at once has one scale, so words and times would depend on the chunks beside it."""


@dataclass(frozen=True)
class Features:
    """A batch before the encoder, in slices; in each [chunks, bands, frames], and how many frames count."""

    slices: tuple[tuple[Floats, Ints], ...]
    seconds: tuple[float, ...]
    """Of each chunk as it came."""
    trees: tuple[BoostingTree | None, ...] = ()
    """Of each chunk's key terms; empty where none has any."""


@dataclass(frozen=True)
class Decoded:
    """A batch behind the decoder."""

    hypotheses: Hypotheses
    seconds: tuple[float, ...]


class DecoderJoint:
    """The exported prediction and joint networks."""

    def __init__(self, session: onnxruntime.InferenceSession, blank: int, max_symbols: int) -> None:
        """Raises KeyError or ValueError where the network is none for a vocabulary with this blank."""
        self._session = session
        self.blank = blank
        self.max_symbols = max_symbols
        shapes = {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())}
        self._layers, _, self._width = shapes["input_states_1"]
        if shapes["outputs"][-1] <= blank + 1:
            raise ValueError(
                f"{blank + 1} vocabulary entries leave none of {shapes['outputs'][-1]} outputs to durations"
            )

    def first_state(self, rows: int) -> DecoderState:
        """Zeros."""
        hidden, cell = (np.zeros((self._layers, rows, self._width), np.float32) for _ in range(2))
        return DecoderState(hidden, cell)

    def run(self, frames: Floats, last_tokens: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        """See `gpu_job.asr.onnx.tdt_decoding.Joint`."""
        logits, hidden, cell = self._session.run(
            ["outputs", "output_states_1", "output_states_2"],
            {
                "encoder_outputs": np.ascontiguousarray(frames.transpose(0, 2, 1)),
                "targets": last_tokens[:, None].astype(np.int32),
                "target_length": np.ones(len(last_tokens), np.int32),
                "input_states_1": state.hidden,
                "input_states_2": state.cell,
            },
        )
        return logits[:, :, 0], DecoderState(hidden, cell)


class OnnxTdt:
    """A loaded model, a Recognizer. `run` and `transcribe` belong to one thread."""

    engine = Engine.PARAKEET_CPU
    hardware = "cpu"

    def __init__(
        self,
        folder: OnnxFolder,
        quantization: Quantization,
        name: str,
        limits: BatchLimits,
        threads: int,
        memory_bytes: int = 0,
    ) -> None:
        """Open the networks. `memory_bytes`: what they take. Raises BadOnnxModel."""
        self.name = name
        self.memory_bytes = memory_bytes
        self.quantization = quantization
        self.batch_limits = limits
        self._bands = folder.config.features_size
        self._frame_seconds = folder.config.subsampling_factor * HOP / SAMPLE_RATE
        self._vocabulary = read_vocabulary(folder.file(VOCABULARY))
        self._speller = Speller(self._vocabulary)
        self._encoder = _open(folder.network(ENCODER, quantization), threads)
        # Its matrices are small: threads would wait for one another.
        decoder = _open(folder.network(DECODER_JOINT, quantization), 1)
        blank = len(self._vocabulary.pieces)
        try:
            self._joint = DecoderJoint(decoder, blank, folder.config.max_tokens_per_step)
        except (KeyError, ValueError) as error:
            raise BadOnnxModel(f"The decoder of {folder.path} is no TDT model's ({error}).") from error

    def transcribe(self, batch: Sequence[Samples]) -> list[list[Token]]:
        """Chunks of samples -> the tokens of each, in seconds from the chunk's start."""
        return self.finish(self.run(self.prepare(batch)))

    def prepare(self, batch: Sequence[Samples]) -> Features:
        """Compute the features. From any thread. Raises EngineFailed for a chunk longer than MAX_SAMPLES."""
        if (longest := max(map(len, batch))) > MAX_SAMPLES:
            raise EngineFailed(
                f"A chunk of {seconds(longest):.0f} s is too long: ONNX networks take {seconds(MAX_SAMPLES):.0f} s. Set"
                " CHUNK_SECONDS lower."
            )
        most = SLICE_SAMPLES[self.quantization]
        parts = (log_mel_batch(part, self._bands, MIN_SAMPLES) for part in slices(batch, most))
        return Features(tuple(parts), tuple(seconds(len(samples)) for samples in batch))

    def prepare_with_keyterms(self, batch: Sequence[Samples], terms: Sequence[tuple[Keyterm, ...]]) -> Features:
        """The same, with what to favour in each chunk."""
        trees = tuple(self._speller.spell(each).tree for each in terms)
        return replace(self.prepare(batch), trees=trees)

    def left_out(self, terms: tuple[Keyterm, ...]) -> LeftOut:
        """The terms that it does not favour. From any thread."""
        return self._speller.left_out(terms)

    def run(self, prepared: Features) -> Decoded:
        """Encode the slices, decode the whole batch; in int8 chunk by chunk. From the thread that owns the model."""
        parts = [self._encode(part) for part in prepared.slices]
        if self.quantization != "int8":
            parts = [_joined(parts)]
        encoded, frames = zip(*parts, strict=True)
        return Decoded(decode(self._joint, encoded, frames, prepared.trees), prepared.seconds)

    def finish(self, output: Decoded) -> list[list[Token]]:
        """The tokens of each chunk, in seconds from its start. From any thread."""
        return output.hypotheses.tokens(self._vocabulary, self._frame_seconds, output.seconds)

    def _encode(self, part: tuple[Floats, Ints]) -> tuple[Floats, Ints]:
        """A slice -> [chunks, frames, width], and how many frames count."""
        features, frames = part
        encoded, lengths = self._encoder.run(
            ["outputs", "encoded_lengths"], {"audio_signal": features, "length": frames}
        )
        return encoded.transpose(0, 2, 1), lengths


def _joined(parts: Sequence[tuple[Floats, Ints]]) -> tuple[Floats, Ints]:
    """Encoded slices, one after the other, padded to the longest."""
    longest = max(encoded.shape[1] for encoded, _ in parts)
    padded = [np.pad(encoded, ((0, 0), (0, longest - encoded.shape[1]), (0, 0))) for encoded, _ in parts]
    return np.concatenate(padded), np.concatenate([frames for _, frames in parts])


def _open(network: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        return open_session(network, threads)
    except Exception as error:
        # ONNX Runtime has an error for each stage of reading a file, all its own.
        raise BadOnnxModel(f"{network} cannot be loaded ({type(error).__name__}: {error}).") from error
