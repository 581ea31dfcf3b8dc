"""What the worker does with its engines' reports: bill the time, trace the batches, remember limits and failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, set_span_in_context

from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.samples import seconds
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.listener import EngineListener
from gpu_job.engines.task import Task
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.services import JobServices
from shared.costs.shard_plan import job_of_work
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.telemetry import tracing
from shared.telemetry.logs import log_telemetry_errors


class WorkerEngineListener(EngineListener):
    """One for all engines of a worker."""

    def __init__(self, services: JobServices, billing: Billing, record_costs: Callable[[str], None]) -> None:
        """`record_costs`: writes into a job's record what it may cost by now."""
        self._services = services
        self._billing = billing
        self._record_costs = record_costs
        self._spans: dict[Engine, BatchSpans] = {}

    def batch_started(self, engine: Engine) -> None:
        """From now on the instance's time is the batch's."""
        self._billing.batch_started(engine)
        self._spans.setdefault(engine, BatchSpans(engine)).batch_started()

    def batch_finished(self, engine: Engine, tasks: Sequence[Task]) -> None:
        """The time since it started goes to its jobs; a call to Deepgram takes none of the instance's."""
        if engine is Engine.DEEPGRAM:
            self._billing.call_finished()
            return
        self._billing.batch_finished(engine, tasks)
        with log_telemetry_errors():
            self._spans[engine].batch_finished(tasks)

    def call_started(self, engine: Engine, call: ApiCall) -> None:
        """Its job may have to pay for the call: the record says so before it is made."""
        self._billing.call_started(call)
        self._record_costs(call.job_id)

    def call_answered(self, engine: Engine, call: ApiCall) -> None:
        """Its job pays for the call."""
        self._billing.call_answered(call)

    def call_not_billed(self, engine: Engine, call: ApiCall) -> None:
        """Its job does not pay for the call."""
        self._billing.call_not_billed(call)

    def batch_limits_reduced(self, recognizer: Recognizer) -> None:
        """No later worker shall try so large a batch on this hardware."""
        self._services.store_batch_limits(recognizer)

    def engine_failed(self, engine: Engine, error: EngineFailed, job_ids: Sequence[str]) -> None:
        """Other instances learn through the circuit breaker that the GPU fails."""
        self._billing.engine_failed(engine)
        if engine is Engine.PARAKEET_GPU:
            # With chunks of several uploads nobody knows whose fault it was; the circuit does not know shards.
            uploads = {job_of_work(job_id) for job_id in job_ids}
            self._services.gpu.record_failure(error.kind, next(iter(uploads)) if len(uploads) == 1 else None)


class BatchSpans:
    """Of one engine, whose thread alone calls this: what a batch held is known when it has run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._began_ns = 0

    def batch_started(self) -> None:
        """A batch begins."""
        self._began_ns = time.time_ns()

    def batch_finished(self, tasks: Sequence[Task]) -> None:
        """It has run: in the trace of its upload where it was for one, in a trace of its own where for several."""
        spans = list({task.job_id: task.span for task in tasks}.values())
        known = [span for span in spans if span.get_span_context().is_valid]
        tracing.start_span(
            "batch",
            set_span_in_context(spans[0], Context()) if len(spans) == 1 else Context(),
            links=[Link(span.get_span_context()) for span in known],
            began_ns=self._began_ns,
            engine=self._engine.value,
            chunks=len(tasks),
            audio_seconds=seconds(sum(len(task.chunk.samples) for task in tasks)),
        ).end()
