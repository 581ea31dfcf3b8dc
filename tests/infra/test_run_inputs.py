"""What `dropscribe run` takes: files, folders, patterns, standard input; and one clear line for everything else."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.errors import CommandError
from infra.cli.exit_codes import ExitCode
from infra.cli.local.inputs import RECORDING_SUFFIXES, Recording, Refused, inputs_of
from infra.cli.local.standard_input import file_name, spool
from infra.cli.main import app

ROOT = Path(__file__).parents[2]
WAV = b"RIFF\x24\0\0\0WAVEfmt "


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def files(folder: Path, *names: str, content: bytes = WAV) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def names(*arguments: str | Path, out: Path = Path("no-such-folder")) -> list[str]:
    return [recording.name for recording in inputs_of([str(one) for one in arguments], out).recordings]


def refusals(*arguments: str | Path) -> dict[str, str]:
    found = inputs_of([str(one) for one in arguments], Path("no-such-folder"))
    return {item.argument: item.reason for item in found.items if isinstance(item, Refused)}


def test_a_folder_stands_for_all_recordings_below_it(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    files(calls, "b.mp3", "a.WAV", "deep/er/c.opus", "no-suffix", ".hidden.wav", ".trash/d.wav", "half.wav.part")
    files(calls, "notes.txt", "table.csv", content=b"a,b")
    files(calls, "damaged.flac", content=b"")
    found = inputs_of([str(calls)], tmp_path / "transcripts")
    expected = ["a.WAV", "b.mp3", "damaged.flac", "deep/er/c.opus", "no-suffix"]
    assert [recording.name for recording in found.recordings] == [f"calls/{name}" for name in expected]
    assert [str(skipped) for skipped in found.skipped] == [
        f"{calls}: skipped 3 files that are no recordings and 2 hidden"
    ]


def test_results_of_an_earlier_run_are_no_inputs(tmp_path: Path) -> None:
    files(tmp_path, "a.wav", "transcripts/b.wav/old.wav")
    with working_in(tmp_path):
        assert names(".", out=Path("transcripts")) == [f"{tmp_path.name}/a.wav"]


def test_files_of_one_name_in_several_folders_have_results_of_their_own(tmp_path: Path) -> None:
    files(tmp_path, "jan/a.wav", "feb/a.wav", "feb/old/a.wav", "a.wav", "old/jan/a.wav")
    with working_in(tmp_path):
        found = names("a.wav", "jan/a.wav", "feb", "jan", "old/jan")
    assert found == ["a.wav", "a-2.wav", "feb/a.wav", "feb/old/a.wav", "jan/a.wav"]


def test_a_file_that_is_named_twice_is_transcribed_once(tmp_path: Path) -> None:
    files(tmp_path, "calls/a.wav", "calls/b.wav")
    with working_in(tmp_path):
        found = inputs_of(["calls/b.wav", "calls", "./calls/../calls/b.wav", "calls/*.wav"], Path("out"))
    assert [recording.name for recording in found.recordings] == ["b.wav", "calls/a.wav"]
    assert found.repeated == 4


def test_patterns_that_the_shell_left_are_expanded_and_a_file_of_that_name_goes_first(tmp_path: Path) -> None:
    files(tmp_path, "a.wav", "b.wav", ".c.wav", "deep/er/d.wav", "[x].wav", "x.wav", "notes.txt")
    with working_in(tmp_path):
        assert names("?.wav") == ["a.wav", "b.wav", "x.wav"]
        assert names("**/*.wav") == ["[x].wav", "a.wav", "b.wav", "d.wav", "x.wav"]
        assert names("[x].wav") == ["[x].wav"]
        assert names(tmp_path / "[ab].wav") == ["a.wav", "b.wav"]
        # As with the shell's own patterns: what is named is tried.
        assert names("n*") == ["notes.txt"]
        assert refusals("*.mp3") == {"*.mp3": "No such file or directory"}


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("https://x.org/a.mp3?id=1&b=2", "curl -fsSL 'https://x.org/a.mp3?id=1&b=2' | dropscribe run - --name a.mp3"),
        ("HTTP://x.org/", "curl -fsSL HTTP://x.org/ | dropscribe run - --name x.org"),
        ("gs://b/c d.mp3", "gcloud storage cat 'gs://b/c d.mp3' | dropscribe run - --name 'c d.mp3'"),
        ("s3://b/$(x).wav", "aws s3 cp 's3://b/$(x).wav' - | dropscribe run - --name '$(x).wav'"),
    ],
)
def test_an_address_is_not_followed_but_answered_with_a_command(address: str, command: str) -> None:
    assert refusals(address) == {address: f"Addresses are not fetched; try: {command}"}


def test_other_addresses_are_refused_too() -> None:
    assert refusals("ftp://x.org/a.mp3") == {"ftp://x.org/a.mp3": "It is an address, not a file on this machine"}


def test_what_cannot_be_taken_is_a_line_each(tmp_path: Path) -> None:
    files(tmp_path, "out/taken", "calls/taken/a.wav")
    (tmp_path / "empty").mkdir()
    long = "x" * 300 + ".wav"
    with working_in(tmp_path):
        found = inputs_of(["gone.mp3", "empty", "calls/taken", long, "esc\x1b[31m.wav", "[bold]x.wav"], Path("out"))
    assert {item.argument: item.reason for item in found.items if isinstance(item, Refused)} == {
        "gone.mp3": "No such file or directory",
        "empty": "There is no recording in this folder",
        "calls/taken/a.wav": "out/taken is a file, but has to be the folder of the results",
        long: "File name too long",
        "esc\x1b[31m.wav": "No such file or directory",
        "[bold]x.wav": "No such file or directory",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_a_line(tmp_path: Path) -> None:
    files(tmp_path, "calls/a.wav")
    (tmp_path / "calls").chmod(0)
    assert refusals(tmp_path / "calls") == {str(tmp_path / "calls"): "Permission denied"}


def test_every_suffix_of_the_formats_page_is_a_recordings() -> None:
    rows = [line for line in (ROOT / "docs" / "formats.md").read_text().splitlines() if line.startswith("| ")]
    listed = {word.strip("`") for row in rows for word in row.split("|")[2].replace(",", " ").split()}
    assert {suffix for suffix in listed if suffix.startswith(".")} - RECORDING_SUFFIXES == set()


def test_hostile_names_are_printed_as_they_are_and_as_one_line_each(tmp_path: Path) -> None:
    named = ["[bold]x[/bold].mp3", "a\nb.mp3", "\x1b]0;title\x07.mp3", "x" * 5000]
    done = CliRunner().invoke(app, ["run", *named, "--out", str(tmp_path)])
    assert done.exit_code == ExitCode.REJECTED
    assert done.output.splitlines() == [
        "[bold]x[/bold].mp3: rejected: No such file or directory",
        "a\\nb.mp3: rejected: No such file or directory",
        "\\x1b]0;title\\x07.mp3: rejected: No such file or directory",
        f"{'x' * 5000}: rejected: File name too long",
    ]


# Standard input.


def test_standard_input_takes_the_name_that_it_is_given(tmp_path: Path) -> None:
    files(tmp_path, "spool/call.wav", "call.wav")
    found = inputs_of([str(tmp_path / "call.wav"), "-"], tmp_path / "out", tmp_path / "spool" / "call.wav")
    assert found.items[1] == Recording("-", tmp_path / "spool" / "call.wav", "call-2.wav")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "standard-input"),
        ("", "standard-input"),
        ("call.wav", "call.wav"),
        ("../../etc/passwd", "passwd"),
        ("/a/b.wav", "b.wav"),
        ("..", "standard-input"),
        ("/", "standard-input"),
    ],
)
def test_a_name_leads_nowhere(given: str | None, name: str) -> None:
    assert file_name(given) == name


def test_what_is_piped_in_is_written_whole_up_to_a_limit(tmp_path: Path) -> None:
    content = os.urandom(3 * 2**20 + 5)
    target = tmp_path / "a.wav"
    assert spool(io.BytesIO(content), target, max_bytes=len(content), kept_free_bytes=0) == len(content)
    assert target.read_bytes() == content
    with pytest.raises(CommandError, match="Standard input has more than"):
        spool(io.BytesIO(content), target, max_bytes=len(content) - 1, kept_free_bytes=0)
    with pytest.raises(CommandError, match="too little room"):
        spool(io.BytesIO(content), target, kept_free_bytes=10**18)
    with pytest.raises(CommandError, match="Standard input is empty") as nothing:
        spool(io.BytesIO(), target)
    assert nothing.value.code is ExitCode.REJECTED


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
def test_a_terminal_is_no_recording() -> None:
    terminal, keyboard = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", "run", "-"],
        stdin=keyboard,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(terminal)
    os.close(keyboard)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "- stands for standard input, but no recording is piped into it\n"


def test_a_disk_that_is_too_small_is_told_before_anything_is_started(tmp_path: Path) -> None:
    # A sparse file takes no room itself. More than is free, whatever other tests remove meanwhile.
    with (tmp_path / "a.wav").open("wb") as file:
        file.truncate(shutil.disk_usage(tempfile.gettempdir()).total)
    done = CliRunner().invoke(app, ["run", str(tmp_path / "a.wav"), "--out", str(tmp_path / "out")])
    assert done.exit_code == ExitCode.ERROR
    assert done.output.count("\n") == 1
    assert "too little room for copies of the recordings" in done.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a.wav", "--name", "b.wav"], "--name is what standard input is called, but - is not among the files"),
        (["-"], "Standard input is empty"),
    ],
)
def test_standard_input_that_makes_no_sense_is_a_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    done = CliRunner().invoke(app, ["run", *arguments, "--out", str(tmp_path)], input="")
    assert done.exit_code in (ExitCode.USAGE, ExitCode.REJECTED)
    assert done.output == f"{why}\n"
