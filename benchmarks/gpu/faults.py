"""Memory that runs out, and a CUDA context that is lost (docs/decisions/051): what the engine makes of them."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.engine_runs import through_local_engine
from benchmarks.gpu.correctness import compared, heard_words, in_batches
from benchmarks.gpu.subject import Part, Subject, check, figure, unlimited
from benchmarks.report import Measurement
from gpu_job.asr.gpu_faults import cuda_answers
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.tiny_parakeet import MODEL_PATH
from shared.errors import EngineFailed, FailureKind

ROOM_BYTES = int(1.2e9)
"""Left to a batch; one of 256 chunks takes more."""
CHUNK_SECONDS = 30
TIMEOUT_SECONDS = 90.0


def faults(subject: Subject) -> Iterator[Part]:
    """Each in turn; the lost context in a process of its own, for it takes the process with it."""
    yield Part("memory runs out", lambda: out_of_memory(subject), 20)
    yield Part("a lost context", lambda: lost(subject), 40)


def out_of_memory(subject: Subject) -> Iterator[Measurement]:
    """Nearly all memory is taken. A batch fails, is free again, and comes through in halves with the same words.

    A dry run has a model that fails so above two chunks.
    """
    engine = Parakeet.load(str(MODEL_PATH), ParakeetLimits(4096, 1e6, 1e6, subject.memory_gib), subject.device)
    count, seconds = subject.amount(256, 4), subject.amount(CHUNK_SECONDS, 2)
    many = subject.sounds(seconds, count)
    few = in_batches(engine, many[:2], 1)
    subject.free()
    taken: torch.Tensor | None = None
    if subject.device.is_gpu:
        room, _ = torch.cuda.mem_get_info()
        taken = torch.empty(max(0, room - ROOM_BYTES), dtype=torch.uint8, device="cuda")
    else:
        _fail_above(engine, 2)
    engine.batch_limits = unlimited(count, count * seconds)
    try:
        engine.transcribe(many)
        said = "it fitted"
    except EngineFailed as error:
        said = str(error.kind)
    holds = said == FailureKind.OUT_OF_MEMORY
    yield Measurement("gpu: a batch too large for the memory", float(holds), "", said, "out_of_memory", holds)
    if taken is not None:
        held = torch.cuda.memory_allocated() - taken.numel()
        yield figure("memory: held after the failure", held / 1e6, "MB", "weights included")
    cut = [Chunk(index * seconds * SAMPLE_RATE, one) for index, one in enumerate(many)]
    done = through_local_engine(engine, cut, TIMEOUT_SECONDS)
    yield check("memory: chunks that came through in halves", len(done.parts), "chunks", count)
    safe = dict(engine.batch_limits.safe.sizes)
    yield figure("memory: sizes known to be safe", len(safe), "", f"seconds of the longest chunk: chunks {safe}")
    parts = sorted(done.parts, key=lambda part: part.start)[:2]
    again = [heard_words(part.tokens, part.start / SAMPLE_RATE) for part in parts]
    rounded = [[(text, round(start, 3), round(end, 3)) for text, start, end in one] for one in again]
    wanted = [[(text, round(start, 3), round(end, 3)) for text, start, end in one] for one in few]
    yield from compared("words after memory ran out", rounded, wanted, exact=subject.is_dry)


def _fail_above(engine: Parakeet, chunks: int) -> None:
    whole = engine.run

    def run(prepared: Any) -> Any:
        if sum(len(part.lengths) for part in prepared.slices) > chunks:
            raise EngineFailed("The GPU's memory is too small for the batch.", FailureKind.OUT_OF_MEMORY)
        return whole(prepared)

    engine.run = run  # type: ignore[method-assign]


def lost(subject: Subject) -> Iterator[Measurement]:
    """A kernel reads outside of its tensor: every call of CUDA fails from then on, and the engine says what it is."""
    if subject.is_dry:
        told = {"run": FailureKind.GPU_LOST, "cuda answers": cuda_answers(), "note": "not tried on a CPU"}
    else:
        command = [sys.executable, "-m", "benchmarks.gpu.faults"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        told = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"run": done.stderr[-500:]}
    holds = told["run"] == FailureKind.GPU_LOST and (subject.is_dry or "all that batches held" in told)
    yield Measurement("gpu: a lost context", float(holds), "", json.dumps(told), "gpu_lost", holds)


def lose_context(sound: Sequence[Samples]) -> dict[str, Any]:
    """Ruin CUDA in this process while a batch is under way; what the engine says, whether a second one can be loaded,
    and whether the process outlives what the batches held."""
    limits = ParakeetLimits(8, 240.0, 80.0)
    engine = Parakeet.load(str(MODEL_PATH), limits, where="cuda")
    engine.transcribe(sound)
    prepared, next_one = engine.prepare(sound), engine.prepare(sound)
    under_way = [engine.run(engine.prepare(sound)) for _ in range(2)]
    told: dict[str, Any] = {}
    beyond = torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")]
    for stage in ("run", "again"):
        try:
            engine.finish(engine.run(prepared))
            told[stage] = "no error"
        except EngineFailed as error:
            told[stage], told[f"{stage}: cause"] = error.kind, repr(error.__cause__)[:200]
        except Exception as error:
            told[stage] = repr(error)[:200]
    told["cuda answers"] = cuda_answers()
    try:
        engine.finish(under_way[0])
    except EngineFailed as error:
        told["batch under way"] = error.kind
    del beyond, prepared, next_one, under_way, engine
    gc.collect()
    told["all that batches held"] = "let go"
    try:
        Parakeet.load(str(MODEL_PATH), replace(limits), where="cpu")
        told["another engine"] = "loaded"
    except EngineFailed as error:
        told["another engine"] = error.kind
    return told


if __name__ == "__main__":
    import os

    from benchmarks.gpu.speech import speech, stretches

    print(json.dumps(lose_context(stretches(speech("podcast.mp3"), 5, 1))), flush=True)
    os._exit(0)
