"""`dropscribe doctor`: the doctor's report, for a person or as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from infra.cli.errors import errors_in_one_line
from infra.cli.tables import printable
from infra.doctor.findings import Finding, Status
from infra.doctor.names import Names
from infra.doctor.report import Report, diagnose
from infra.doctor.settings import DoctorSettings

_STYLE = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red", Status.UNKNOWN: "magenta"}
_INDENT = 9


@errors_in_one_line
def print_report(names: Names, *, deployed: bool | None, as_json: bool) -> int:
    """Check and print. The exit status: 1 where anything fails."""
    console = Console(stderr=as_json)
    with console.status("Asking Google ..."):
        report = diagnose(names, DoctorSettings(), deployed=deployed)
    if as_json:
        sys.stdout.write(json.dumps(as_dict(report), indent=2) + "\n")
    else:
        print_findings(report, console)
    return 1 if report.failed else 0


def as_dict(report: Report) -> dict[str, object]:
    """The report as JSON has it."""
    return {
        "project": report.names.project,
        "region": report.names.region,
        "name": report.names.name,
        "deployed": report.deployed,
        "counts": _counts(report),
        "findings": [
            {"group": section.group, **asdict(finding)} for section in report.sections for finding in section.findings
        ],
    }


def _counts(report: Report) -> dict[str, int]:
    counts = Counter(finding.status for finding in report.findings())
    return {status.value: counts[status] for status in Status}


def print_findings(report: Report, console: Console) -> None:
    """Every line below its group's name, with what to do about it, and how many there are of each status."""
    for section in report.sections:
        console.print(Text(f"\n{section.group}", style="bold"))
        for finding in section.findings:
            _print_finding(finding, console)
    counts = ", ".join(f"{count} {status}" for status, count in _counts(report).items() if count)
    console.print(f"\n{counts}", markup=False, highlight=False)


def _print_finding(finding: Finding, console: Console) -> None:
    status = Text(f"{finding.status:<{_INDENT}}", style=_STYLE[finding.status])
    line = Text.assemble(status, (f"{printable(finding.subject)}: ", "bold"), printable(finding.says))
    console.print(line, soft_wrap=True)
    if finding.fix:
        # Unbroken, so that a command can be copied.
        console.print(Text(" " * _INDENT + f"-> {printable(finding.fix)}", style="dim"), soft_wrap=True)
