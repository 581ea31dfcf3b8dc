"""`dropscribe costs` on a ledger in a bucket: table, JSON and CSV say the same."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from shared.enums import Method
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState
from tests.support.loopback_cloud import STATE, LoopbackCloud


@pytest.fixture
def _ledger(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_BUCKET", STATE)
    for number, (usd, method) in enumerate([(0.25, Method.PARAKEET), (0.5, Method.DEEPGRAM), (0.25, Method.PARAKEET)]):
        figures = {"audio_seconds": 3600, "deepgram_usd": 0.5, "folder": "calls", "method": method}
        entry = Entry(id=f"{number:x}", state=EntryState.BILLED, day=date(2026, 10, 3 + number), usd=usd, **figures)
        Ledger(cloud.storage.bucket(STATE)).book(entry)


def costs(*options: str) -> str:
    done = CliRunner().invoke(app, ["costs", "--month", "2026-10", *options])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.usefixtures("_ledger")
def test_three_forms_of_one_report() -> None:
    report = json.loads(costs("--json", "--by", "method"))
    assert (report["totals"]["usd"], report["totals"]["usd_per_audio_hour"]) == (
        1.0,
        pytest.approx(1 / 3),
    )
    assert report["totals"]["saving_share"] == pytest.approx(1 / 3)
    assert report["forecast_usd"] == 1.0
    rows = {row["group"]: row for row in csv.DictReader(costs("--csv", "--by", "method").splitlines())}
    assert {key: float(row["usd"]) for key, row in rows.items()} == {"parakeet": 0.5, "deepgram": 0.5}
    assert {key: one["usd"] for key, one in report["groups"].items()} == {"parakeet": 0.5, "deepgram": 0.5}
    table = costs()
    assert "2026-10: $1.00 for 03:00:00 of audio" in table
    assert "saved 33.3%" in table


@pytest.mark.usefixtures("_ledger")
def test_ungrouped_csv_is_the_month() -> None:
    (row,) = csv.DictReader(costs("--csv").splitlines())
    assert (row["group"], row["uploads"]) == ("2026-10", "3")


@pytest.mark.usefixtures("_ledger")
@pytest.mark.parametrize("options", [("--json", "--csv"), ("--month", "October"), ("--by", "engine")])
def test_what_makes_no_sense_is_refused(options: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["costs", *options]).exit_code == 2


@pytest.mark.usefixtures("_ledger")
def test_the_report_has_the_same_sums_and_is_written_where_it_is_asked(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "--month", "2026-10", "--json"])
    assert done.exit_code == 0, done.output
    report, printed = json.loads(done.stdout), json.loads(costs("--json", "--by", "day"))
    assert report["totals"] == printed["totals"]
    assert report["days"] == printed["groups"]
    assert report["budget"]["forecast_usd"] == printed["forecast_usd"]
    out = tmp_path / "october.html"
    done = CliRunner().invoke(app, ["report", "--month", "2026-10", "--out", str(out), "--budget", "5"])
    assert done.exit_code == 0, done.output
    assert "<h1>Transcription costs 2026-10</h1>" in out.read_text()
    assert "$5.00" in out.read_text()
