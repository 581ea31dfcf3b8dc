"""`dropscribe run`: transcribes files in the laptop cloud, with progress, results and a table of costs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from rich.console import Console

from dropscribe.outcomes import outcomes
from dropscribe.result_files import fetch_results, results_folder
from dropscribe.uploads import UPLOAD_ERRORS, drop
from infra.cli.errors import CommandError, errors_in_one_line, reason_of
from infra.cli.exit_codes import ExitCode
from infra.cli.local.inputs import Inputs, Recording, Refused, inputs_of
from infra.cli.local.machine_speeds import MachineSpeeds
from infra.cli.local.models import chosen_model, model_for
from infra.cli.local.prediction import predicted
from infra.cli.local.report import Shown, exit_code_of, print_report
from infra.cli.local.session import Session, check_machine_and_settings, ended_by_signals, session
from infra.cli.local.speakers_beside import with_speakers_beside
from infra.cli.local.standard_input import standard_input
from infra.cli.local.temporary_files import check_room
from infra.cli.progress.time_left import Estimate
from infra.cli.progress.transcription import RunProgress
from infra.cli.tables import output_console, print_line
from infra.emulators.cloud import STATE, UPLOADS, CloudOptions
from shared.enums import Outcome
from shared.errors import Rejected
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.state.jobs.progress import current_progress
from shared.state.jobs.store import JobStore

IGNORE_NOTHING = {"IGNORE_PATTERNS": ","}
"""A file that was named on the command line is transcribed, whatever its name."""

RECORDS_PER_POLL = 20
"""Job records that are read in a second: where more files wait, the others' come next."""


@dataclass(frozen=True)
class RunOptions:
    """What `dropscribe run` was asked for, besides its files."""

    out: Path
    upload: UploadOptions
    model: str | None = None
    as_json: bool = False
    """One JSON message for each file on standard output, and nothing else there."""
    shown: Shown = field(default_factory=Shown)
    input_name: str | None = None
    """Of standard input."""


@errors_in_one_line
def run_files(arguments: Sequence[str], options: RunOptions) -> int:
    """Transcribe what `arguments` name (see `inputs_of`) into `options.out`/<file name>/. The exit status."""
    began = time.monotonic()
    check_machine_and_settings(CloudOptions(settings=IGNORE_NOTHING))
    _make_writable(options.out)
    with ended_by_signals(), standard_input(arguments, options.input_name) as path:
        inputs = inputs_of(arguments, options.out, path)
        run = _Run(inputs, options, began)
        if inputs.recordings:
            run.transcribe()
        return run.finish()


def _make_writable(out: Path) -> None:
    """Raises CommandError, or OSError."""
    if out.exists() and not out.is_dir():
        raise CommandError(f"{out} is a file, but has to be the folder of the results")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise CommandError(f"{out} cannot be written")


class _Run:
    """One run: what became of each file so far. Progress and problems go to standard error, the table to output."""

    def __init__(self, inputs: Inputs, options: RunOptions, began: float) -> None:
        self._inputs = inputs
        self._options = options
        self._began = began
        self._output = output_console()
        self._errors = Console(stderr=True)
        self._notes = Console(stderr=True, quiet=options.shown.only_errors)
        self._messages: dict[str, TerminalMessage] = {}
        """By the name of the object; each one's results are written."""
        self._refused: dict[str, str] = {}
        """By argument: why it is not transcribed."""
        self._unwritten: set[str] = set()
        for note in inputs.notes:
            print_line(self._notes, note)
        for item in inputs.items:
            if isinstance(item, Refused):
                self._refuse(item.argument, item.reason)

    def transcribe(self) -> None:
        """Transcribe every recording, and print the table. Ctrl-C keeps, and names, what is done."""
        recordings, out = self._inputs.recordings, self._options.out
        language = self._options.upload.language
        wanted = model_for(self._options.model, language)
        check_room([recording.path.stat().st_size for recording in recordings])
        speeds = MachineSpeeds(self._options.model or "")
        estimate = predicted([recording.path for recording in recordings], self._options.upload, speeds)
        print_line(self._notes, f"{estimate}.")
        try:
            with ExitStack() as stack:
                model = chosen_model(wanted, self._notes)
                # Whatever --model names is for this language.
                settings = {**IGNORE_NOTHING, **({} if language is None else {"LANGUAGE": str(language)})}
                with self._notes.status("starting the local servers"):
                    running = stack.enter_context(session(model, settings))
                servers_seconds = time.monotonic() - self._began
                progress = self._upload_and_wait(running, recordings, estimate, servers_seconds)
                if progress.startup_seconds is not None:
                    speeds.keep(servers_seconds + progress.startup_seconds, progress.x_real_time)
                self._report(running)
        except KeyboardInterrupt:
            done = len(self._messages)
            kept = f"; their results lie in {out}/<file name>/" if done else ""
            print_line(self._errors, f"Interrupted: {done} of {len(recordings)} files are done{kept}")
            raise

    def finish(self) -> ExitCode:
        """Print JSON where it was asked for. The exit status."""
        if self._options.as_json:
            sys.stdout.write("".join(f"{line}\n" for line in self._json_lines()))
            sys.stdout.flush()
        if self._unwritten:
            return ExitCode.ERROR
        return exit_code_of(self._messages.values(), any_refused=bool(self._refused))

    def _refuse(self, argument: str, reason: str) -> None:
        self._refused[argument] = reason
        print_line(self._errors, f"{argument}: rejected: {reason}")

    def _upload_and_wait(
        self, running: Session, recordings: Sequence[Recording], estimate: Estimate, elapsed: float
    ) -> RunProgress:
        names = [recording.name for recording in recordings]
        left = max(0.0, estimate.seconds - elapsed)
        progress = RunProgress(self._notes, names, audio_seconds=estimate.audio_seconds, predicted_seconds=left)
        with progress:
            jobs: dict[str, Upload] = {}
            for recording in recordings:
                progress.stage(recording.name, "being copied")
                if (upload := self._upload(running, recording)) is not None:
                    jobs[upload.job_id] = upload
            self._wait(running, jobs, progress)
        return progress

    def _upload(self, running: Session, recording: Recording) -> Upload | None:
        try:
            options = with_speakers_beside(self._options.upload, recording.path)
            upload = drop(running.storage.bucket(UPLOADS), recording.path, recording.name, options)
        except (Rejected, *UPLOAD_ERRORS) as error:
            self._refuse(recording.argument, reason_of(error))
            return None
        if recording.path.name != recording.name.rpartition("/")[2]:
            print_line(self._notes, f"{recording.argument}: its results lie in {recording.name}")
        return upload

    def _wait(self, running: Session, jobs: Mapping[str, Upload], progress: RunProgress) -> None:
        """Until every file has its outcome; its results are fetched at once, so that an interruption keeps them."""
        store = JobStore(running.storage.bucket(STATE))
        waiting = cycle(jobs)
        ended: set[str] = set()
        for message in outcomes(running.subscriber, running.subscription, jobs):
            if message is not None:
                ended.add(message.job_id)
                self._fetch(running, message)
                progress.finish(message)
                continue
            for job_id in islice(waiting, min(len(jobs), RECORDS_PER_POLL)):
                if job_id not in ended and (job := store.load(job_id)) is not None:
                    progress.update(current_progress(store, job.record))

    def _fetch(self, running: Session, message: TerminalMessage) -> None:
        name = message.upload.name
        self._messages[name] = message
        try:
            fetch_results(running.storage, message, results_folder(self._options.out, message))
        except OSError as error:
            self._unwritten.add(name)
            print_line(self._errors, f"{name}: its results cannot be written: {reason_of(error)}")

    def _report(self, running: Session) -> None:
        messages = self._in_order()
        if not self._options.as_json and messages:
            seconds = time.monotonic() - self._began
            print_report(messages, self._options.out, seconds, self._options.shown, self._output, self._errors)
        if any(message.outcome is not Outcome.COMPLETED for message in messages):
            running.keep_logs = True
            print_line(self._errors, f"Logs: {running.cloud.logs}")

    def _in_order(self) -> list[TerminalMessage]:
        names = [recording.name for recording in self._inputs.recordings]
        return [self._messages[name] for name in names if name in self._messages]

    def _json_lines(self) -> Iterator[str]:
        """In the order of the command line."""
        for item in self._inputs.items:
            if isinstance(item, Recording) and (message := self._messages.get(item.name)) is not None:
                yield message.model_dump_json(ensure_ascii=True)
            else:
                # Both in ASCII: a path need not be UTF-8, nor is standard output.
                reason = self._refused.get(item.argument)
                yield json.dumps({"file": item.argument, "outcome": Outcome.REJECTED.value, "reason": reason})
