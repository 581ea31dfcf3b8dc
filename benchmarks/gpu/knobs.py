"""What could be turned: attention, compilation, a graph around the encoder, and decoding beside the next encoding.

None of it is on in the engine but PyTorch's attention. Of each the speed, and its tokens against those of the engine as
it is: kernels that round otherwise may change some, another order of the same kernels none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import torch

from benchmarks.gpu.subject import Part, Subject, check, figure
from benchmarks.report import Measurement
from gpu_job.asr.nemo.parakeet import Parakeet

Encoded = tuple[torch.Tensor, torch.Tensor]
"""[chunks, width, frames] and how many frames count, as the encoder has them; or its input, with mels for width."""
Tokens = list[list[int]]
"""Of each chunk."""
OVERLAPPED = 3
"""Batches that are encoded and decoded, in turn or side by side."""


@dataclass(frozen=True)
class Encoder:
    """The full-size encoder, and what it hears."""

    subject: Subject
    ours: Parakeet
    seconds: int
    """Of each chunk."""
    features: dict[int, Encoded] = field(default_factory=dict)
    """By chunks in the batch."""
    plain: dict[int, Tokens] = field(default_factory=dict)
    """What the engine as it is makes of them."""

    def __call__(self, count: int) -> Encoded:
        """One pass."""
        features, frames = self.features[count]
        with torch.inference_mode():
            encoded: Encoded = self.ours.model.encoder(audio_signal=features, length=frames)
            return encoded

    def decode(self, encoded: Encoded) -> Any:
        """The decoder's storage for an encoder's output."""
        with torch.inference_mode():
            return self.ours.decoder(encoded[0].transpose(1, 2), encoded[1])


def knobs(subject: Subject) -> Iterator[Part]:
    """torch.compile last: what it changes stays changed."""
    seconds, many, few = subject.amount((30, 64, 4), (2, 2, 1))
    ours = subject.engine(subject.model(), many, float(many * seconds))
    encoder = Encoder(subject, ours, seconds)

    def as_it_is() -> Iterator[Measurement]:
        for count in (many, few):
            encoder.features[count] = encoder_input(ours, subject, seconds, count)
            encoder.plain[count] = tokens_of(encoder.decode(encoder(count)), count)
            yield speed(encoder, "as it is", count, lambda count=count: encoder(count))  # type: ignore[misc]

    yield Part("encoder as it is", as_it_is)
    if subject.device.is_gpu:
        for name, off in (("without cuDNN's attention", ("cudnn",)), ("mathematics only", ("cudnn", "mem_efficient"))):

            def with_less(name: str = name, off: tuple[str, ...] = off) -> Iterator[Measurement]:
                with without(off):
                    yield from measured(encoder, name, many)

            yield Part(name, with_less)
    yield Part("NeMo's own attention", lambda: own_attention(encoder, many))
    yield Part("two streams", lambda: two_streams(encoder, many), 15)
    if subject.device.is_gpu:
        for count in (few, many):
            yield Part("graph", lambda c=count: graphed(encoder, c), 15)  # type: ignore[misc]
    yield Part("torch.compile", lambda: compiled(encoder, many), subject.amount(45.0, 0.0))


def encoder_input(ours: Parakeet, subject: Subject, seconds: int, count: int) -> Encoded:
    """Features of so many chunks, and the frames of each."""
    with torch.inference_mode():
        prepared = ours.prepare(subject.sounds(seconds, count))
        subject.wait()
        part = prepared.slices[0]
        features, frames = ours.model.preprocessor(input_signal=part.signal, length=part.lengths)
        return features.to(subject.device.dtype), frames


def measured(encoder: Encoder, name: str, count: int) -> Iterator[Measurement]:
    """The encoder as it is set now."""
    yield speed(encoder, name, count, lambda: encoder(count))
    yield same_tokens(name, tokens_of(encoder.decode(encoder(count)), count), encoder.plain[count], exact=False)


def speed(encoder: Encoder, name: str, count: int, encode: Callable[[], object]) -> Measurement:
    """Of passes of the encoder."""
    encode()
    spent = encoder.subject.timed(encode)
    return figure(f"encoder {name}, {count} chunks", count * encoder.seconds / spent, "x", f"{1000 * spent:.2f} ms")


def tokens_of(found: Any, count: int) -> Tokens:
    """What the decoder stored of so many chunks; waits for it."""
    lengths = found.current_lengths[:count].tolist()
    return [row[:length] for row, length in zip(found.transcript[:count].tolist(), lengths, strict=True)]


def same_tokens(
    name: str, theirs: Sequence[Sequence[int]], plain: Sequence[Sequence[int]], *, exact: bool
) -> Measurement:
    """The share of tokens that are those of the engine as it is. `exact`: whether all must be."""
    same = sum(
        block.size
        for one, other in zip(theirs, plain, strict=True)
        for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    )
    most = sum(max(len(one), len(other)) for one, other in zip(theirs, plain, strict=True))
    share, detail = 100.0 * same / most if most else 100.0, f"{same} of {most}, {len(plain)} chunks"
    what = f"same tokens: encoder {name}"
    return check(what, share, "%", 100.0, detail) if exact else figure(what, share, "%", detail)


@contextmanager
def without(kernels: Sequence[str]) -> Iterator[None]:
    """torch may not use these kernels of attention meanwhile."""
    with ExitStack() as stack:
        for name in kernels:
            switch = getattr(torch.backends.cuda, f"enable_{name}_sdp")
            stack.callback(switch, getattr(torch.backends.cuda, f"{name}_sdp_enabled")())
            switch(False)
        yield


def own_attention(encoder: Encoder, count: int) -> Iterator[Measurement]:
    """As NeMo computes it where nobody asks for PyTorch's."""
    layers = list(encoder.ours.model.encoder.layers)
    before = [layer.self_attn.use_pytorch_sdpa for layer in layers]
    try:
        for layer in layers:
            layer.self_attn.use_pytorch_sdpa = False
        yield from measured(encoder, "with NeMo's own attention", count)
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.self_attn.use_pytorch_sdpa = value


def graphed(encoder: Encoder, count: int) -> Iterator[Measurement]:
    """The encoder captured for one shape: what its launches cost."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # Untyped in torch.
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            encoder(count)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        encoded = encoder(count)
    name = "in a CUDA graph"
    yield speed(encoder, name, count, graph.replay)
    yield same_tokens(
        f"{name}, {count} chunks", tokens_of(encoder.decode(encoded), count), encoder.plain[count], exact=True
    )


def two_streams(encoder: Encoder, count: int) -> Iterator[Measurement]:
    """Decoding batch N beside encoding batch N + 1, against one after the other; on a CPU there are no streams."""
    subject = encoder.subject
    audio = OVERLAPPED * count * encoder.seconds

    def in_turn() -> list[Any]:
        return [encoder.decode(encoder(count)) for _ in range(OVERLAPPED)]

    in_turn()
    spent = subject.timed(in_turn, runs=3)
    yield figure(f"encoder and decoder in turn, {count} chunks", audio / spent, "x")
    if not subject.device.is_gpu:
        return
    decoding = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # Untyped in torch.

    def side_by_side() -> list[Any]:
        found = []
        for _ in range(OVERLAPPED):
            ready = encoder(count)
            decoding.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(decoding):
                for tensor in ready:
                    tensor.record_stream(decoding)
                found.append(encoder.decode(ready))
        torch.cuda.current_stream().wait_stream(decoding)
        return found

    # Captured on the stream it will be replayed on, so that its storage is that stream's, too.
    encoder.ours.decoder.computer.reset_cuda_graphs_state()
    decoded = [tokens_of(found, count) for found in side_by_side()]
    spent = subject.timed(side_by_side, runs=3)
    yield figure(f"encoder and decoder on two streams, {count} chunks", audio / spent, "x")
    decoded_all = [chunk for batch in decoded for chunk in batch]
    yield same_tokens("and decoder on two streams", decoded_all, encoder.plain[count] * OVERLAPPED, exact=True)
    encoder.ours.decoder.computer.reset_cuda_graphs_state()


def compiled(encoder: Encoder, count: int) -> Iterator[Measurement]:
    """Each layer compiled; a dry run only traces."""
    subject = encoder.subject
    for layer in list(encoder.ours.model.encoder.layers)[: subject.amount(1000, 1)]:
        layer.compile(backend=subject.amount("inductor", "eager"))
    yield figure("torch.compile: first batch", subject.once(lambda: encoder(count)), "s")
    yield from measured(encoder, "by torch.compile", count)
