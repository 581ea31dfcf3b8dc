"""What `dropscribe run` says in the end, and its exit status."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from infra.cli.errors import errors_in_one_line
from infra.cli.exit_codes import MEANINGS, ExitCode
from infra.cli.local.report import Shown, exit_code_of, print_report
from infra.cli.main import app
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.quote import Quote
from shared.enums import Engine, Method, Outcome
from shared.errors import EngineFailed, FailureKind
from shared.media import Media, Upload
from shared.messages import CoverageSummary, Decision, Saving, TerminalMessage, event_id
from shared.transcript.model import Gap, TranscriptWarning, WarningCode

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 28, tzinfo=UTC)
MEDIA = Media(
    container="wav", codec="pcm_s16le", duration_seconds=600.0, sample_rate_hz=16000, channels=1, size_bytes=19_200_044
)
BILL = Bill(items=(LineItem(kind=LineItemKind.CPU, resource="cpu", quantity=60.0, unit="vCPU-s", usd_per_unit=0.0001),))


def ended(name: str, outcome: Outcome = Outcome.COMPLETED, **more: object) -> TerminalMessage:
    """Ten minutes that took a minute of work and cost $0.006."""
    upload = Upload(bucket="uploads", name=name, generation=1)
    given = {
        "event_id": event_id(upload.job_id),
        "job_id": upload.job_id,
        "upload": upload,
        "outcome": outcome,
        "received_at": AT,
        "finished_at": AT,
    }
    transcript = {
        "media": MEDIA,
        "engines": (Engine.PARAKEET_CPU,),
        "word_count": 1410,
        "bill": BILL,
        "saving": Saving(deepgram_model="nova-3", deepgram_usd=0.04, bill_usd=BILL.usd),
        "work_seconds": 60.0,
    }
    has_transcript = outcome in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS)
    return TerminalMessage.model_validate({**given, **(transcript if has_transcript else {}), **more})


def coverage(*gaps: Gap, audited: bool = True) -> CoverageSummary:
    seconds = sum(gap.end - gap.start for gap in gaps)
    return CoverageSummary(
        speech_seconds=500.0,
        covered_seconds=500.0 - seconds,
        gaps=gaps,
        gap_count=len(gaps),
        gap_seconds=seconds,
        audited=audited,
    )


def report(*messages: TerminalMessage, out: Path = Path("out"), **shown: bool) -> tuple[list[str], list[str]]:
    """The lines on standard output, and those on standard error."""
    output, errors = (Console(file=io.StringIO(), width=200) for _ in range(2))
    print_report(messages, out, 75.0, Shown(**shown), output, errors)
    texts: list[str] = []
    for console in (output, errors):
        assert isinstance(console.file, io.StringIO)
        texts.append(console.file.getvalue())
    return [line.rstrip() for line in texts[0].splitlines()], texts[1].splitlines()


GAPS = coverage(Gap(start=61.5, end=64.5, reason="Damaged."), Gap(start=120.0, end=124.0, reason="Damaged."))
DECIDED = Decision(
    method=Method.PARAKEET,
    rule="requested",
    reason="Parakeet was asked for.",
    quotes=(Quote(method=Method.PARAKEET, bill=BILL, completion_seconds=70.0),),
)


def test_a_run_ends_in_one_table_with_totals_and_the_place_of_the_results() -> None:
    lines, errors = report(ended("a.wav", decision=DECIDED), ended("b.wav"))
    assert [line.split() for line in lines] == [
        ["x", "real"],
        ["file", "outcome", "length", "words", "engine", "time", "cost", "saving"],
        ["a.wav", "completed", "10:00", "1,410", "parakeet-cpu", "10", "$0.0060", "85%"],
        ["b.wav", "completed", "10:00", "1,410", "parakeet-cpu", "10", "$0.0060", "85%"],
        ["2", "files", "in", "1", "min", "20:00", "2,820", "16", "$0.0120", "85%"],
        ["Results:", "out/<file", "name>/"],
    ]
    assert errors == []


def test_one_file_has_no_totals() -> None:
    assert len(report(ended("a.wav"))[0]) == 4


def test_a_warning_is_one_short_line_and_a_problem_says_why() -> None:
    unsure = TranscriptWarning(code=WarningCode.LOW_CONFIDENCE, message="The engine was not sure of its words.")
    lines, errors = report(
        ended("gaps.wav", Outcome.COMPLETED_WITH_GAPS, coverage=GAPS, reason="No words for 2 stretches ..."),
        ended("unsure.wav", warnings=(unsure,), coverage=coverage()),
        ended("unchecked.wav", coverage=coverage(audited=False)),
        ended("text.wav", Outcome.REJECTED, reason="It looks like text."),
        ended("broken\n[red].wav".replace("\n", "\x1b"), Outcome.FAILED, reason="No engine is left."),
    )
    assert errors == [
        "text.wav: rejected: It looks like text.",
        "broken\\x1b[red].wav: failed: No engine is left.",
        "gaps.wav: 2 gaps, 7.0 s without words, the first at 00:01:01 to 00:01:05",
        "unsure.wav: The engine was not sure of its words.",
        "unchecked.wav: nothing checked whether words are missing",
    ]
    assert "completed with gaps" in lines[2]
    assert "completed, low confidence" in lines[3]
    assert not any("\x1b" in line for line in lines)


def test_reasons_and_quotes_are_printed_on_request() -> None:
    plain, _ = report(ended("a.wav", decision=DECIDED))
    explained, _ = report(ended("a.wav", decision=DECIDED), decisions=True)
    assert "Parakeet was asked for." not in "\n".join(plain)
    assert "a.wav: parakeet (requested): Parakeet was asked for." in explained
    assert "70.0 s" in "\n".join(explained)


def test_previews_are_printed_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / "a.wav"
    folder.mkdir(parents=True)
    (folder / "transcript.txt").write_text(f"Ünsere [bold]Worte\x07 {'und mehr ' * 50}", encoding="utf-8")
    lines, _ = report(ended("calls/a.wav"), ended("b.wav"), out=tmp_path, previews=True)
    assert any(re.fullmatch(r"calls/a\.wav: Ünsere \[bold\]Worte\\x07 und .{20,90} \.\.\.", line) for line in lines)
    assert "b.wav: (no words)" in lines


def test_quiet_leaves_only_what_went_wrong() -> None:
    failed = ended("b.wav", Outcome.FAILED, reason="No engine is left.")
    gaps = ended("gaps.wav", Outcome.COMPLETED_WITH_GAPS, coverage=GAPS)
    assert report(ended("a.wav"), gaps, failed, only_errors=True) == ([], ["b.wav: failed: No engine is left."])


@pytest.mark.parametrize(
    ("outcomes", "refused", "code"),
    [
        ({Outcome.COMPLETED: None}, False, ExitCode.COMPLETED),
        ({Outcome.COMPLETED: None, Outcome.COMPLETED_WITH_GAPS: None}, False, ExitCode.GAPS),
        ({Outcome.COMPLETED_WITH_GAPS: None, Outcome.REJECTED: None}, False, ExitCode.REJECTED),
        ({Outcome.COMPLETED: None}, True, ExitCode.REJECTED),
        ({}, True, ExitCode.REJECTED),
        ({Outcome.FAILED: FailureKind.OUT_OF_MEMORY, Outcome.REJECTED: None}, True, ExitCode.FAILED),
        ({Outcome.FAILED: FailureKind.MODEL_LOAD, Outcome.REJECTED: None}, True, ExitCode.NO_MODEL),
    ],
)
def test_the_exit_status_is_that_of_the_worst_file(
    outcomes: Mapping[Outcome, FailureKind | None], refused: bool, code: ExitCode
) -> None:
    messages = [
        ended(f"{number}.wav", outcome, failure_kind=kind) for number, (outcome, kind) in enumerate(outcomes.items())
    ]
    assert exit_code_of(messages, any_refused=refused) == code


def test_a_model_that_cannot_be_had_has_a_status_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    @errors_in_one_line
    def run(kind: FailureKind) -> int:
        raise EngineFailed("The model is not on this machine.", kind)

    assert run(FailureKind.MODEL_LOAD) == ExitCode.NO_MODEL
    assert run(FailureKind.INTERNAL) == ExitCode.ERROR
    assert capsys.readouterr().err == 2 * "The model is not on this machine.\n"


def test_help_and_documentation_have_every_exit_status() -> None:
    shown = CliRunner().invoke(app, ["run", "--help"]).output
    documented = (ROOT / "docs" / "command-line.md").read_text()
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^\s*{code.value}  {re.escape(meaning)}\s*$", shown, re.MULTILINE)
        assert f"| {code.value} | {meaning} |" in documented
