"""One file's chunks as tasks for the engines: submitted, checked when they come back, failed where they were lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry.trace import Span

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audit.runner import DeliverTokens
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.task import Task
from gpu_job.engines.unanswered import UnansweredTasks
from gpu_job.transcription.listener import TranscriptionListener
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.options.model import UploadOptions

_OTHER_RANGE = "The engine's result was for another range of the audio."


@dataclass(frozen=True)
class TaskOptions:
    """What all tasks of one file have in common."""

    stays_local: bool
    """Whether no audio may be sent to an API."""
    asked: UploadOptions
    span: Span
    is_cancelled: Callable[[], bool]
    model: SpeechModel | None = None
    """What local engines hear it with at first; None: with their own model."""


class ChunkTasks:
    """Used from any thread. What goes wrong with a result is the file's trouble, not the engine's: the listener's."""

    def __init__(
        self,
        engines: EngineChain,
        job_id: str,
        listener: TranscriptionListener,
        deliver: Callable[[Chunk, ChunkResult], None],
        options: TaskOptions,
    ) -> None:
        """`deliver`: called on the engines' threads, once for each chunk."""
        self._engines = engines
        self._job_id = job_id
        self._listener = listener
        self._deliver = deliver
        self._options = options
        self._unanswered = UnansweredTasks(engines, job_id)
        self.model = options.model
        """What local engines hear the file with; to be changed before its chunks are submitted."""

    def submit(self, channel: int, chunk: Chunk, digest: str | None) -> None:
        """Have a chunk transcribed; blocks while the queue is full. `digest`: what its result is to carry of its
        samples. Raises EngineFailed where no engine can take it."""

        def transcribed(result: ChunkResult) -> None:
            if (result.channel, result.start, result.end) != (channel, chunk.start, chunk.end):
                result = ChunkResult(chunk.start, chunk.end, result.engine, failure=_OTHER_RANGE, channel=channel)
            result = result if digest is None else replace(result, audio=digest)
            self._guarded(partial(self._deliver, chunk, result))

        self._unanswered.submit(self._task(channel, chunk, transcribed))

    def submit_window(self, channel: int, window: Chunk, deliver: DeliverTokens) -> None:
        """Have a window of the audit transcribed again, before others. Blocks while the queue is full.

        Raises EngineFailed where another attempt may do it."""

        def transcribed(result: ChunkResult) -> None:
            self._guarded(partial(deliver, result.tokens))

        try:
            self._unanswered.submit(replace(self._task(channel, window, transcribed), urgent=True))
        except EngineFailed as error:
            if not self._engines.is_available:
                raise
            if self._engines.process_failure is not None:
                self._listener.broke(error)
                return
            # Only the engines that may have this file's audio are gone: no other attempt is coming.
            deliver(())

    def submit_again(
        self, channel: int, audio: Chunk, model: SpeechModel | None, deliver: Callable[[ChunkResult], None]
    ) -> None:
        """Have a stretch heard once more on this machine, by a model of a local engine, before others. Blocks while the
        queue is full. Where it fails, that is the result. Raises EngineFailed where no engine can take it."""

        def guarded(result: ChunkResult) -> None:
            self._guarded(partial(deliver, result))

        def failed(error: EngineFailed) -> None:
            engine = self._engines.engine
            guarded(ChunkResult(audio.start, audio.end, engine, failure=error.reason, channel=channel))

        own = self._task(channel, audio, guarded)
        self._unanswered.submit(replace(own, model=model, stays_local=True, urgent=True, leave_open=failed))

    def submit_elsewhere(self, recording: Chunk, deliver: Callable[[ChunkResult], None]) -> None:
        """Have a recording heard by an engine that is not of this machine. Raises EngineFailed where there is none."""
        heard = EngineFailed("It heard the recording already.")
        local: dict[Engine, EngineFailed] = {one: heard for one in Engine if one is not Engine.DEEPGRAM}

        def guarded(result: ChunkResult) -> None:
            self._guarded(partial(deliver, result))

        def failed(error: EngineFailed) -> None:
            end = recording.end
            guarded(ChunkResult(recording.start, end, self._engines.engine, failure=error.reason))

        own = self._task(0, recording, guarded)
        task = replace(own, failures=local, leave_open=failed, urgent=True, any_engine=True)
        self._unanswered.submit(task)

    def fail_lost(self) -> None:
        """To be called now and then: chunks that no engine has any more fail."""
        if not self._options.is_cancelled():
            self._unanswered.fail_lost()

    def _guarded(self, deliver: Callable[[], None]) -> None:
        try:
            deliver()
        except Exception as error:
            self._listener.broke(error)

    def _task(self, channel: int, chunk: Chunk, deliver: Callable[[ChunkResult], None]) -> Task:
        options = self._options
        return Task(
            self._job_id,
            chunk,
            deliver,
            channel,
            options.stays_local,
            options.asked,
            self.model,
            span=options.span,
            is_cancelled=options.is_cancelled,
            leave_open=self._listener.broke,
        )
