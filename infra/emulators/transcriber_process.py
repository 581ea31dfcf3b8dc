"""The Deepgram stand-in's transcriber: a child process that calls `gpu_job.pipeline.transcribe`.

A child, because NeMo takes seconds to import and its memory should go when the cloud stops; nobody else imports it.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpu_job.asr.load_recognizer import RecognizerOptions
from gpu_job.audio.cuts import CutRules
from gpu_job.engines.open_engine import open_engine
from gpu_job.pipeline import PipelineOptions, transcribe
from infra.local_media import inspected
from shared.enums import Engine
from shared.errors import DropscribeError, EngineFailed
from shared.upload_options import Channels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from gpu_job.engines.chain import EngineChain
    from shared.transcript.model import Word

BATCH_CHUNKS = 4
"""Chunks in a batch; together 80 s of audio at most."""

CUTS = CutRules(max_seconds=20.0)


@dataclass(frozen=True)
class TranscribedFile:
    """The words of one recording."""

    words: tuple[Word, ...]
    """Of channels transcribed separately, each as one speaker."""
    channels: int
    """Channels transcribed separately."""
    duration: float
    """Seconds of audio decoded."""


@dataclass(frozen=True)
class _Child:
    process: SpawnProcess
    pipe: Connection

    def end(self) -> None:
        self.process.kill()
        self.process.join()


class TranscriberProcess:
    """Transcribes one recording at a time with the model in the file `model`. The first one starts the process."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self._stopped = False
        self._child_lock = threading.Lock()

    def transcribe(self, path: Path, *, split: bool = False) -> TranscribedFile:
        """What is said in a file; `split`: in each channel.

        Raises BadMedia, and EngineFailed without a model or where its process ends.
        """
        with self._turn:
            child = self._running_child()
            try:
                child.pipe.send((path, split))
                answer: TranscribedFile | DropscribeError = child.pipe.recv()
            except (EOFError, OSError) as error:
                self._forget(child)
                raise EngineFailed("The transcriber's process has ended.") from error
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
    process = context.Process(target=_serve, args=(model, theirs), name="deepgram-transcriber", daemon=True)
    process.start()
    # Only without our copy of the child's end does its death close the pipe.
    theirs.close()
    return _Child(process, ours)


def _serve(model: str, pipe: Connection) -> None:
    """The child's life: each path is answered with a TranscribedFile or a failure, until the parent is gone."""
    # Ctrl-C reaches every process of the terminal; when this one ends is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # NeMo's telemetry is off, and says so in two warnings.
    logging.getLogger("nv_one_logger").addHandler(logging.NullHandler())
    with ExitStack() as stack, suppress(EOFError):
        engine: EngineChain | None = None
        while True:
            path, split = pipe.recv()
            try:
                # Loaded for the first recording; where that fails, the next one tries again.
                engine = engine if engine and engine.is_available else stack.enter_context(_engine(model))
                pipe.send(_transcribe(engine, path, split))
            except DropscribeError as failure:
                pipe.send(failure)


@contextmanager
def _engine(model: str) -> Iterator[EngineChain]:
    """The model on the CPU, in fp32, so that a recording's words do not depend on what else is transcribed."""
    import torch

    # The model is tiny, and a laptop's other cores have the job's work to do.
    torch.set_num_threads(1)
    options = RecognizerOptions(BATCH_CHUNKS, cpu_audio_seconds=BATCH_CHUNKS * CUTS.max_seconds, precision="fp32")
    with open_engine(model, engine=Engine.PARAKEET_CPU, options=options) as engine:
        yield engine


def _transcribe(engine: EngineChain, path: Path, split: bool) -> TranscribedFile:
    media = inspected(path) if split else None
    options = PipelineOptions(cuts=CUTS, audit=None)
    channels = Channels.SPLIT if split else Channels.MIX
    transcript = transcribe(path, engine=engine, channels=channels, media=media, options=options)
    return TranscribedFile(transcript.words, media.channels if media else 1, transcript.duration)
