"""`dropscribe report`: reads a month's ledger and outcomes, writes a page or JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.costs import all_figures, figures
from infra.cli.errors import errors_in_one_line
from infra.cli.report.data import ReportData, report_data
from infra.cli.report.known_jobs import KnownJobs
from infra.cli.tables import print_line
from shared.clock import now
from shared.state.ledger import Ledger
from shared.state.ledger_entry import month_of

_MANY = 500
"""Jobs from which on reading them takes long enough to be announced."""


@errors_in_one_line
def write_report(bucket: str, month: str | None, out: Path | None, budget_usd: float | None, *, as_json: bool) -> int:
    """Write the report of a month (this one) to `out`, or as JSON to standard output. The exit status."""
    at = now()
    month = month or month_of(at)
    state = bucket_named(storage_client(), bucket)
    console = Console(stderr=True)
    entries = list(Ledger(state).entries(month))
    if len(entries) >= _MANY:
        print_line(console, f"Reading the outcomes of {len(entries)} jobs.")
    data = report_data(entries, KnownJobs(state).of(entries), month, at, budget_usd=budget_usd)
    if as_json:
        sys.stdout.write(json.dumps(as_dict(data), indent=2) + "\n")
        return 0
    from infra.cli.report.page import report_page

    path = out or Path(f"dropscribe-{month}.html")
    path.write_text(report_page(data), "utf-8")
    print_line(console, f"Written to {path}.")
    return 0


def as_dict(data: ReportData) -> dict[str, object]:
    """The report as JSON has it: what `dropscribe costs --json` has by the same names, and more."""
    return {
        **asdict(data),
        "as_of": data.as_of.isoformat(),
        "totals": figures(data.totals),
        "days": all_figures(data.days),
        "methods": all_figures(data.methods),
        "folders": all_figures(data.folders),
        "speeds": {key: {**asdict(one), "x_real_time": one.x_real_time} for key, one in data.speeds.items()},
        "coverage": {**asdict(data.coverage), "share": data.coverage.share},
        "budget": {**asdict(data.budget), "reached_on": data.budget.reached_on and data.budget.reached_on.isoformat()},
    }
