"""What makes no sense, is not there or is not allowed ends a command in a sentence; names do not steer a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from infra.cli.cost_options import GroupBy
from infra.cli.cost_report import cost_report
from infra.cli.costs import as_csv
from infra.cli.main import app
from infra.cli.tables import print_line, printable, quote_table
from infra.recordings import recording
from infra.rehearse.google_apis import GoogleApis, GoogleState
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.quote import Limit, Quote, Refusal
from shared.enums import Method
from shared.messages import Decision
from shared.state.ledger_entry import Entry, EntryState
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud

NOBODY = "f" * 24


def run_command(*arguments: str, **environment: str) -> Result:
    done = CliRunner(env=environment).invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def sentence(*arguments: str, **environment: str) -> str:
    """What a command that refuses says: one line, and nothing on the standard output."""
    done = run_command(*arguments, **environment)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("estimate", "gs://missing-bucket/x"), "gs://missing-bucket: The specified bucket does not exist."),
        (("estimate", "gs://missing-bucket/x", "--json"), "does not exist"),
        (("estimate", "gs://"), "'' is not a valid bucket name."),
        (("estimate", "gs://UPPER case/x"), "'UPPER case' is not a valid bucket name."),
        (("explain", NOBODY, "--bucket", ""), "'' is not a valid bucket name."),
        (("explain", "gs://A/x", "--bucket", STATE), "'A' is not a valid bucket name."),
        (("costs", "--bucket", "missing-bucket"), "gs://missing-bucket: The specified bucket does not exist."),
        (("costs", "--bucket", "missing-bucket", "--json"), "does not exist"),
        (("costs", "--bucket", "a/b"), "'a/b' is not a valid bucket name."),
    ],
)
def test_buckets_that_are_not_there_are_told_in_a_line(
    cloud: LoopbackCloud, arguments: tuple[str, ...], says: str
) -> None:
    assert says in sentence(*arguments)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("gs://b/x#0", "'b' is not a valid bucket name."),
        ("gs:///x#1", "'' is not a valid bucket name."),
        ("gs://uploads/x#0", "its generation is not valid"),
        ("gs://uploads/" + "x" * 1025 + "#1", "its name is not valid"),
        ("gs://uploads/x#" + "9" * 30, "has no job"),
        ("gs://missing-bucket/x", "does not exist any more"),
        ("gs://uploads/a\x00b\nc", r"gs://uploads/a\x00b\nc cannot be an upload: its name is not valid"),
        (NOBODY, "has no job"),
    ],
)
def test_uploads_that_cannot_be_are_told_in_a_line(cloud: LoopbackCloud, job: str, says: str) -> None:
    done = run_command("explain", job, "--bucket", STATE)
    assert done.exit_code == 1
    assert says in done.output
    assert done.output.count("\n") == 1


def test_a_record_that_is_none_is_told_in_a_line(cloud: LoopbackCloud) -> None:
    cloud.storage.bucket(STATE).blob(f"jobs/{NOBODY}/record.json").upload_from_string(b"garbage")
    assert "JobRecord cannot be read" in sentence("explain", NOBODY, "--bucket", STATE)


@pytest.mark.parametrize("arguments", [("estimate", f"gs://{UPLOADS}/"), ("costs", "--bucket", STATE)])
def test_who_is_not_allowed_is_told_so(arguments: tuple[str, ...], closed: str) -> None:
    assert sentence(*arguments, STORAGE_EMULATOR_HOST=closed).endswith(": not for you")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PRICE_BOOK": "/nowhere.toml"}, "/nowhere.toml: No such file or directory"),
        ({"LONG_FILE_THRESHOLD_HOURS": "x"}, "LONG_FILE_THRESHOLD_HOURS: Input should be a valid number"),
        ({"DEEPGRAM_MODEL": "nova-99"}, "the price book has no [deepgram_minute_opted_out] line for 'nova-99'"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told_in_a_line(
    recorded: Path, environment: dict[str, str], says: str
) -> None:
    assert says in sentence("estimate", str(recorded), **environment)


@pytest.mark.parametrize("command", [("run", "a.mp3"), ("up", ".")])
def test_a_bad_setting_of_function_or_job_ends_a_local_command_before_anything_is_started(
    command: tuple[str, ...],
) -> None:
    assert sentence(*command, MODEL_PRECISION="fp64").startswith("MODEL_PRECISION: Input should be 'auto', 'bf16',")


@pytest.mark.parametrize("command", [("run", "a.mp3"), ("up", ".")])
def test_where_no_servers_can_be_started_the_way_on_is_named(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert "use them in WSL" in sentence(*command)


@pytest.mark.parametrize("bad", ["abc", "0"])
def test_the_doctors_own_settings_are_told_in_a_line(bad: str) -> None:
    assert "DOCTOR_TIMEOUT_SECONDS" in sentence("doctor", "--project", "a-project", DOCTOR_TIMEOUT_SECONDS=bad)


def test_an_empty_prefix_has_no_recordings(cloud: LoopbackCloud) -> None:
    assert run_command("estimate", f"gs://{UPLOADS}/none/").output == f"No recordings in gs://{UPLOADS}/none/.\n"
    done = run_command("estimate", f"gs://{UPLOADS}/none/", "--json")
    assert (done.exit_code, json.loads(done.stdout)["files"]) == (1, [])


@pytest.mark.parametrize("name", [b"empty.mp3", b"\x1b[31mred.mp3", b"\xff\xfe.mp3", b"line\nbreak.mp3"])
def test_files_of_0_bytes_and_odd_names_are_rejected_one_by_one(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - pathlib takes no bytes
    Path(os.fsdecode(path)).touch()
    done = run_command("estimate", os.fsdecode(path))
    assert done.exit_code == 1
    assert "The file is empty." in done.output
    assert "\x1b" not in done.output
    assert json.loads(run_command("estimate", os.fsdecode(path), "--json").stdout)["files"][0]["rejected"]


def test_a_path_longer_than_an_objects_name_is_only_a_path(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*("d" * 200 for _ in range(6)))
    folder.mkdir(parents=True)
    (folder / "a.mp3").touch()
    assert "The file is empty." in run_command("estimate", str(folder / "a.mp3")).output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "It cannot be read: Permission denied." in run_command("estimate", str(path)).output


def test_names_in_buckets_do_not_steer_the_terminal(cloud: LoopbackCloud) -> None:
    cloud.drop(b"", "calls/\x1b]0;owned\x07.mp3")
    output = run_command("estimate", f"gs://{UPLOADS}/").output
    assert "\x1b" not in output
    assert r"calls/\x1b]0;owned\x07.mp3" in output


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Gespräch 1.mp3", "Gespräch 1.mp3"), ("会議.mp3", "会議.mp3"), ("a\u202eb", r"a\u202eb"), ("a\r\n", r"a\r\n")],
)
def test_only_what_is_no_character_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_texts_from_outside_do_not_steer_the_terminal() -> None:
    evil = "\x1b[2J\u202egpj[bold]\r\n"
    quote = Quote(
        method=Method.DEEPGRAM, bill=Bill(), completion_seconds=1.0, refusals=(Refusal(limit=Limit.ENGINE, why=evil),)
    )
    decision = Decision(method=Method.DEEPGRAM, rule="r", reason=evil, quotes=(quote,))
    console = Console(record=True, width=1000, file=io.StringIO())
    console.print(quote_table([(evil, decision)]))
    print_line(console, evil + "\udcff")
    printed = console.export_text()
    assert not {"\x1b", "\u202e", "\udcff", "\r"} & set(printed)
    assert printed.count(r"\x1b[2J\u202egpj[bold]\r\n") == 3


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\u200b="])
def test_no_folder_is_a_formula_to_a_spreadsheet(rows_of: Callable[[str], list[dict[str, str]]], start: str) -> None:
    folder = f'{start}HYPERLINK("http://x","y")'
    (row,) = rows_of(folder)
    assert row["group"] == f"'{folder}/"
    assert float(row["usd"]) == 0.25
    assert float(row["saving_usd"]) == -0.25


@pytest.mark.parametrize("folder", ["calls", 'with "quotes", commas', "line\nbreak", "carriage\rreturn", "not = first"])
def test_every_other_folder_is_itself_in_csv(rows_of: Callable[[str], list[dict[str, str]]], folder: str) -> None:
    (row,) = rows_of(folder)
    assert row["group"] == f"{folder}/"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording, and an environment that names no deployment."""
    monkeypatch.delenv("GPU_JOB", raising=False)
    return recording("memo").path


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Cloud Storage that lets nobody in."""
    monkeypatch.delenv("GPU_JOB", raising=False)
    apis = GoogleApis(GoogleState())
    apis.refuse("storage/v1/b", 403, "not for you")
    with apis:
        yield apis.url


@pytest.fixture
def rows_of() -> Callable[[str], list[dict[str, str]]]:
    """The rows of a ledger with one folder, as a CSV reader has them."""

    def rows(folder: str) -> list[dict[str, str]]:
        entry = Entry(id="0", state=EntryState.BILLED, day=date(2026, 10, 3), usd=0.25, audio_seconds=60, folder=folder)
        text = as_csv(cost_report([entry], "2026-10", now(), GroupBy.PREFIX))
        return list(csv.DictReader(io.StringIO(text, newline="")))

    return rows
