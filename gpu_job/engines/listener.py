"""What engines report while they work."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_job.asr.recognizer import Recognizer
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.task import Task
from shared.enums import Engine
from shared.errors import EngineFailed


class EngineListener:
    """Called on the engines' own threads, so it must be quick. Override what is of interest; the rest does nothing."""

    def batch_started(self, engine: Engine) -> None:
        """The model begins to run a batch."""

    def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
        """A batch, or an API call, with these tasks is over; the results may still be on their way."""

    def call_started(self, engine: Engine, call: ApiCall) -> None:
        """Audio is about to be sent to an API, which from now on may bill it, whatever becomes of the call."""

    def call_answered(self, engine: Engine, call: ApiCall) -> None:
        """A call that started has its answer: the API bills it. One without an answer may be billed."""

    def call_not_billed(self, engine: Engine, call: ApiCall) -> None:
        """A call that started failed before the API can have done the work."""

    def batch_limits_reduced(self, recognizer: Recognizer) -> None:
        """A batch did not fit into memory; `recognizer.batch_limits` are smaller now."""

    def engine_failed(self, engine: Engine, error: EngineFailed, job_ids: Sequence[str]) -> None:
        """An engine will transcribe nothing more. `job_ids`: whose chunks it had."""
