"""Files whose names, kinds and places are odd, by the real command line: one answer each, and the others go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli.exit_codes import ExitCode
from infra.recordings import recording
from tests.support.interruptible import interruptible
from tests.support.waiting import PATIENCE, wait_until

MEMO = recording("memo").path
BROKEN, NOT_UTF8, RED = "line\nbreak.wav", os.fsdecode(b"caf\xe9.wav"), "\x1b[31mred\u202e.wav"
COMMAND = [sys.executable, "-m", "infra.cli.main"]


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "1000"}


@pytest.fixture(autouse=True)
def takes_ctrl_c() -> Iterator[None]:
    with interruptible():
        yield


def copies(folder: Path, *names: str) -> list[Path]:
    """The recording under each of the names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MEMO, folder / name)
    return [folder / name for name in names]


def test_run_answers_for_each_file_and_goes_on_with_the_others(tmp_path: Path) -> None:
    odd = copies(tmp_path, BROKEN, NOT_UTF8, RED, "one/same.wav", "two/same.wav")
    (link,) = [tmp_path / "link.wav"]
    link.symlink_to(MEMO)
    (tmp_path / "empty.wav").touch()
    ignored = tmp_path / "notes.csv"  # dropped into a bucket, it would get no answer
    ignored.touch()
    os.mkfifo(tmp_path / "pipe.wav")
    out = tmp_path / "out"
    out.mkdir()
    (out / "taken.wav").touch()
    folder = tmp_path / "folder"
    copies(folder, "deep/same.wav", "deep/.hidden.wav")
    (folder / "notes.txt").write_text("no recording")
    (tmp_path / "nothing").mkdir()
    unusable = [tmp_path / "gone.wav", tmp_path / "pipe.wav", tmp_path / "nothing", *copies(tmp_path, "taken.wav")]
    files = [unusable[0], *odd, odd[-1], link, tmp_path / "empty.wav", ignored, folder, *unusable[1:]]
    done = subprocess.run(
        [*COMMAND, "run", *files, "--model", "tiny", "--out", out, "--json"], env=environment(), capture_output=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == ExitCode.REJECTED
    outcomes = ["rejected", *["completed"] * 6, *["rejected"] * 2, "completed", *["rejected"] * 3]
    assert [line["outcome"] for line in lines] == outcomes
    assert [line["file"] for line in lines if "file" in line] == [str(path) for path in unusable]
    names = [line["upload"]["name"] for line in lines if "upload" in line]
    assert names[0].startswith("line%0Abreak-")
    assert names[1].startswith("caf%E9-")
    same = ["same.wav", "same-2.wav"]
    assert names[2:] == [RED, *same, "link.wav", "empty.wav", "notes.csv", "folder/deep/same.wav"]
    assert all((out / name / "transcript.txt").read_text().strip() for name in [*names[:-3], names[-1]])
    assert '"rejected"' in (out / "notes.csv" / "receipt.json").read_text()
    assert lines[7]["reason"] == "The file is empty."
    assert b"\x1b" not in done.stderr
    assert b"Traceback" not in done.stderr
    assert rb"line\nbreak.wav: its results lie in line%0Abreak-" in done.stderr
    printed = done.stderr.decode()
    assert f"{folder}: skipped 1 file that is no recording and 1 hidden\n" in printed
    assert f"{tmp_path}/nothing: rejected: There is no recording in this folder\n" in printed
    assert "1 named more than once, transcribed once\n" in printed


def test_up_answers_for_each_file_and_leaves_what_lies_outside_alone(tmp_path: Path) -> None:
    folder, outside = tmp_path / "watched", tmp_path / "outside"
    deep = "/".join(["d" * 200] * 6)
    copies(folder, BROKEN, NOT_UTF8, RED, f"{deep}/deep.wav", ".store/inside.wav")
    copies(outside, "secret.wav")
    (folder / "stored").symlink_to(".store")
    (folder / "secret.wav").symlink_to(outside / "secret.wav")
    (folder / "outside").symlink_to(outside)
    (folder / "nothing.wav").symlink_to("gone.wav")
    os.mkfifo(folder / "pipe.wav")
    printed = tmp_path / "printed"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "up", folder, "--model", "tiny"], env=environment(), stdout=output, stderr=output
        )
        try:
            results = folder / "transcripts"
            wait_until(lambda: len(list(results.rglob("transcript.txt"))) == 5, "the transcripts")
            # Later than all others: what is wrong with them was answered once, and stopped nothing.
            copies(folder, "late.wav")
            wait_until(lambda: (results / "late.wav" / "transcript.txt").exists(), "the late one")
            time.sleep(2)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
    text = printed.read_text()
    assert process.returncode == 0
    assert "Traceback" not in text
    assert "\x1b" not in text
    for name, why in {
        "secret.wav": "It is a link out of the folder, or to its results",
        "outside": "It is a link out of the folder, or to its results",
        "nothing.wav": "No such file or directory",
        "pipe.wav": "It is a pipe, not a file",
    }.items():
        assert text.count(f"{name}: rejected: {why}\n") == 1
    names = {path.parent.relative_to(results).as_posix() for path in results.rglob("transcript.txt")}
    assert {RED, "stored/inside.wav", "late.wav"} < names
    assert not any("secret" in name for name in names)
    assert any(name.startswith("line%0Abreak-") for name in names)
    assert any(name.startswith("d" * 200) and "/deep-" in name for name in names)
