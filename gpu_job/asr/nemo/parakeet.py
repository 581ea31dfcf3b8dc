"""Parakeet through NeMo: batches of samples -> tokens with times. One thread owns the model.

This is the lean path: preprocessor, encoder and decoder called directly. NeMo's `transcribe()` is never used on this
instance: it leaves the encoder in training mode, changes the decoding configuration, and is not thread safe.

A batch goes through three stages, so that the model need not wait: `prepare` and `finish` run in any thread, beside
the `run` of another batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from nemo.utils import logging as nemo_logging
from omegaconf import OmegaConf, open_dict
from torch.nn.functional import pad

from gpu_job.asr.batching import BatchLimits, slices
from gpu_job.asr.boosting.spelling import Speller
from gpu_job.asr.boosting.tree import BoostingTree
from gpu_job.asr.device import Device, Precision, accelerator, best_device
from gpu_job.asr.gpu_faults import cuda_answers, failure_of, hold, inference, let_go
from gpu_job.asr.memory import Architecture, Attention, MemoryBudget, MemoryModel
from gpu_job.asr.nemo import model_loading, nemo_patch
from gpu_job.asr.nemo.boosting import BoostedDecoder
from gpu_job.asr.nemo.cuda_graphs import TdtDecoder
from gpu_job.asr.recognizer import LeftOut
from gpu_job.asr.tdt_hypotheses import Hypotheses, Vocabulary
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.keyterms.terms import Keyterm

_log = logging.getLogger(__name__)

MIN_SAMPLES = SAMPLE_RATE // 10
"""A shorter chunk yields too few frames for the encoder's eightfold subsampling; it is filled up with silence."""

CONFIDENCE = {
    "preserve_frame_confidence": True,
    "exclude_blank": True,
    "method_cfg": {"name": "max_prob"},
}
"""A token is as sure as its probability to the power of 0.33, NeMo's default `alpha`, less what a blind guess has."""


SLICE_SAMPLES = 80 * SAMPLE_RATE
"""On a CPU the encoder sees so much audio at once, padding included: more falls out of its cache. The decoder, whose
cost hardly depends on the number of chunks, takes the whole batch."""


@dataclass(frozen=True)
class ParakeetLimits:
    """How large batches may be, by device."""

    max_chunks: int
    gpu_audio_seconds: float
    cpu_audio_seconds: float
    gpu_memory_gb: float = 20.0
    """GiB the model may use on a GPU, weights included."""

    def of(self, device: Device, memory: MemoryModel) -> BatchLimits:
        """The limits on this device for a model that has it to itself; its weights may be there already."""
        if not device.is_gpu:
            return BatchLimits(self.max_chunks, int(self.cpu_audio_seconds * SAMPLE_RATE))
        free, _ = torch.cuda.mem_get_info()
        budget = MemoryBudget.of_device(memory, free + torch.cuda.memory_reserved(), self.gpu_memory_gb)
        return BatchLimits(self.max_chunks, int(self.gpu_audio_seconds * SAMPLE_RATE), budget)


class Slice(NamedTuple):
    """Chunks that the encoder sees at once."""

    signal: torch.Tensor
    """[chunks, samples of the longest], fp32."""
    lengths: torch.Tensor
    """[chunks], in samples, at least MIN_SAMPLES."""


@dataclass(frozen=True)
class Prepared:
    """A batch where the model can take it."""

    slices: tuple[Slice, ...]
    """The whole batch on a GPU."""
    seconds: tuple[float, ...]
    """Of each chunk as it came."""
    copied: torch.cuda.Event | None
    """When the copy to the GPU is done."""
    trees: tuple[BoostingTree | None, ...] = ()
    """Of each chunk's key terms; empty where none has any."""


@dataclass(frozen=True)
class DecoderOutput:
    """What the decoder stored for a batch, in the memory of the process."""

    columns: tuple[torch.Tensor, ...]
    """Ids, starts and durations in frames, confidences: [chunks, steps] each; and the count of steps: [chunks]."""
    seconds: tuple[float, ...]
    copied: torch.cuda.Event | None
    """When the copy from the GPU is done."""


class Parakeet:
    """A loaded model. `run` and `transcribe` belong to one thread."""

    def __init__(self, model: Any, name: str, device: Device, limits: ParakeetLimits) -> None:
        self.name = name
        self.device = device
        self._memory = memory_of(model, device)
        self._others_bytes = 0
        """On the GPU, when the last batch began: other models, and the batch that is made ready."""
        self.batch_limits = limits.of(device, self._memory)
        self.model = model.to(device.name).eval()
        """NeMo's, set up for greedy batched decoding."""
        self.model.preprocessor.featurizer.dither = 0.0
        self.model.preprocessor.featurizer.pad_to = 0
        for part in (self.model.encoder, self.model.decoder, self.model.joint):
            part.to(device.dtype)
        for layer in self.model.encoder.layers:
            layer.self_attn.use_pytorch_sdpa = self._memory.attention is Attention.SDPA
        decoding = self.model.cfg.decoding
        with open_dict(decoding):
            decoding.strategy = "greedy_batch"
            decoding.compute_timestamps = True
            decoding.confidence_cfg = OmegaConf.create(CONFIDENCE)
        self.model.change_decoding_strategy(decoding, verbose=False)
        computer = self.model.decoding.decoding.decoding_computer
        self.decoder = TdtDecoder(computer, limits.max_chunks, on_gpu=device.is_gpu)
        self._boosted: BoostedDecoder | None = None
        """Made with the first batch that has key terms."""
        self._boosting_failure: str | None = None
        """Why no terms are favoured any more."""
        self._max_chunks = limits.max_chunks
        self._vocabulary = Vocabulary.of(self.model.tokenizer.tokenizer, self.model.decoding.supported_punctuation)
        self._speller = Speller(self._vocabulary)
        self._frame_seconds = self.model.encoder.subsampling_factor * self.model.cfg.preprocessor.window_stride
        # Streams of one priority are 32 that are given out in turn: NeMo's captures must not come upon this one.
        # Untyped in torch.
        self.copies = torch.cuda.Stream(priority=-1) if device.is_gpu else None  # type: ignore[no-untyped-call]
        """The stream on which batches are copied to the GPU; None without one."""
        fields = {"hardware": self.hardware, "precision": str(device.dtype), "decoder": self.decoder.mode}
        _log.info("model ready", extra={"fields": fields})

    @property
    def engine(self) -> Engine:
        """The engine this makes of Parakeet."""
        return Engine.PARAKEET_GPU if self.device.is_gpu else Engine.PARAKEET_CPU

    @property
    def hardware(self) -> str:
        """What the sizes that fit are remembered for."""
        return self.device.hardware

    @classmethod
    def load(
        cls,
        name: str,
        limits: ParakeetLimits,
        device: Device | None = None,
        *,
        where: str | None = None,
        precision: Precision = Precision.AUTO,
    ) -> Parakeet:
        """Load a prepared directory, a `.nemo` file or a published model. Raises EngineFailed of kind model_load, or
        gpu_lost where CUDA failed in this process before.

        Without `device`: `where` (cuda or cpu), else the best there is, in the precision that suits the model there.
        """
        nemo_logging.setLevel(logging.ERROR)
        nemo_patch.apply()
        if not cuda_answers():
            # On a CPU, too, NeMo asks CUDA at every batch.
            raise EngineFailed("CUDA failed in this process; only another one can transcribe.", FailureKind.GPU_LOST)
        try:
            model, called = model_loading.load(name, device.name if device else where or accelerator())
            return cls(model, called, device or best_device(precision, _parameters(model), where), limits)
        except EngineFailed:
            raise
        except Exception as error:
            # NeMo, Hugging Face, tar and torch each raise their own; all mean that there is no model.
            _log.exception("model load failed")
            reason = f"The model {name} could not be loaded ({type(error).__name__}: {error})."
            raise EngineFailed(reason, FailureKind.MODEL_LOAD) from error

    def transcribe(self, batch: Sequence[Samples]) -> list[list[Token]]:
        """Chunks of samples -> the tokens of each, in seconds from the chunk's start. Raises EngineFailed."""
        return self.finish(self.run(self.prepare(batch)))

    def prepare(self, batch: Sequence[Samples]) -> Prepared:
        """Put a batch where the model can take it. From any thread. Raises EngineFailed."""
        with inference():
            durations = tuple(seconds(len(samples)) for samples in batch)
            if not self.copies:
                return Prepared(tuple(_padded(part) for part in slices(batch, SLICE_SAMPLES)), durations, None)
            whole = _padded(batch, pinned=True)
            with torch.cuda.stream(self.copies):
                there = Slice(*(tensor.to(self.device.name, non_blocking=True) for tensor in whole))
                return Prepared((there,), durations, self.copies.record_event())

    def prepare_with_keyterms(self, batch: Sequence[Samples], terms: Sequence[tuple[Keyterm, ...]]) -> Prepared:
        """The same, with what to favour in each chunk."""
        trees = tuple(self._speller.spell(each).tree for each in terms)
        return replace(self.prepare(batch), trees=trees)

    def left_out(self, terms: tuple[Keyterm, ...]) -> LeftOut:
        """The terms that it does not favour. From any thread."""
        if self._boosting_failure is not None:
            return LeftOut(tuple(term.phrase for term in terms), self._boosting_failure)
        return self._speller.left_out(terms)

    @property
    def memory_bytes(self) -> int:
        """Its weights'."""
        return self._memory.weights

    def run(self, prepared: Prepared) -> DecoderOutput:
        """Preprocessor, encoder and decoder. From the one thread that owns the model. Raises EngineFailed."""
        with inference():
            if prepared.copied:
                torch.cuda.current_stream().wait_event(prepared.copied)
                torch.cuda.reset_peak_memory_stats()
                inputs = sum(tensor.nbytes for part in prepared.slices for tensor in part)
                self._others_bytes = max(0, torch.cuda.memory_allocated() - self._memory.weights - inputs)
            encoded, frames = _joined([self._encode(part) for part in prepared.slices])
            output = self._collect(self._decode(encoded, frames, prepared.trees), prepared.seconds)
        self._correct_memory_budget(prepared)
        return output

    def _encode(self, part: Slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples -> [chunks, frames, width], and how many frames count."""
        features, frames = self.model.preprocessor(input_signal=part.signal, length=part.lengths)
        if self.copies:
            # From here on the samples' memory may take another batch. Not `record_stream`: what it marks is freed by a
            # call of CUDA, which ends the process where CUDA is lost.
            self.copies.wait_event(torch.cuda.current_stream().record_event())
        encoded, encoded_frames = self.model.encoder(audio_signal=features.to(self.device.dtype), length=frames)
        return encoded.transpose(1, 2), encoded_frames

    def _decode(self, encoded: torch.Tensor, frames: torch.Tensor, trees: Sequence[BoostingTree | None]) -> Any:
        if not any(trees) or self._boosting_failure is not None:
            return self.decoder(encoded, frames)
        try:
            if self._boosted is None:
                self._boosted = BoostedDecoder(self.decoder.computer, self._max_chunks, on_gpu=self.device.is_gpu)
            return self._boosted(encoded, frames, trees)
        except Exception as error:
            if failure_of(error) is not None:
                raise
            # Words without terms are worth more than none; the transcript says so.
            _log.exception("key terms are not favoured any more")
            self._boosting_failure = f"The decoder for key terms failed ({type(error).__name__})."
            return self.decoder(encoded, frames)

    def _correct_memory_budget(self, prepared: Prepared) -> None:
        """Hold the prediction against what the batch took; the allocator has counted when the GPU still computes."""
        if self.batch_limits.memory:
            chunks, samples = prepared.slices[0].signal.shape
            peak = torch.cuda.max_memory_allocated()
            memory = self.batch_limits.memory.after(chunks, samples, peak, self._others_bytes)
            self.batch_limits = replace(self.batch_limits, memory=memory)

    def _collect(self, found: Any, durations: tuple[float, ...]) -> DecoderOutput:
        """The decoder's storage, which may have more rows than the batch, brought to the process without waiting."""
        rows = len(durations)
        stored = (found.transcript, found.timestamps, found.token_durations, found.step_confidence.float())
        columns = tuple(column[:rows].to("cpu", non_blocking=True) for column in (*stored, found.current_lengths))
        if not self.copies:
            return DecoderOutput(columns, durations, None)
        # Blocking: who waits for it sleeps, instead of keeping a core from the decoders.
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # Untyped in torch.
        output = DecoderOutput(columns, durations, torch.cuda.current_stream().record_event(copied))
        hold(output)
        return output

    def finish(self, output: DecoderOutput) -> list[list[Token]]:
        """The tokens of each chunk, in seconds from its start. From any thread. Raises EngineFailed."""
        with inference():
            if output.copied:
                output.copied.synchronize()
                let_go(output)
            hypotheses = Hypotheses(*(column.numpy() for column in output.columns))
        return hypotheses.tokens(self._vocabulary, self._frame_seconds, output.seconds)


def memory_of(model: Any, device: Device) -> MemoryModel:
    """The memory model of a FastConformer, with the attention it will run with here."""
    config = model.cfg.encoder
    shape = Architecture(
        parameters=_parameters(model),
        mels=config.feat_in,
        channels=config.subsampling_conv_channels,
        width=config.d_model,
        heads=config.n_heads,
    )
    match config.get("self_attention_model"):
        case "rel_pos":
            attention = Attention.SDPA
        case "rel_pos_local_attn":
            attention = Attention.LOCAL
        case _:
            attention = Attention.FULL
    return MemoryModel(shape, device.dtype.itemsize, attention)


def _parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _padded(batch: Sequence[Samples], *, pinned: bool = False) -> Slice:
    """`pinned`: in memory that the GPU reads by itself, into which each sample is copied once."""
    counts = [max(MIN_SAMPLES, len(samples)) for samples in batch]
    lengths = torch.tensor(counts, pin_memory=pinned)
    signal = torch.zeros((len(batch), max(counts)), pin_memory=pinned)
    for row, samples in zip(signal.numpy(), batch, strict=True):
        row[: len(samples)] = samples
    return Slice(signal, lengths)


def _joined(parts: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoded slices, one after the other, padded to the longest."""
    if len(parts) == 1:
        return parts[0]
    longest = max(encoded.shape[1] for encoded, _ in parts)
    padded = [pad(encoded, (0, 0, 0, longest - encoded.shape[1])) for encoded, _ in parts]
    return torch.cat(padded), torch.cat([frames for _, frames in parts])
