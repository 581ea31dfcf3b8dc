"""One chunk for an engine: the audio, and where its result goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from opentelemetry.trace import INVALID_SPAN, Span

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult, chunk_result
from gpu_job.audio.chunker import Chunk
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.options.model import NOTHING_ASKED, UploadOptions
from shared.telemetry import tracing


@dataclass(frozen=True)
class Task:
    """A chunk to be transcribed by the first engine of a chain that can."""

    job_id: str
    chunk: Chunk
    deliver: Callable[[ChunkResult], None]
    """Takes the result, on a thread of the engine's."""
    channel: int = 0
    stays_local: bool = False
    """Whether it may not be sent to an API: the upload is private, or may not cost so much."""
    asked: UploadOptions = NOTHING_ASKED
    """What the upload's owner wants, for engines that can do it."""
    model: SpeechModel | None = None
    """What local engines hear it with; None: with their own model."""
    failures: Mapping[Engine, EngineFailed] = field(default_factory=dict)
    """The engines that were tried, and why each failed."""
    urgent: bool = False
    """Whether a job that is otherwise done waits for it: it goes first."""
    any_engine: bool = False
    """Whether engines are asked for it that otherwise only do what others failed on, which a deployment may forbid: a
    second opinion."""
    span: Span = INVALID_SPAN
    """The job's trace span. The job may have been released by the time its batch is traced."""
    is_cancelled: Callable[[], bool] = lambda: False
    """Whether nobody wants its result any more: no engine begins it then, and none delivers anything."""
    leave_open: Callable[[EngineFailed], None] = lambda error: None
    """Called instead of `deliver`, on any thread, where only an engine of another process may still do it."""

    def complete(self, engine: Engine, tokens: Iterable[Token]) -> None:
        """Deliver an engine's tokens, in seconds from the chunk's start."""
        result = chunk_result(self.chunk, engine, tokens, self.channel)
        with self.log_context():
            self.deliver(replace(result, is_fallback=bool(self.failures)))

    def fail(self, engine: Engine) -> None:
        """Deliver why no engine could transcribe it; `engine` was the last one tried."""
        reason = " ".join(dict.fromkeys(failure.reason for failure in self.failures.values()))
        with self.log_context():
            self.deliver(ChunkResult(self.chunk.start, self.chunk.end, engine, failure=reason, channel=self.channel))

    def after(self, engine: Engine, error: EngineFailed) -> Task:
        """The same task, once this engine has failed on it."""
        return replace(self, failures={**self.failures, engine: error})

    def log_context(self) -> AbstractContextManager[None]:
        """What is logged and traced inside belongs to the job."""
        return tracing.job_span_context(self.job_id, self.span)
