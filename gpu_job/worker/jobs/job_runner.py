"""Running jobs: each is fed on a thread of its own and ends on one, however that is; shards that were the last of their
upload have it assembled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from gpu_job.audio.decoder_process.child import DecoderKilled
from gpu_job.redaction.of_upload import FetchedAgain, redacted_result
from gpu_job.redaction.redacted_recording import CONTENT_TYPE, FILE_NAME, Hearing
from gpu_job.transcription.setup import Pipeline
from gpu_job.worker.admission import Admissions
from gpu_job.worker.attempt_end import AttemptEnd, result_of
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.jobs.claimed_job import ClaimedJob, attempt_span
from gpu_job.worker.jobs.feed import feed
from gpu_job.worker.jobs.running_job import JobOwner, RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.jobs.stored_opinions import opinion_limits
from gpu_job.worker.jobs.voices_of_job import kept_voices_for, store_voices
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import Received
from shared.costs.shard_plan import Shard
from shared.errors import BadMedia, EngineFailed, Rejected, UploadNotReadable
from shared.messages import WorkItem
from shared.state.faults import is_infrastructure_fault, reason_of
from shared.state.job_result import JobResult, failed, rejected
from shared.telemetry import tracing

_log = logging.getLogger(__name__)


class JobRunner(JobOwner):
    """Takes claimed jobs from `start` to their end."""

    def __init__(
        self,
        services: JobServices,
        pipeline: Pipeline,
        jobs: RunningJobs,
        admissions: Admissions,
        billing: Billing,
        attempt_end: AttemptEnd,
        stopping: threading.Event,
    ) -> None:
        """`stopping`: set where the worker gives its jobs back."""
        self.to_assemble: SimpleQueue[Received] = SimpleQueue()
        """Items of jobs whose last shard was done here."""
        self._services = services
        self._settings = services.settings
        self._pipeline = pipeline
        self._jobs = jobs
        self._admissions = admissions
        self._billing = billing
        self._attempt_end = attempt_end
        self._stopping = stopping
        self._threads = ThreadPoolExecutor(self._settings.uploads_in_flight + 2, thread_name_prefix="upload")

    def start(self, claimed: ClaimedJob, received: Received) -> None:
        """Begin the job of an item. The item is acknowledged when the job has ended."""
        span = attempt_span(claimed, received.traceparent, self._services.task.execution)
        job = RunningJob(claimed, self._pipeline, self, span, opinion_limits(self._services))
        job.ack_ids.extend([received.ack_id] if received.ack_id else [])
        self._billing.open(job)
        self._jobs.add(job)
        self._threads.submit(self._feed, job)

    def close(self) -> None:
        """Wait for what the threads do, and begin nothing more of it."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _feed(self, job: RunningJob) -> None:
        """On a thread of the job's own."""
        with job.log_context():
            try:
                settings = self._settings
                self._admissions.check(job.media)
                feed(
                    job,
                    self._services.storage,
                    settings.fetch_timeout_seconds,
                    settings.max_unpacked_bytes,
                    self._admissions.folder,
                )
                self._jobs.fed(job)
                pace = job.transcription.decode_pace
                self._billing.record_decoding(pace.audio_seconds, pace.wall_seconds)
            except (BadMedia, Rejected) as error:
                self._finish_with(job, rejected(error))
            except UploadNotReadable as error:
                self._finish_with(job, failed(error))
            except DecoderKilled as error:
                self._attempt_end.give_back(job, error.reason, is_suspected=True)
            except EngineFailed as error:
                # A stopped engine refuses chunks: then this job is handed over, not failed.
                if self._pipeline.engines.failure is not None or self._stopping.is_set():
                    return
                if self._pipeline.engines.process_failure is not None:
                    self._attempt_end.give_back(job, error.reason)
                else:
                    self._finish_with(job, failed(error))
            except Exception as error:
                _log.exception("feeding failed")
                why = f"Reading the file failed ({reason_of(error)})."
                self._attempt_end.give_back(job, why, is_fault=is_infrastructure_fault(error))

    def _finish_with(self, job: RunningJob, result: JobResult) -> None:
        """A job ends. Of a shard's whole upload nothing is said: whoever assembles it finds the same."""
        if job.shard is None:
            self._attempt_end.finish_job(job, result)
        else:
            self._finish_shard(job, job.shard)

    def _record_speakers(self, job: RunningJob) -> None:
        if (spent := job.speakers_seconds) > 0:
            self._billing.record_speakers(job.audio_seconds, spent)

    def _finish_shard(self, job: RunningJob, shard: Shard) -> None:
        def assemble(ack_ids: Sequence[str]) -> None:
            item = WorkItem(job_id=job.job_id, upload=job.upload, media=job.media, decision=job.decision)
            for ack_id in ack_ids or (None,):
                self.to_assemble.put(Received(item, ack_id))

        self._attempt_end.finish_shard(job, shard, assemble)

    def job_complete(self, job: RunningJob) -> None:
        """Assemble and end it, on a thread that may take its time."""
        self._later(self._end, job)

    def job_broke(self, job: RunningJob, error: Exception) -> None:
        """Give it back, on a thread that may take its time."""
        if isinstance(error, EngineFailed):
            self._later(self._attempt_end.give_back, job, error.reason)
            return
        with job.log_context():
            _log.error("a result could not be taken", exc_info=error)
        self._later(self._attempt_end.give_back, job, f"A result could not be taken ({type(error).__name__}: {error}).")

    def claim_lost(self, job: RunningJob) -> None:
        """Account for it, on a thread that may take its time."""
        self._later(self._attempt_end.abandon, job)

    def _later(self, call: Callable[..., None], job: RunningJob, *more: str) -> None:
        try:
            self._threads.submit(call, job, *more)
        except RuntimeError:
            # The worker ends: its jobs were handed over.
            with job.log_context():
                _log.info("job already handed over")

    def _end(self, job: RunningJob) -> None:
        if job.is_ended:
            return
        with job.log_context():
            if not job.begin_assembling_once():
                return
            if job.shard is not None:
                self._record_speakers(job)
                self._finish_shard(job, job.shard)
                return
            try:
                with tracing.span("assemble"):
                    result = result_of(job, kept_voices_for(self._services, job))
                    store_voices(self._services, job, result)
                    self._record_speakers(job)
                if job.record.options.redaction.is_asked:
                    with tracing.span("redact"):
                        result = self._redacted(job, result)
            except EngineFailed as error:
                # While it listened to the redacted recording. A worker that ends hands its jobs over.
                if self._pipeline.engines.failure is None and not self._stopping.is_set():
                    self._attempt_end.give_back(job, error.reason)
                return
            except Exception as error:
                # Nobody looks at this thread's result: a job that cannot be ended would be kept alive for ever.
                _log.exception("assembling failed")
                why = f"Assembling the transcript failed ({reason_of(error)})."
                self._attempt_end.give_back(job, why, is_fault=is_infrastructure_fault(error))
                return
            self._attempt_end.finish_job(job, result)

    def _redacted(self, job: RunningJob, result: JobResult) -> JobResult:
        settings = self._settings
        fetched = FetchedAgain(
            self._services.storage,
            job.upload,
            job.media,
            self._admissions.folder,
            settings.fetch_timeout_seconds,
            settings.max_unpacked_bytes,
        )
        local = not job.may_use_deepgram
        hearing = Hearing(
            self._pipeline,
            job.id,
            stays_local=local,
            model=job.transcription.speech_model,
            cancelled=job.cancelled,
            on_progress=job.redaction_advanced,
        )

        def store(path: Path) -> None:
            self._services.finisher.store_recording(job.record, FILE_NAME, path, CONTENT_TYPE)

        return redacted_result(
            result,
            job.record.options,
            fetched,
            hearing,
            store,
            margin_seconds=settings.redact_margin_seconds,
            keeps_unredacted=settings.unredacted_bucket is not None,
        )
