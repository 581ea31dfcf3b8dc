"""`dropscribe costs`: a month's ledger as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.advice import Advice, advice
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.cost_options import GroupBy, OutputFormat
from infra.cli.cost_report import CostReport, Totals, cost_report
from infra.cli.errors import errors_in_one_line
from infra.cli.tables import plain_table, printable
from shared.clock import now
from shared.state.ledger import Ledger
from shared.state.ledger_entry import month_of
from shared.transcript.csv_files import spreadsheet_cell
from shared.transcript.timestamps import clock

_RATIOS = ("usd_per_audio_hour", "saving_usd", "saving_share", "start_up_share", "fallback_rate")


@errors_in_one_line
def print_costs(bucket: str, month: str | None, by: GroupBy | None, output: OutputFormat) -> int:
    """Print the costs of a month (this one) from the ledger in `bucket`. The exit status."""
    at = now()
    month = month or month_of(at)
    entries = list(Ledger(bucket_named(storage_client(), bucket)).entries(month))
    costs, suggestions = cost_report(entries, month, at, by), advice(entries)
    match output:
        case OutputFormat.TABLE:
            _print(costs, suggestions)
        case OutputFormat.JSON:
            print(as_json(costs, suggestions))
        case OutputFormat.CSV:
            print(as_csv(costs), end="")
    return 0


def as_json(costs: CostReport, suggestions: Sequence[Advice]) -> str:
    """The whole report as one JSON object."""
    return json.dumps(
        {
            "month": costs.month,
            "totals": figures(costs.totals),
            "methods": all_figures(costs.methods),
            "forecast_usd": costs.forecast_usd,
            "groups": all_figures(costs.groups),
            "advice": [asdict(one) for one in suggestions],
        },
        indent=2,
    )


def as_csv(costs: CostReport) -> str:
    """One row a group, or one for the month where nothing is grouped. No cell is a formula, whatever folders' names."""
    rows = costs.groups or {costs.month: costs.totals}
    out = io.StringIO()
    # All that is no number is quoted: left alone, csv would quote a line feed in a name, but not a carriage return.
    columns = ["group", *figures(costs.totals)]
    writer = csv.DictWriter(out, columns, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({"group": spreadsheet_cell(key), **figures(totals)} for key, totals in rows.items())
    return out.getvalue()


def all_figures(groups: Mapping[str, Totals]) -> dict[str, dict[str, float | None]]:
    """Of each group."""
    return {key: figures(totals) for key, totals in groups.items()}


def figures(totals: Totals) -> dict[str, float | None]:
    """The sums and their ratios by name."""
    return {**asdict(totals), **{name: getattr(totals, name) for name in _RATIOS}}


def _print(costs: CostReport, suggestions: Sequence[Advice]) -> None:
    console = Console(highlight=False)
    totals = costs.totals
    console.print(f"[bold]{costs.month}[/bold]: {money(totals.usd)} for {clock(totals.audio_seconds)} of audio")
    console.print(f"an audio hour    {money(totals.usd_per_audio_hour)}")
    console.print(f"at Deepgram      {money(totals.deepgram_usd)}, saved {percent(totals.saving_share)}")
    console.print(f"start-up         {percent(totals.start_up_share)} of the bill")
    console.print(f"possibly billed  {money(totals.possibly_usd)} by Deepgram, for calls without an answer")
    console.print(f"fallbacks        {percent(totals.fallback_rate)} of {totals.uploads} uploads")
    console.print(f"reserved         {money(totals.reserved_usd)} for uploads that are not done")
    console.print(f"forecast         {money(costs.forecast_usd)} for the whole month")
    console.print(_table("method", costs.methods))
    if costs.groups:
        console.print(_table("group", costs.groups))
    for one in suggestions:
        console.print(f"- {one.action} Saves {money(one.saving_usd)}.")


def _table(title: str, groups: Mapping[str, Totals]) -> Table:
    numbers = ("uploads", "audio", "cost", "an hour", "Deepgram", "saved", "fallbacks")
    table = plain_table(title, *numbers, right=numbers)
    for key, totals in groups.items():
        table.add_row(
            Text(printable(key)),
            str(totals.uploads),
            clock(totals.audio_seconds),
            money(totals.usd),
            money(totals.usd_per_audio_hour),
            money(totals.deepgram_usd),
            percent(totals.saving_share),
            percent(totals.fallback_rate),
        )
    return table


def money(usd: float | None) -> str:
    """`$0.0123` below a dollar, `$12.30` above, `-$0.0002` below nothing; `-` for None."""
    if usd is None:
        return "-"
    return f"{'-' if usd < 0 else ''}${abs(usd):.{4 if abs(usd) < 1 else 2}f}"


def percent(share: float | None) -> str:
    """`33.3%`; `-` for None."""
    return "-" if share is None else f"{share:.1%}"
