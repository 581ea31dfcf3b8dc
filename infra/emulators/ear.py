"""The ear of the Deepgram stand-in: a child process that hears a file with the job's decoder, cutter and model.

A child, because NeMo takes seconds to import and its memory should go when the cloud stops; nobody else imports it.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from gpu_job.assembly.assemble import Assembly, part
from gpu_job.audio.chunker import Chunker
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode, decode_channels
from gpu_job.audio.ffmpeg import DecoderLimits
from gpu_job.audio.samples import seconds
from gpu_job.audit.findings import Findings
from infra.local_media import inspected
from shared.errors import DropscribeError, EngineFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from numpy.typing import NDArray

    from gpu_job.asr.nemo.parakeet import Parakeet
    from gpu_job.audio.chunker import Chunk
    from shared.transcript.model import Word

BATCH_CHUNKS = 4
"""Chunks heard at once; together 80 s of audio at most."""


@dataclass(frozen=True)
class Hearing:
    """What was heard in one recording."""

    words: tuple[Word, ...]
    """Of channels heard apart, each as one speaker."""
    channels: int
    """Channels heard apart."""
    duration: float
    """Seconds of audio decoded."""


@dataclass(frozen=True)
class _Child:
    process: SpawnProcess
    pipe: Connection

    def end(self) -> None:
        self.process.kill()
        self.process.join()


class Ear:
    """Hears with the model in the file `model`, one recording at a time. Its process starts with the first one."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._stopped = False
        self._child_lock = threading.Lock()

    def hear(self, path: Path, *, split: bool = False) -> Hearing:
        """What is said in a file; `split`: in each channel.

        Raises BadMedia, and EngineFailed without a model or where its process ends.
        """
        with self._turn:
            child = self._running_child()
            try:
                child.pipe.send((path, split))
                answer: Hearing | DropscribeError = child.pipe.recv()
            except (EOFError, OSError) as error:
                self._forget(child)
                raise EngineFailed("The process that hears has ended.") from error
        if isinstance(answer, DropscribeError):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process in the middle of whatever it does; idempotent and final."""
        with self._child_lock:
            self._stopped = True
            if self._child:
                self._child.end()

    def _running_child(self) -> _Child:
        with self._child_lock:
            if self._stopped:
                raise EngineFailed("The Deepgram stand-in was stopped.")
            self._child = self._child or _spawn(self._model)
            return self._child

    def _forget(self, child: _Child) -> None:
        with self._child_lock:
            child.end()
            self._child = None


def _spawn(model: str) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(model, theirs), name="deepgram-ear", daemon=True)
    process.start()
    # Only without our copy of the child's end does its death close the pipe.
    theirs.close()
    return _Child(process, ours)


def _serve(model: str, pipe: Connection) -> None:
    """The child's life: each path is answered with a Hearing or a failure, until the parent is gone."""
    # Ctrl-C reaches every process of the terminal; when this one ends is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # NeMo's telemetry is off, and says so in two warnings.
    logging.getLogger("nv_one_logger").addHandler(logging.NullHandler())
    load = cache(partial(_load, model))
    with suppress(EOFError):
        while True:
            path, split = pipe.recv()
            try:
                pipe.send(_hear(load(), path, split))
            except DropscribeError as failure:
                pipe.send(failure)


def _load(model: str) -> Parakeet:
    import torch

    from gpu_job.asr.device import Device
    from gpu_job.asr.nemo.parakeet import Limits, Parakeet

    # The model is tiny, and a laptop's other cores have the job's work to do.
    torch.set_num_threads(1)
    audio = BATCH_CHUNKS * CutRules().max_seconds
    return Parakeet.load(model, Limits(BATCH_CHUNKS, audio, audio), Device("cpu", torch.float32))


def _hear(parakeet: Parakeet, path: Path, split: bool) -> Hearing:
    stream = _channels(path) if split else (block[np.newaxis] for block in decode(path, DecoderLimits()))
    first = next(stream)
    chunkers = [Chunker(CutRules()) for _ in first]
    assembly, samples = Assembly(), 0

    def cut() -> Iterator[tuple[int, Chunk]]:
        nonlocal samples
        for block in chain([first], stream):
            samples += block.shape[1]
            for channel, chunker in enumerate(chunkers):
                yield from ((channel, chunk) for chunk in chunker.add(block[channel]))
        for channel, chunker in enumerate(chunkers):
            yield from ((channel, chunk) for chunk in chunker.end())

    waiting = cut()
    while batch := list(islice(waiting, BATCH_CHUNKS)):
        answers = parakeet.transcribe([chunk.samples for _, chunk in batch])
        for (channel, chunk), tokens in zip(batch, answers, strict=True):
            assembly.add(part(chunk, parakeet.engine, tokens, channel))
    passages = assembly.passages([Findings() for _ in first])
    return Hearing(tuple(word for passage in passages for word in passage.words), len(first), seconds(samples))


def _channels(path: Path) -> Iterator[NDArray[np.float32]]:
    yield from decode_channels(path, DecoderLimits(), media=inspected(path))
