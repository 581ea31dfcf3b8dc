"""Peers in the same run, on the same sounds: NeMo's own `transcribe()`, and the Parakeet of `transformers`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import soundfile  # type: ignore[import-untyped]  # ships no types
import torch
from omegaconf import open_dict

from benchmarks.engine_runs import through_local_engine
from benchmarks.gpu import rows
from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.report import Measurement
from gpu_job.asr.device import Device
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples

READERS = 8
"""Processes that read files, where transcribe() gets paths."""


def peers(subject: Subject) -> Iterator[Part]:
    """Ours first, on the very same chunks."""
    seconds = subject.amount(30, 2)
    chunks = subject.sounds(seconds, subject.amount(512, 2))
    batches = subject.amount((32, 128), (2,))
    ours: dict[int, float] = {}

    def our_own() -> Iterator[Measurement]:
        model = subject.model()
        for batch in batches:
            engine = subject.engine(model, batch, float(batch * seconds))
            engine.transcribe(chunks[:batch])
            placed = [Chunk(index * seconds * SAMPLE_RATE, one) for index, one in enumerate(chunks)]
            ours[batch] = through_local_engine(engine, placed).real_time_factor
            yield figure(f"engine beside its peers, batches of {batch}", ours[batch], "x")

    yield Part("ours", our_own, 15)
    model = as_nemo_users_do(subject.model(), subject.device)
    for batch in batches:
        for timestamps in (True, False):

            def transcribe(batch: int = batch, timestamps: bool = timestamps) -> Iterator[Measurement]:
                factor = from_arrays(subject, model, chunks, batch, timestamps=timestamps)
                yield rows.peer_row(ours[batch], factor, batch, timestamps=timestamps)

            yield Part(f"transcribe(arrays), batch {batch}", transcribe, 20)
    yield Part("transcribe(paths)", lambda: [from_files(subject, model, chunks, batches[-1])], 25)
    subject.free()
    yield Part("transformers", lambda: of_transformers(subject, batches, seconds), 30)


def as_nemo_users_do(model: Any, device: Device) -> Any:
    """A model in the device's precision, its decoder as NeMo has it by default: batched, on a GPU with CUDA graphs.

    On an instance of its own: a call of `transcribe()` ruins one for direct use.
    """
    decoding = model.cfg.decoding
    with open_dict(decoding):
        decoding.strategy = "greedy_batch"
        decoding.greedy.use_cuda_graph_decoder = True
    model.change_decoding_strategy(decoding, verbose=False)
    return model.to(device.name).to(device.dtype).eval()


def from_arrays(subject: Subject, model: Any, chunks: Sequence[Samples], batch: int, *, timestamps: bool) -> float:
    """Seconds of audio per second."""

    def run(some: Sequence[Samples]) -> None:
        model.transcribe(list(some), batch_size=batch, timestamps=timestamps, verbose=False, num_workers=0)

    run(chunks[:batch])
    return _audio(chunks) / subject.once(lambda: run(chunks))


def from_files(subject: Subject, model: Any, chunks: Sequence[Samples], batch: int) -> Measurement:
    """As most people call it."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{index}.wav") for index in range(len(chunks))]
        for path, samples in zip(paths, chunks, strict=True):
            soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")

        def run(some: Sequence[str]) -> None:
            readers = subject.amount(READERS, 0)
            model.transcribe(list(some), batch_size=batch, verbose=False, num_workers=readers)

        run(paths[:batch])
        factor = _audio(chunks) / subject.once(lambda: run(paths))
    return figure(f"NeMo's transcribe(paths), batches of {batch}", factor, "x")


def _audio(chunks: Sequence[Samples]) -> float:
    return sum(map(len, chunks)) / SAMPLE_RATE


def of_transformers(subject: Subject, batches: Sequence[int], seconds: int) -> Iterator[Measurement]:
    """With random weights of its own; every step advances two frames, so it takes as many steps as speech does."""
    from transformers import ParakeetEncoderConfig, ParakeetForTDT, ParakeetTDTConfig

    small: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
    }
    encoder = ParakeetEncoderConfig(
        num_mel_bins=128, attention_bias=False, convolution_bias=False, **({} if subject.device.is_gpu else small)
    )
    config = ParakeetTDTConfig(vocab_size=1025, blank_token_id=1024, encoder_config=encoder)
    with torch.device(subject.device.name):
        # Untyped in what transformers makes of torch's `to`.
        model: Any = ParakeetForTDT(config)
        model = model.to(subject.device.dtype).eval()
    head = [layer for layer in model.joint.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        head.weight[-5:] = 0.0
        head.bias[-5:] = torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0])
    model.generation_config.decoder_start_token_id = model.generation_config.pad_token_id = 1024
    model.generation_config.suppress_tokens = list(range(1025, 1030))  # the durations' places are no tokens
    for batch in batches:
        where = torch.device(subject.device.name)
        features = torch.randn(batch, 100 * seconds, 128, dtype=subject.device.dtype, device=where)
        mask = torch.ones(batch, 100 * seconds, dtype=torch.long, device=where)
        given = {"input_features": features, "attention_mask": mask}
        with torch.inference_mode():
            model.get_audio_features(**given)
            alone = subject.timed(lambda given=given: model.get_audio_features(**given), runs=3)  # type: ignore[misc]
            whole = subject.timed(lambda given=given: model.generate(**given), runs=1)  # type: ignore[misc]
        detail = f"encoder alone {batch * seconds / alone:,.0f} x; features given"
        yield figure(f"transformers' ParakeetForTDT, batches of {batch}", batch * seconds / whole, "x", detail)
