"""`dropscribe run`: transcribes files in the laptop cloud, with progress, results and a table of costs."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

from rich.console import Console
from rich.text import Text

from infra.cli.progress import Progress
from infra.cli.session import Session, session
from infra.cli.tables import bill_line, outcome_table, quote_table
from infra.emulators.cloud import STATE, UPLOADS
from shared.client import drop, fetch_results, outcomes
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.state.jobs import JobStore
from shared.upload_options import UploadOptions

PREVIEW_CHARACTERS = 110

IGNORE_NOTHING = {"IGNORE_PATTERNS": ","}
"""A file that was named on the command line is transcribed, whatever its name."""


def run_files(files: Sequence[Path], out: Path, options: UploadOptions, model: str | None, *, as_json: bool) -> int:
    """Transcribe `files` into `out`/<file name>/. The exit status: 0 only when every file completed."""
    console = Console(stderr=as_json)
    began = time.monotonic()
    names = unique_names(files)
    if conflicts := [why for name in names if (why := path_conflict(name, out)) is not None]:
        console.print("\n".join(conflicts), markup=False, highlight=False)
        return 2
    with session(model, IGNORE_NOTHING) as running:
        bucket = running.storage.bucket(UPLOADS)
        uploads = [drop(bucket, path, name, options) for path, name in zip(files, names, strict=True)]
        jobs = {upload.job_id: upload for upload in uploads}
        messages = _wait_for_outcomes(running, jobs, console)
        for message in messages:
            fetch_results(running.storage, message, out / message.upload.name)
            if as_json:
                sys.stdout.write(message.model_dump_json() + "\n")
                sys.stdout.flush()
        completed = all(message.outcome is Outcome.COMPLETED for message in messages)
        if not completed:
            running.keep_logs = True
        if not as_json:
            _report(messages, out, time.monotonic() - began, console)
            if not completed:
                console.print(f"Logs: {running.cloud.logs}", highlight=False)
    return 0 if completed else 1


def _report(messages: Sequence[TerminalMessage], out: Path, seconds: float, console: Console) -> None:
    console.print(outcome_table(messages))
    console.print(bill_line(messages, seconds))
    decisions = [(message.upload.name, message.decision) for message in messages if message.decision]
    for name, decision in decisions:
        reason = f"{decision.method} ({decision.rule}): {decision.reason}"
        console.print(Text.assemble((f"{name}: ", "bold"), reason), soft_wrap=True)
    console.print(quote_table(decisions))
    for message in messages:
        text = message.reason or preview(out / message.upload.name) or "(no words)"
        console.print(Text.assemble((f"{message.upload.name}: ", "bold"), text), soft_wrap=True)
    console.print(f"Results: {out}/<file name>/", highlight=False)


def preview(folder: Path) -> str:
    """The beginning of the transcript in `folder`."""
    path = folder / "transcript.txt"
    return textwrap.shorten(path.read_text(), PREVIEW_CHARACTERS, placeholder=" ...") if path.exists() else ""


def unique_names(files: Sequence[Path]) -> list[str]:
    """Object names for the files: their own, numbered where two are the same."""
    names: list[str] = []
    for path in files:
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in count(2))
        names.append(next(name for name in chain([path.name], numbered) if name not in names))
    return names


def path_conflict(name: str, out: Path) -> str | None:
    """Why this file's results cannot be written, before anything is started; None where they can."""
    if (out / name).exists() and not (out / name).is_dir():
        return f"{out / name} is a file, but has to be the folder of the results"
    return None


def _wait_for_outcomes(running: Session, jobs: Mapping[str, Upload], console: Console) -> list[TerminalMessage]:
    """Every file's terminal message, in the order of the command line."""
    store = JobStore(running.storage.bucket(STATE))
    ended: dict[str, TerminalMessage] = {}
    with Progress(console, [upload.name for upload in jobs.values()]) as progress:
        for message in outcomes(running.subscriber, running.subscription, jobs):
            if message is not None:
                ended[message.job_id] = message
                progress.finish(message)
                continue
            for job_id, upload in jobs.items():
                if job_id not in ended and (job := store.load(job_id)) is not None:
                    progress.update(upload.name, job.record)
    return [ended[job_id] for job_id in jobs]
