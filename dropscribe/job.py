"""A job of a deployment, as its client sees it: followed, waited for, its transcript read, run again, erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.cloud.storage import Client

from dropscribe.erasure import DeploymentNames, erase_job
from dropscribe.errors import NoTranscript, UnknownJob
from dropscribe.result_files import fetch_results
from shared.costs.prices import price_book
from shared.enums import ResultFormat
from shared.errors import Rejected
from shared.messages import TerminalMessage
from shared.objects import bucket_and_name
from shared.operations.erasure_records import ErasureReceipt
from shared.operations.rerun import RerunRequest, begin_rerun, requested_model
from shared.options.parsing import parse_upload_options
from shared.options.subtitle_rules import SubtitleRules
from shared.progress.model import Progress
from shared.settings.deployment import DeploymentSettings
from shared.state.jobs.progress import read_progress
from shared.state.jobs.store import JobStore
from shared.transcript.model import Transcript

TRANSCRIPT = "transcript.json"
LOOK_SECONDS = 2.0
"""How often a job is looked at that is waited for: two small reads each time."""


class Job:
    """One job. Nothing is kept but its id: every call reads what stands in the deployment's state bucket."""

    def __init__(self, storage: Client, jobs: JobStore, job_id: str, names: DeploymentNames | None = None) -> None:
        """`names`: what `erase` has to reach."""
        self.id = job_id
        self._names = names
        self._storage = storage
        self._jobs = jobs

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def progress(self) -> Progress:
        """How far the newest run is. Raises UnknownJob, also for a moment after the upload, until its event arrived."""
        progress = read_progress(self._jobs, self.id)
        if progress is None:
            raise UnknownJob(f"There is no job {self.id} (yet).")
        return progress

    def outcome(self) -> TerminalMessage | None:
        """How the newest run ended, with its bill; None while it has not. Raises UnknownJob."""
        found = self._jobs.find(self.id)
        if found is None:
            raise UnknownJob(f"There is no job {self.id} (yet).")
        return self._jobs.outcome(self.id, found.record.run)

    def events(self, timeout: float | None = None) -> Events:
        """Its progress whenever it changed, to the end: `for event in job.events()`, or `async for`.

        Raises TimeoutError after `timeout` seconds without an end.
        """
        return Events(self, timeout)

    def wait(self, timeout: float | None = None) -> TerminalMessage:
        """Block until it has ended, however. `await asyncio.to_thread(job.wait)` does not block an event loop.

        Raises TimeoutError after `timeout` seconds.
        """
        for _ in self.events(timeout):
            pass
        outcome = self.outcome()
        # Somebody ran it again in this very moment.
        return outcome if outcome is not None else self.wait(timeout)

    def transcript(self, timeout: float | None = None) -> Transcript:
        """Its transcript, once it has ended. Raises NoTranscript where it has none, and TimeoutError."""
        return Transcript.model_validate_json(self.result(TRANSCRIPT, timeout))

    def result(self, file: str, timeout: float | None = None) -> bytes:
        """One file of its results, such as `transcript.srt`, once it has ended; where the deployment does not store
        that one (RESULT_FORMATS), it is made here. Raises as `transcript` does."""
        outcome = self.wait(timeout)
        uri = outcome.results.get(file)
        if uri is None and TRANSCRIPT in outcome.results and file in list(ResultFormat):
            return self._made_of_transcript(outcome, ResultFormat(file))
        if uri is None:
            raise NoTranscript(outcome.reason or f"The job has no {file}.", outcome)
        bucket, name = bucket_and_name(uri)
        try:
            return bytes(self._storage.bucket(bucket).blob(name).download_as_bytes())
        except NotFound:
            raise NoTranscript(f"{uri} was deleted.", outcome) from None

    def _made_of_transcript(self, outcome: TerminalMessage, file: ResultFormat) -> bytes:
        """A file that the deployment does not store, as it would have stored it."""
        from shared.transcript.render import rendered

        bucket, name = bucket_and_name(outcome.results[TRANSCRIPT])
        stored = self._storage.bucket(bucket).get_blob(name)
        if stored is None:
            raise NoTranscript(f"{outcome.results[TRANSCRIPT]} was deleted.", outcome)
        transcript = Transcript.model_validate_json(stored.download_as_bytes())
        requested = None
        with suppress(Rejected):  # somebody wrote other metadata: the rules are the language's
            requested = parse_upload_options(stored.metadata or {}).subtitles
        return rendered(transcript, file, SubtitleRules.of(transcript.language, requested))

    def results(self, folder: str | Path, timeout: float | None = None) -> list[Path]:
        """Copy all files of its results into `folder`, once it has ended; their paths. Raises as `transcript` does."""
        outcome = self.wait(timeout)
        try:
            paths = fetch_results(self._storage, outcome, Path(folder))
        except NotFound:
            raise NoTranscript("The results were deleted.", outcome) from None
        if TRANSCRIPT not in outcome.results:
            raise NoTranscript(outcome.reason or "The job has no transcript.", outcome)
        return paths

    def rerun(self, model: str | None = None, *, force: bool = False) -> Job:
        """Begin the next run of a job that has ended; `wait` then waits for that. The same job.

        `model`: `parakeet`, `deepgram`, or one of Deepgram's with a price. `force`: also what is completed.
        Raises RerunRefused.
        """
        requested = None
        if model is not None:
            default = str(DeploymentSettings.model_fields["deepgram_model"].default)
            requested = requested_model(model, default, price_book().deepgram_models)
        begin_rerun(self._storage, self._jobs, self.id, RerunRequest(requested, force=force))
        return self

    def erase(self) -> ErasureReceipt:
        """Erase it for good: upload, results, records, and names in the ledger; what was there, without names.

        Takes `roles/storage.objectUser` on all three buckets and `roles/pubsub.publisher` on the topic of results.
        Raises ErasureRefused where there is no such job, and ValueError where the results bucket was not named.
        """
        if self._names is None:
            raise ValueError("Which results bucket? Give a project, or results, or set RESULTS_BUCKET.")
        return erase_job(self._names, self.id)


class Events:
    """A job's progress whenever it changed. Iterated in a thread or in an event loop; each iteration begins anew."""

    def __init__(self, job: Job, timeout: float | None = None) -> None:
        self._job = job
        self._timeout = timeout

    def __iter__(self) -> Iterator[Progress]:
        watch = _Watch(self._job, self._timeout)
        while True:
            if (event := watch.look()) is not None:
                yield event
                if event.is_done:
                    return
            time.sleep(LOOK_SECONDS)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        watch = _Watch(self._job, self._timeout)
        while True:
            if (event := await asyncio.to_thread(watch.look)) is not None:
                yield event
                if event.is_done:
                    return
            await asyncio.sleep(LOOK_SECONDS)


class _Watch:
    """Whether something changed since the last look."""

    def __init__(self, job: Job, timeout: float | None) -> None:
        self._job = job
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._before: Progress | None = None

    def look(self) -> Progress | None:
        """None: nothing new. Raises TimeoutError."""
        try:
            found = self._job.progress()
        except UnknownJob:  # its event is on the way
            found = None
        if found is not None and not self._is_as_before(found):
            self._before = found
            return found
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError(f"job {self._job.id} has not ended within {self._timeout:g} s")
        return None

    def _is_as_before(self, found: Progress) -> bool:
        return self._before is not None and found.model_copy(update={"at": self._before.at}) == self._before
