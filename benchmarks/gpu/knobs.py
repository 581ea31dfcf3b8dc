"""What could be turned: attention, compilation, a graph around the encoder, and decoding beside the next encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch

from benchmarks.gpu.subject import Part, Subject, figure
from benchmarks.report import Measurement
from gpu_job.asr.nemo.parakeet import Parakeet

Encoded = tuple[torch.Tensor, torch.Tensor]


def knobs(subject: Subject) -> Iterator[Part]:
    """torch.compile last: what it changes stays changed."""
    model = subject.model()
    seconds, many, few = subject.amount((30, 64, 4), (2, 2, 1))
    ours = subject.engine(model, many, float(many * seconds))
    features: dict[int, Encoded] = {}

    def as_it_is() -> Iterator[Measurement]:
        for count in (many, few):
            features[count] = encoder_input(ours, subject, seconds, count)
            yield speed(subject, model, "as it is", features[count], seconds)

    yield Part("encoder as it is", as_it_is)
    if subject.device.is_gpu:
        for name, off in (("without cuDNN's attention", ("cudnn",)), ("mathematics only", ("cudnn", "mem_efficient"))):

            def with_less(name: str = name, off: tuple[str, ...] = off) -> list[Measurement]:
                return [without(off, lambda: speed(subject, model, name, features[many], seconds))]

            yield Part(name, with_less)
    yield Part("NeMo's own attention", lambda: own_attention(subject, model, features[many], seconds))
    yield Part("two streams", lambda: two_streams(subject, ours, features[many], seconds), 15)
    if subject.device.is_gpu:
        for count in (few, many):
            yield Part("graph", lambda c=count: [graphed(subject, model, features[c], seconds)], 15)  # type: ignore[misc]
    yield Part("torch.compile", lambda: compiled(subject, model, features[many], seconds), subject.amount(45.0, 0.0))


def encoder_input(ours: Parakeet, subject: Subject, seconds: int, count: int) -> Encoded:
    """Features of so many chunks, and the frames of each."""
    with torch.inference_mode():
        prepared = ours.prepare(subject.sounds(seconds, count))
        subject.wait()
        part = prepared.slices[0]
        features, frames = ours.model.preprocessor(input_signal=part.signal, length=part.lengths)
        return features.to(subject.device.dtype), frames


def speed(
    subject: Subject, model: Any, name: str, given: Encoded, seconds: int, call: Callable[[], object] | None = None
) -> Measurement:
    """Of the encoder."""
    features, frames = given

    def encode() -> None:
        with torch.inference_mode():
            model.encoder(audio_signal=features, length=frames)

    run = call or encode
    run()
    spent = subject.timed(run)
    count = len(features)
    return figure(f"encoder {name}, {count} chunks", count * seconds / spent, "x", f"{1000 * spent:.2f} ms")


def without(kernels: tuple[str, ...], action: Callable[[], Measurement]) -> Measurement:
    """Do something while torch may not use these kernels of attention."""
    with ExitStack() as stack:
        for name in kernels:
            switch = getattr(torch.backends.cuda, f"enable_{name}_sdp")
            switch(False)
            stack.callback(switch, True)
        return action()


def own_attention(subject: Subject, model: Any, given: Encoded, seconds: int) -> Iterator[Measurement]:
    """As NeMo computes it where nobody asks for PyTorch's."""
    layers = list(model.encoder.layers)
    before = [layer.self_attn.use_pytorch_sdpa for layer in layers]
    try:
        for layer in layers:
            layer.self_attn.use_pytorch_sdpa = False
        yield speed(subject, model, "with NeMo's own attention", given, seconds)
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.self_attn.use_pytorch_sdpa = value


def graphed(subject: Subject, model: Any, given: Encoded, seconds: int) -> Measurement:
    """The encoder captured for one shape: what its launches cost."""
    features, frames = (one.clone() for one in given)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # Untyped in torch.
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode():
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                model.encoder(audio_signal=features, length=frames)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            model.encoder(audio_signal=features, length=frames)
    return speed(subject, model, "in a CUDA graph", given, seconds, graph.replay)


def two_streams(subject: Subject, ours: Parakeet, given: Encoded, seconds: int) -> Iterator[Measurement]:
    """Decoding batch N beside encoding batch N + 1, against one after the other; on a CPU there are no streams."""
    features, frames = given
    count = len(features)
    model = ours.model

    def encode() -> Encoded:
        encoded, lengths = model.encoder(audio_signal=features, length=frames)
        return encoded.transpose(1, 2), lengths

    def in_turn() -> None:
        with torch.inference_mode():
            for _ in range(3):
                ours.decoder(*encode())

    in_turn()
    spent = subject.timed(in_turn, runs=3)
    yield figure(f"encoder and decoder in turn, {count} chunks", 3 * count * seconds / spent, "x")
    if not subject.device.is_gpu:
        return
    decoding = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # Untyped in torch.

    def side_by_side() -> None:
        with torch.inference_mode():
            ready = encode()
            for left in (2, 1, 0):
                decoding.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(decoding):
                    for tensor in ready:
                        tensor.record_stream(decoding)
                    ours.decoder(*ready)
                if left:
                    ready = encode()
            torch.cuda.current_stream().wait_stream(decoding)

    ours.decoder.computer.reset_cuda_graphs_state()
    side_by_side()
    spent = subject.timed(side_by_side, runs=3)
    yield figure(f"encoder and decoder on two streams, {count} chunks", 3 * count * seconds / spent, "x")


def compiled(subject: Subject, model: Any, given: Encoded, seconds: int) -> Iterator[Measurement]:
    """Each layer compiled; a dry run only traces."""
    for layer in list(model.encoder.layers)[: subject.amount(1000, 1)]:
        layer.compile(backend=subject.amount("inductor", "eager"))
    features, frames = given

    def encode() -> None:
        with torch.inference_mode():
            model.encoder(audio_signal=features, length=frames)

    first = subject.once(encode)
    yield figure("torch.compile: first batch", first, "s")
    yield speed(subject, model, "by torch.compile", given, seconds)
