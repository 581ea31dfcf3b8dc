"""`dropscribe run`: transcribes files in the laptop cloud, with progress, results and a table of costs."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePath

from rich.console import Console
from rich.text import Text

from infra.cli.errors import CommandError, errors_in_one_line, reason_of
from infra.cli.local.session import Session, session
from infra.cli.progress import Progress
from infra.cli.tables import bill_line, outcome_table, print_line, printable, quote_table, tracks_line
from infra.emulators.cloud import STATE, UPLOADS
from shared.client import UPLOAD_ERRORS, drop, fetch_results, open_file, outcomes
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage
from shared.object_names import object_name
from shared.state.jobs import JobStore
from shared.upload_options import UploadOptions

PREVIEW_CHARACTERS = 110

IGNORE_NOTHING = {"IGNORE_PATTERNS": ","}
"""A file that was named on the command line is transcribed, whatever its name."""


@errors_in_one_line
def run_files(files: Sequence[Path], out: Path, options: UploadOptions, model: str | None, *, as_json: bool) -> int:
    """Transcribe `files` into `out`/<file name>/. The exit status: 0 only when every file completed."""
    console = Console(stderr=as_json)
    began = time.monotonic()
    _make_writable(out)
    paths = dict(zip(unique_names(files), files, strict=True))
    # What --json prints, by object name, in the order of the command line.
    lines = dict.fromkeys(paths, "")

    def reject(name: str, why: str) -> None:
        print_line(console, f"{paths[name]}: rejected: {why}")
        # In ASCII: the path need not be UTF-8.
        lines[name] = json.dumps({"file": str(paths[name]), "outcome": Outcome.REJECTED.value, "reason": why})

    for name, path in paths.items():
        if (why := _problem(path, name, out)) is not None:
            reject(name, why)
    if all(lines.values()):
        _print_json(lines.values() if as_json else ())
        return 1
    with session(model, IGNORE_NOTHING) as running:
        jobs = {}
        for name, path in paths.items():
            if lines[name]:
                continue
            try:
                upload = drop(running.storage.bucket(UPLOADS), path, name, options)
            except UPLOAD_ERRORS as error:
                reject(name, reason_of(error))
                continue
            jobs[upload.job_id] = upload
            if name != path.name:
                print_line(console, f"{path}: uploaded as {name}")
        messages = _wait_for_outcomes(running, jobs, console)
        written = [_fetch(running, message, out, console) for message in messages]
        lines |= {message.upload.name: message.model_dump_json() for message in messages}
        completed = all(message.outcome is Outcome.COMPLETED for message in messages)
        if not completed:
            running.keep_logs = True
        if as_json:
            _print_json(lines.values())
        elif messages:
            _report(messages, out, time.monotonic() - began, console)
            if not completed:
                print_line(console, f"Logs: {running.cloud.logs}")
    return 0 if completed and all(written) and len(messages) == len(files) else 1


def _print_json(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _make_writable(out: Path) -> None:
    """Raises CommandError, or OSError."""
    if out.exists() and not out.is_dir():
        raise CommandError(f"{out} is a file, but has to be the folder of the results")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise CommandError(f"{out} cannot be written")


def _problem(path: Path, name: str, out: Path) -> str | None:
    """Why a file cannot be uploaded or its results not be written, before anything is started; None where they can."""
    try:
        open_file(path).close()
        return path_conflict(name, out)
    except OSError as error:
        return reason_of(error)


def _fetch(running: Session, message: TerminalMessage, out: Path, console: Console) -> bool:
    try:
        fetch_results(running.storage, message, out / message.upload.name)
    except OSError as error:
        print_line(console, f"{message.upload.name}: its results cannot be written: {reason_of(error)}")
        return False
    return True


def _report(messages: Sequence[TerminalMessage], out: Path, seconds: float, console: Console) -> None:
    console.print(outcome_table(messages))
    console.print(bill_line(messages, seconds))
    decisions = [(message.upload.name, message.decision) for message in messages if message.decision]
    for name, decision in decisions:
        reason = f"{decision.method} ({decision.rule}): {decision.reason}"
        console.print(_named(name, reason), soft_wrap=True)
    for message in messages:
        if (tracks := tracks_line(message.tracks)) is not None:
            console.print(_named(message.upload.name, tracks), soft_wrap=True)
    console.print(quote_table(decisions))
    for message in messages:
        text = message.reason or preview(out / message.upload.name) or "(no words)"
        console.print(_named(message.upload.name, text), soft_wrap=True)
    print_line(console, f"Results: {out}/<file name>/")


def _named(name: str, text: str) -> Text:
    return Text.assemble((f"{printable(name)}: ", "bold"), printable(text))


def preview(folder: Path) -> str:
    """The beginning of the transcript in `folder`."""
    path = folder / "transcript.txt"
    return textwrap.shorten(path.read_text(), PREVIEW_CHARACTERS, placeholder=" ...") if path.exists() else ""


def unique_names(files: Sequence[Path]) -> list[str]:
    """Object names for the files: their own, numbered where two are the same, or `object_name`'s."""
    names: list[str] = []
    for path in files:
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in count(2))
        candidates = (object_name(PurePath(name)) for name in chain([path.name], numbered))
        names.append(next(name for name in candidates if name not in names))
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
