"""The Deepgram room: Deepgram as one of the job's engines, asked for chunks or ranges of them, several at a time."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gpu_job.assembly import part
from gpu_job.audio import SAMPLE_RATE, Samples
from gpu_job.engine_chain import EngineChain
from gpu_job.ranges import pieces_of, recording_of, returned
from gpu_job.tokens import tokens_of
from gpu_job.waiting_room import Task
from shared.deepgram import Deepgram
from shared.failures import EngineFailed, FailureKind
from shared.vocabulary import Engine

CALLS_AT_ONCE = 4
"""Deepgram allows 100 and more; one job's chunks need no more to keep up."""

MAX_WAITING = 32
"""Calls whose decoders need not wait; 60 MB of chunks of 30 s."""

HOPELESS = frozenset({FailureKind.CREDENTIALS, FailureKind.QUOTA})
"""What the next chunk would meet as well."""


class DeepgramRoom:
    """Chunks go in from any thread; parts come out on the calling threads."""

    engine = Engine.DEEPGRAM
    takes_private = False

    def __init__(
        self,
        connect: Callable[[], Deepgram],
        model: str,
        language: str,
        on_delivered: Callable[[Sequence[Task]], None],
    ) -> None:
        self.model = f"deepgram {model}"
        self.failure: EngineFailed | None = None
        self._connect = connect
        self._language = language
        self._on_delivered = on_delivered
        self._calls = 0
        """Made or waiting to be made."""
        self._ended: set[str] = set()
        """Jobs whose chunks nobody needs any more."""
        self._changed = threading.Condition()
        self._deepgram: Deepgram | None = None
        self._chain: EngineChain | None = None
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="deepgram")

    def start(self, chain: EngineChain) -> None:
        """Connect; nothing is sent yet."""
        self._chain = chain
        try:
            self._deepgram = self._connect()
        except EngineFailed as error:
            self.failure = error

    def stop(self) -> None:
        """Make no more calls. Running ones may still deliver."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def has_place(self) -> bool:
        """Whether another call could be made at once."""
        with self._changed:
            return self.failure is None and self._calls < CALLS_AT_ONCE

    def submit(self, task: Task, *, wait: bool) -> None:
        """Hand in a chunk; `wait`: block while too many wait. Raises EngineFailed where Deepgram cannot be asked."""
        self._submit([task], wait)

    def submit_range(self, tasks: Sequence[Task]) -> None:
        """Hand in chunks in a row, for one call. Where Deepgram cannot be asked, its neighbours in the chain are."""
        try:
            self._submit(tasks, wait=False)
        except EngineFailed as error:
            self._return(tasks, error)

    def _submit(self, tasks: Sequence[Task], wait: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not wait or self.failure or self._calls < MAX_WAITING)
            if self.failure is not None:
                raise self.failure
            try:
                self._threads.submit(self._transcribe, tasks)
            except RuntimeError:
                raise EngineFailed("The engine was stopped.") from None
            self._calls += 1

    def drop(self, job_id: str) -> None:
        """Forget the waiting chunks of a job that ended: their calls are not made any more."""
        with self._changed:
            self._ended.add(job_id)

    def feeding(self, change: int) -> None:
        """Calls never wait for more chunks."""

    def _transcribe(self, tasks: Sequence[Task]) -> None:
        try:
            if self.failure is not None:
                self._return(tasks, self.failure)
            elif tasks[0].job_id not in self._ended:
                self._ask(tasks)
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()
        self._on_delivered(tasks)

    def _ask(self, tasks: Sequence[Task]) -> None:
        assert self._deepgram is not None  # submit refuses otherwise
        pieces = pieces_of([task.chunk for task in tasks])
        try:
            heard = self._deepgram.transcribe(as_wav(recording_of(pieces)), self._language)
        except EngineFailed as error:
            if error.kind in HOPELESS:
                self.failure = self.failure or error
            self._return(tasks, error)
            return
        answers = returned(tokens_of(heard.passage.words), pieces)
        for task, tokens in zip(tasks, answers, strict=True):
            task.deliver(part(task.chunk, self.engine, tokens, task.channel))

    def _return(self, tasks: Sequence[Task], error: EngineFailed) -> None:
        assert self._chain is not None  # set at the start
        for task in tasks:
            self._chain.failed(self, task, error)


def as_wav(samples: Samples) -> bytes:
    """Samples -> a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return file.getvalue()
