"""What `dropscribe run` prints in the end: one table, a line for each warning, and where the results lie."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dropscribe.result_files import results_folder
from infra.cli.exit_codes import OUTCOME_CODES, ExitCode, worst
from infra.cli.tables import outcome_table, print_line, printable, quote_table, tracks_line
from shared.enums import Engine, Outcome
from shared.errors import FailureKind, shortened
from shared.messages import TerminalMessage
from shared.transcript.timestamps import clock_range

PREVIEW_CHARACTERS = 110
WARNING_CHARACTERS = 200


@dataclass(frozen=True)
class Shown:
    """What is printed besides the table."""

    decisions: bool = False
    """Why each file was routed as it was, and every method's quote."""
    previews: bool = False
    """The beginning of each transcript."""
    only_errors: bool = False


def exit_code_of(messages: Collection[TerminalMessage], *, any_refused: bool = False) -> ExitCode:
    """The exit status of files that ended so; `any_refused`: whether others could not even be uploaded."""
    codes = {_code_of(message) for message in messages}
    return worst(codes | {ExitCode.REJECTED} if any_refused else codes)


def _code_of(message: TerminalMessage) -> ExitCode:
    if message.outcome is Outcome.FAILED and message.failure_kind is FailureKind.MODEL_LOAD:
        return ExitCode.NO_MODEL
    return OUTCOME_CODES[message.outcome]


def problem_of(message: TerminalMessage) -> str | None:
    """Why there is no transcript; None where there is one."""
    if message.outcome in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS):
        return None
    return f"{message.upload.name}: {message.outcome.value}: {message.reason or 'no reason is known'}"


def warnings_of(message: TerminalMessage) -> Iterator[str]:
    """What its reader has to know of a transcript, in one short line each."""
    coverage = message.coverage
    if coverage is not None and coverage.gap_count and problem_of(message) is None:
        count = "1 gap" if coverage.gap_count == 1 else f"{coverage.gap_count:,} gaps"
        first = f", the first at {clock_range(coverage.gaps[0].start, coverage.gaps[0].end)}" if coverage.gaps else ""
        yield f"{message.upload.name}: {count}, {coverage.gap_seconds:.1f} s without words{first}"
    for warning in message.warnings:
        yield f"{message.upload.name}: {shortened(warning.message, WARNING_CHARACTERS)}"
    # Deepgram's words are never checked; that is said in transcript.json.
    if coverage is not None and not coverage.audited and set(message.engines) - {Engine.DEEPGRAM}:
        yield f"{message.upload.name}: nothing checked whether words are missing"
    if (tracks := tracks_line(message.tracks)) is not None:
        yield f"{message.upload.name}: {tracks}"


def print_report(
    messages: Sequence[TerminalMessage], out: Path, seconds: float, shown: Shown, console: Console, errors: Console
) -> None:
    """`seconds`: wall time of all. Problems and warnings go to `errors`, the rest to `console`."""
    if not shown.only_errors:
        console.print(outcome_table(messages, seconds))
    for message in messages:
        if (problem := problem_of(message)) is not None:
            print_line(errors, problem)
    if shown.only_errors:
        return
    for message in messages:
        for warning in warnings_of(message):
            print_line(errors, warning)
    if shown.decisions:
        _print_decisions(messages, console)
    if shown.previews:
        for message in messages:
            text = preview(results_folder(out, message)) or "(no words)"
            console.print(_named(message.upload.name, text), soft_wrap=True)
    print_line(console, f"Results: {out}/<file name>/")


def _print_decisions(messages: Sequence[TerminalMessage], console: Console) -> None:
    decisions = [(message.upload.name, message.decision) for message in messages if message.decision]
    for name, decision in decisions:
        console.print(_named(name, f"{decision.label} ({decision.rule}): {decision.reason}"), soft_wrap=True)
    if decisions:
        console.print(quote_table(decisions))


def _named(name: str, text: str) -> Text:
    return Text.assemble((f"{printable(name)}: ", "bold"), printable(text))


def preview(folder: Path) -> str:
    """The beginning of the transcript in `folder`."""
    path = folder / "transcript.txt"
    if not path.exists():
        return ""
    return textwrap.shorten(path.read_text(encoding="utf-8"), PREVIEW_CHARACTERS, placeholder=" ...")
