"""The tiny model, whose words are known, on the GPU against itself on the CPU; captures and modes of the decoder."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.engine_runs import through_local_engine
from benchmarks.gpu.speech import speech, stretches
from benchmarks.gpu.subject import SHORT_RECORDING, Part, Subject, check, figure
from benchmarks.report import Measurement
from gpu_job.asr.device import Device
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk, chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.tiny_parakeet import MODEL_PATH
from shared.keyterms.terms import parse_keyterms

LIMITS = ParakeetLimits(64, gpu_audio_seconds=1200.0, cpu_audio_seconds=640.0)
APART = 60 * SAMPLE_RATE
"""Samples between the starts of chunks that go through the engine together."""
SAME_TIME = 1e-6
"""Seconds; frames are 0.08 s."""

TERMS = parse_keyterms("the white whale:3; mountains; peterborough")
MARK = 7
OTHERS_BYTES = (2**20,) * 64 + (2**24,) * 64
"""What others have: allocations as torch makes from segments of two sizes; 1.1 GB."""

Heard = list[tuple[str, float, float]]
"""Of a chunk: text, start and end of each word."""


def correctness(subject: Subject) -> Iterator[Part]:
    """In both precisions; the words must be the CPU's, and must not depend on what else is in a batch."""
    sound = speech(SHORT_RECORDING) if subject.is_dry else speech()
    cuts = [one.samples for one in chunks([sound], CutRules(max_seconds=subject.amount(20.0, 8.0)))]
    cuts = cuts[: subject.amount(80, 4)]
    on_cpu: list[Heard] = []
    if subject.device.is_gpu:
        # Convolutions in tf32 would round as the shape of the batch has it, and words could depend on companions.
        torch.backends.cudnn.allow_tf32 = False

    def the_cpus() -> Iterator[Measurement]:
        engine = Parakeet.load(str(MODEL_PATH), LIMITS, Device("cpu", torch.float32))
        on_cpu.extend(in_batches(engine, cuts, 16))
        yield figure("words by the CPU", sum(map(len, on_cpu)), "words", f"{len(cuts)} chunks, fp32")

    yield Part("the CPU's words", the_cpus)
    for dtype in (torch.float32, torch.bfloat16) if subject.device.is_gpu else (torch.float32,):
        name = str(dtype).removeprefix("torch.")
        engine = Parakeet.load(str(MODEL_PATH), LIMITS, Device(subject.device.name, dtype))
        alone: list[Heard] = []

        def against_the_cpu(
            engine: Parakeet = engine, alone: list[Heard] = alone, name: str = name
        ) -> Iterator[Measurement]:
            alone.extend(in_batches(engine, cuts, 1))
            # Products on other hardware and in bf16 round otherwise: a chunk or two may differ.
            yield from compared(f"{name}, one chunk a batch, against the CPU", alone, on_cpu, exact=subject.is_dry)

        yield Part(f"{name}: against the CPU", against_the_cpu)
        yield Part(f"{name}: companions", lambda e=engine, a=alone, n=name: companions(subject, e, cuts, a, n))  # type: ignore[misc]
        yield Part(f"{name}: decoder modes", lambda e=engine, a=alone, n=name: modes(subject, e, cuts, a, n))  # type: ignore[misc]
        yield Part(f"{name}: memory", lambda e=engine, n=name: memory_of_others(subject, e, cuts, n))  # type: ignore[misc]
        yield Part(f"{name}: key terms", lambda e=engine, n=name: beside_terms(e, cuts, n), 15)  # type: ignore[misc]
        yield Part(f"{name}: odd lengths", lambda e=engine, n=name: odd_lengths(e, cuts, n))  # type: ignore[misc]
        yield Part(f"{name}: overlapping", lambda e=engine, a=alone, n=name: overlapping(e, cuts, a, n), 15)  # type: ignore[misc]
    yield Part("captures", lambda: captures(subject, sound), 15)


def in_batches(engine: Parakeet, samples: Sequence[Samples], size: int) -> list[Heard]:
    """What an engine hears in chunks, so many a batch."""
    heard: list[Heard] = []
    for first in range(0, len(samples), size):
        heard += [heard_words(tokens) for tokens in engine.transcribe(samples[first : first + size])]
    return heard


def heard_words(tokens: Sequence[Token], earlier: float = 0.0) -> Heard:
    """Words, on a clock that began so many seconds later."""
    return [(word.text, word.start - earlier, word.end - earlier) for word in words_of(tokens)]


def compared(name: str, ours: Sequence[Heard], theirs: Sequence[Heard], *, exact: bool) -> Iterator[Measurement]:
    """Chunks with the same text; and of their words those with the same times. `exact`: whether all must be."""
    same = [[word[0] for word in a] == [word[0] for word in b] for a, b in zip(ours, theirs, strict=True)]
    pairs = [
        pair for a, b, is_same in zip(ours, theirs, same, strict=True) if is_same for pair in zip(a, b, strict=True)
    ]
    apart = [max(abs(x[1] - y[1]), abs(x[2] - y[2])) for x, y in pairs]
    on_time = sum(one < SAME_TIME for one in apart)
    detail = f"of {len(same)}; words' times differ by {max(apart, default=0.0):.3f} s at most"
    if exact:
        yield check(f"same text: {name}", sum(same), "chunks", len(same), detail)
        yield check(f"same times: {name}", on_time, "words", len(pairs), f"of {len(pairs)}")
    else:
        yield figure(f"same text: {name}", sum(same), "chunks", detail)
        yield figure(f"same times: {name}", on_time, "words", f"of {len(pairs)}")


def companions(
    subject: Subject, engine: Parakeet, cuts: Sequence[Samples], alone: Sequence[Heard], name: str
) -> Iterator[Measurement]:
    """Shuffled batches of several sizes: a chunk's words and times are those it has alone.

    In bf16 products of other shapes round otherwise; there the figures are only told.
    """
    for size in subject.amount((4, 16, 53), (2,)):
        order = random.Random(size).sample(range(len(cuts)), len(cuts))
        answers = in_batches(engine, [cuts[index] for index in order], size)
        wanted = [alone[index] for index in order]
        yield from compared(f"{name}, batches of {size}, against alone", answers, wanted, exact=name == "float32")


def modes(
    subject: Subject, engine: Parakeet, cuts: Sequence[Samples], alone: Sequence[Heard], name: str
) -> Iterator[Measurement]:
    """The decoder with whole graphs, with partial ones, and as it is on a CPU. NeMo falls back without a word."""
    batch = list(cuts[:16])
    computer = engine.decoder.computer
    engine.transcribe(batch)
    wanted = "full_graph" if subject.device.is_gpu else "eager"
    yield Measurement(
        f"gpu: decoder's mode after its first capture, {name}",
        float(engine.decoder.mode == wanted),
        "",
        engine.decoder.mode,
        wanted,
        engine.decoder.mode == wanted,
    )
    for mode in subject.amount(("full_graph", "no_while_loops", None), (None,)):
        with forced(computer, mode):
            seconds = subject.timed(lambda: engine.transcribe(batch), runs=3)
            yield figure(f"decoder's mode {mode}, {name}: a batch of {len(batch)}", 1000 * seconds, "ms")
            yield from compared(f"{name}, mode {mode}", in_batches(engine, batch, 16), alone[: len(batch)], exact=False)


class forced:  # noqa: N801  # used like a function
    """NeMo's decoder in one mode for a while; None: without storage and graphs, as on a CPU."""

    def __init__(self, computer: Any, mode: str | None) -> None:
        self._computer, self._mode = computer, mode
        self._before = computer.cuda_graphs_mode

    def __enter__(self) -> None:
        self._computer.force_cuda_graphs_mode(self._mode)
        self._computer.reset_cuda_graphs_state()

    def __exit__(self, *_: object) -> None:
        self._computer.force_cuda_graphs_mode(self._before.value if self._before is not None else None)
        self._computer.cuda_graphs_allow_fallback = True
        self._computer.reset_cuda_graphs_state()


def memory_of_others(subject: Subject, engine: Parakeet, cuts: Sequence[Samples], name: str) -> Iterator[Measurement]:
    """Graphs that were captured write to no memory that others got once torch's cache was emptied, and read none.

    It is emptied where memory runs out, and by every capture of another decoder (gpu_job/asr/nemo/graph_memory.py).
    """
    batch = list(cuts[:16])
    before = in_batches(engine, batch, 16)
    subject.free()
    sizes = subject.amount(OTHERS_BYTES, OTHERS_BYTES[:2])
    others = [torch.full((size,), MARK, dtype=torch.uint8, device=subject.device.name) for size in sizes]
    after = in_batches(engine, batch, 16)
    untouched = sum(bool((one == MARK).all()) for one in others)
    yield check(f"memory of others that graphs left alone, {name}", untouched, "blocks", len(others))
    yield from compared(f"{name}, beside memory of others", after, before, exact=True)


def beside_terms(engine: Parakeet, cuts: Sequence[Samples], name: str) -> Iterator[Measurement]:
    """Key terms have a decoder with graphs of its own: what is heard without terms is as before, in a batch with some
    that have terms, and in the plain decoder once the other one was captured."""
    batch = list(cuts[:16])
    before = in_batches(engine, batch, 16)
    terms = [TERMS if row % 2 else () for row in range(len(batch))]
    beside = engine.finish(engine.run(engine.prepare_with_keyterms(batch, terms)))
    after = in_batches(engine, batch, 16)
    reason = engine.left_out(TERMS).reason
    yield Measurement(f"gpu: key terms are favoured, {name}", float(not reason), "", reason, "1", not reason)
    heard = [heard_words(tokens) for tokens in beside]
    yield from compared(f"{name}, beside chunks with key terms", heard[::2], before[::2], exact=True)
    yield from compared(f"{name}, after a batch with key terms", after, before, exact=True)


def odd_lengths(engine: Parakeet, cuts: Sequence[Samples], name: str) -> Iterator[Measurement]:
    """A few samples, silence, and a chunk beside a single sample."""
    sound = cuts[0]
    for length in (1, 159, 1281, 4000):
        engine.transcribe([sound[:length]])
    silent = engine.transcribe([np.zeros(5 * SAMPLE_RATE, np.float32)])[0]
    yield check(f"tokens in silence, {name}", len(silent), "tokens", 0)
    (alone,), (_, beside) = in_batches(engine, [sound], 1), in_batches(engine, [sound[:1], sound], 2)
    yield from compared(f"{name}, beside a single sample", [beside], [alone], exact=name == "float32")


def overlapping(engine: Parakeet, cuts: Sequence[Samples], alone: Sequence[Heard], name: str) -> Iterator[Measurement]:
    """Through the local engine, where copies, captures and answers of three batches overlap."""
    engine.decoder.computer.reset_cuda_graphs_state()
    order = random.Random(1).sample(range(len(cuts)), len(cuts))
    done = through_local_engine(engine, [Chunk(index * APART, cuts[index]) for index in order], timeout=60)
    parts = {part.start // APART: part for part in done.parts}
    heard = [heard_words(parts[index].tokens, index * APART / SAMPLE_RATE) for index in range(len(cuts))]
    rounded = [[(text, round(start, 3), round(end, 3)) for text, start, end in one] for one in heard]
    wanted = [[(text, round(start, 3), round(end, 3)) for text, start, end in one] for one in alone]
    yield from compared(f"{name}, batches overlapping", rounded, wanted, exact=name == "float32")


def captures(subject: Subject, sound: Samples) -> Iterable[Measurement]:
    """Graphs captured for batches of sizes as the job makes them, and what a capture costs."""
    engine = Parakeet.load(str(MODEL_PATH), LIMITS, subject.device)
    computer, spent = engine.decoder.computer, list[float]()
    capture = computer._graph_reinitialize

    def counted(*arguments: Any) -> None:
        began = time.perf_counter()
        capture(*arguments)
        subject.wait()
        spent.append(time.perf_counter() - began)

    computer._graph_reinitialize = counted
    dice = random.Random(1)
    batches = subject.amount(40, 2)
    for _ in range(batches):
        length = dice.choice((2, 5, 10, 20, 30))
        engine.transcribe(stretches(sound, length, dice.randint(1, subject.amount(min(64, 1200 // length), 2))))
    yield figure("captures", len(spent), "", f"for {batches} batches; {sum(spent):.2f} s in all; {engine.decoder.mode}")
