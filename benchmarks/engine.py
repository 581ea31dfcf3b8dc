"""The engine against NeMo's own `transcribe()`: the tiny model at its speed, the full architecture at its size."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]  # ships no types
import torch

from benchmarks.engine_runs import through_local_engine
from benchmarks.full_model import build_full_model
from benchmarks.gpu.speech import speech, stretches
from benchmarks.report import Measurement
from benchmarks.timing import wall_seconds
from gpu_job.asr.device import Device, Precision, best_device
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits, memory_of
from gpu_job.asr.tokens import words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH

RUNS = 3
CHUNKS, SHORTEST, LONGEST = 64, 3.0, 22.0
"""Mixed lengths, in seconds."""
PEER_BATCHES = (4, 16, 32)
BATCH_SECONDS = 320.0
"""Padded audio of one of our batches."""
FULL_CHUNKS, FULL_SECONDS = 4, 20
TOKENS_PER_SECOND = 3.5
"""People say 3 to 4."""


def tiny() -> Iterator[Measurement]:
    """Through the local engine, from arrays in hand to words with times."""
    from nemo.collections.asr.models import ASRModel

    chunks = _mixed_chunks()
    ours = Parakeet.load(str(MODEL_PATH), ParakeetLimits(CHUNKS, BATCH_SECONDS, BATCH_SECONDS))
    parts = sorted(through_local_engine(ours, chunks).parts, key=lambda part: part.start)
    texts = [" ".join(word.text for word in words_of(part.tokens)) for part in parts]
    peer = ASRModel.restore_from(str(MODEL_PATH), map_location="cpu")
    with tempfile.TemporaryDirectory() as folder:
        arrays = [chunk.samples for chunk in chunks]
        for name, audio, target in (("arrays", arrays, 1.8), ("paths", _wav_files(arrays, Path(folder)), 2.0)):
            peer_texts = _transcribe(peer, audio, PEER_BATCHES[0])
            # In turns, so that what else the machine does meets all of them alike.
            rounds = [_round(ours, chunks, peer, audio) for _ in range(RUNS)]
            wall, *peers = (median(walls) for walls in zip(*rounds, strict=True))
            best, batch = min(zip(peers, PEER_BATCHES, strict=True))
            title = f"engine: tiny model, {len(chunks)} chunks, against transcribe({name})"
            detail = f"NeMo {best:.2f} s at batch {batch}, ours {wall:.2f} s"
            yield Measurement(title, best / wall, "x", detail, f">= {target} x", best / wall >= target)
            same = sum(one == other for one, other in zip(texts, peer_texts, strict=True))
            title = f"engine: tiny model, same text as transcribe({name})"
            yield Measurement(title, same, "chunks", f"of {len(chunks)}", "all", same == len(chunks))


def full() -> Iterator[Measurement]:
    """Random weights in this machine's precision against NeMo's default of fp32; and memory against the model."""
    sounds = stretches(speech(), FULL_SECONDS, FULL_CHUNKS)
    with tempfile.TemporaryDirectory() as folder:
        model = build_full_model(Path(folder), TOKENS_PER_SECOND)
        peer = build_full_model(Path(folder), TOKENS_PER_SECOND)
        device = best_device(Precision.AUTO)
        audio = float(FULL_CHUNKS * FULL_SECONDS)
        ours = Parakeet(model, "full", device, ParakeetLimits(FULL_CHUNKS, audio, audio))
        yield _memory(ours, device, sounds)
        race = [
            (
                wall_seconds(lambda: ours.transcribe(sounds)),
                wall_seconds(lambda: _transcribe(peer, sounds, FULL_CHUNKS)),
            )
            for _ in range(RUNS)
        ]
        wall, best = (median(walls) for walls in zip(*race, strict=True))
    detail = f"NeMo in fp32 {audio / best:.1f}, ours {audio / wall:.1f} x real time"
    name = f"engine: full architecture, {str(device.dtype).removeprefix('torch.')}"
    yield Measurement(name, best / wall, "x", detail, ">= 2 x", best / wall >= 2)


def _memory(engine: Parakeet, device: Device, sounds: Sequence[Samples]) -> Measurement:
    """The allocator's peak while one batch runs, beside the prediction; this run also warms up."""
    prepared = engine.prepare(sounds)
    measured = _allocated(lambda: engine.run(prepared))
    chunks, samples = prepared.slices[0].signal.shape
    predicted = memory_of(engine.model, device).activations(chunks, samples)
    detail = f"measured {measured / 2**20:.0f} MiB, predicted {predicted / 2**20:.0f} MiB"
    ratio = measured / predicted
    name = f"engine: full architecture, activations of {chunks} x {seconds(samples):.0f} s"
    return Measurement(name, ratio, "x predicted", detail, "0.85 - 1.15", 0.85 <= ratio <= 1.15)


def _allocated(action: Callable[[], object]) -> int:
    """Peak bytes that torch's CPU allocator held during an action, beside what it held before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as recorded:
        action()
    held = peak = 0
    assert recorded.profiler is not None
    events = recorded.profiler.kineto_results.events()
    for event in sorted((one for one in events if one.name() == "[memory]"), key=lambda one: one.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def _mixed_chunks() -> list[Chunk]:
    """Ten minutes of speech and their repetition in pieces of random length."""
    speech = np.concatenate(list(decode(recording("long_seen.opus").path)))
    speech = np.concatenate([speech, speech])
    dice, chunks, at = random.Random(0), [], 0
    for _ in range(CHUNKS):
        end = at + int(dice.uniform(SHORTEST, LONGEST) * SAMPLE_RATE)
        chunks.append(Chunk(at, speech[at:end]))
        at = end
    return chunks


def _wav_files(arrays: Sequence[Samples], folder: Path) -> list[str]:
    paths = [str(folder / f"{number}.wav") for number in range(len(arrays))]
    for path, samples in zip(paths, arrays, strict=True):
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return paths


def _round(ours: Parakeet, chunks: Sequence[Chunk], peer: Any, audio: Sequence[Any]) -> list[float]:
    """Seconds of one run of ours, and of one run of the peer with each of its batch sizes."""
    peers = [wall_seconds(partial(_transcribe, peer, audio, batch)) for batch in PEER_BATCHES]
    return [through_local_engine(ours, chunks).wall_seconds, *peers]


def _transcribe(model: Any, audio: Sequence[Any], batch: int) -> list[str]:
    found = model.transcribe(list(audio), batch_size=batch, timestamps=True, verbose=False, num_workers=0)
    return [hypothesis.text for hypothesis in found]
