"""`dropscribe` as a person runs it: one line of JSON a file, an honest exit status, and nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cli.exit_codes import ExitCode
from infra.recordings import recording
from tests.support.converted_recordings import converter
from tests.support.interruptible import interruptible
from tests.support.waiting import PATIENCE, wait_until

RESULTS = {
    "transcript.json", "deepgram.json", "words.csv", "paragraphs.csv", "transcript.srt", "transcript.vtt",
    "transcript.txt", "transcript.html", "receipt.json",
}  # fmt: skip


@contextmanager
def dropscribe(mark: str, *arguments: str | Path, stdin: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """The command, running. Every process that comes of it has its temporary folder, and none outlives the block."""
    command = [sys.executable, "-m", "infra.cli.main", *map(str, arguments)]
    temporary = temporary_folder(mark)
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with (stdin or Path(os.devnull)).open("rb") as given:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for pid in [process.pid, *marked(mark)]:
            if process.poll() is None or pid != process.pid:
                os.kill(pid, signal.SIGKILL)
        process.wait()


def temporary_folder(mark: str) -> Path:
    """Where the command and what it starts put their temporary files."""
    return Path(mark) / "temporary"


def left_over(mark: str) -> list[str]:
    """The command's files in it, without the logs that are kept of a run in which something failed."""
    files = [path for folder in temporary_folder(mark).glob("dropscribe-*") for path in folder.rglob("*")]
    return [str(path) for path in files if path.is_file() and path.suffix != ".log"]


def marked(mark: str) -> list[int]:
    """The processes that inherited its temporary folder, decoders too; a zombie's environment is empty."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = entry.read_bytes().split(b"\0")
        except OSError:  # it ended, or is not ours to look at
            continue
        if f"TMPDIR={temporary_folder(mark)}".encode() in environment:
            found.append(int(entry.parent.name))
    return found


@pytest.fixture(autouse=True)
def takes_ctrl_c() -> Iterator[None]:
    with interruptible():
        yield


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return str(tmp_path)


def test_run_prints_one_line_of_json_a_file_and_nothing_else(mark: str, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt.mp3"
    corrupt.write_bytes(b"not a recording" * 100)
    out = tmp_path / "out"
    files = [recording("call").path, corrupt, recording("memo").path]
    arguments = ["-", *files[1:], "--name", "call.opus", "--model", "tiny", "--out", out, "--json"]
    with dropscribe(mark, "run", *arguments, stdin=files[0]) as process:
        printed, said = process.communicate(timeout=PATIENCE)
        assert marked(mark) == []
    assert left_over(mark) == []
    logs = Path(said.splitlines()[-1].removeprefix("Logs: "))
    assert {"on_upload.log", "reconcile.log"} <= {path.name for path in logs.iterdir()}
    lines = [json.loads(line) for line in printed.splitlines()]

    assert process.returncode == ExitCode.REJECTED
    assert [line["upload"]["name"] for line in lines] == [path.name for path in files]
    assert [line["outcome"] for line in lines] == ["completed", "rejected", "completed"]
    assert {path.name for path in (out / "call.opus").iterdir()} == RESULTS
    assert {path.name for path in (out / "corrupt.mp3").iterdir()} == {"receipt.json"}
    assert all(path.stat().st_size for path in (out / "call.opus").iterdir())


def test_an_interrupted_run_keeps_what_is_done_and_leaves_no_process(mark: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Minutes of work behind the first result, so that the run is still at it however late this process looks.
    long = converter(tmp_path)("long_seen.opus", "long.opus", "-stream_loop", "60", after=("-c", "copy"))
    files = [recording("memo").path, long]
    options = ("--model", "tiny", "--out", out, "--method", "deepgram")
    with dropscribe(mark, "run", *files, *options, "--json") as process:
        wait_until(lambda: (out / "memo.wav" / "receipt.json").exists(), "the first result")
        assert len(marked(mark)) > 2  # functions and engine
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == ExitCode.INTERRUPTED
        assert marked(mark) == []
    assert list(temporary_folder(mark).glob("dropscribe-*")) == []
    assert printed == ""
    assert said.splitlines()[-1] == f"Interrupted: 1 of 2 files are done; their results lie in {out}/<file name>/"
    assert (out / "memo.wav" / "transcript.txt").read_text().strip()


def test_in_a_pipe_a_run_is_a_table_and_plain_lines(mark: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--model", "tiny", "--out", out, "--method", "deepgram")
    with dropscribe(mark, "run", recording("memo").path, *options) as process:
        printed, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == ExitCode.COMPLETED
    assert "\x1b" not in printed + said
    _, titles, row, place = printed.splitlines()
    assert titles.split() == ["file", "outcome", "length", "words", "engine", "time", "cost", "saving"]
    assert row.split()[:5] == ["memo.wav", "completed", "0:08", "23", "deepgram"]
    assert place == f"Results: {out}/<file name>/"
    estimate, *stages = said.splitlines()
    assert estimate.startswith("1 file, 0:08 of audio: about ")
    assert stages[-1] == "memo.wav: completed"
    assert all(line.startswith("memo.wav: ") for line in stages)


def test_up_transcribes_what_is_copied_in_until_it_is_interrupted(mark: str, tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    with dropscribe(mark, "up", folder, "--model", "tiny") as process:
        shutil.copy(recording("memo").path, folder)
        results = folder / "transcripts" / "memo.wav"
        wait_until(lambda: results.is_dir() and {path.name for path in results.iterdir()} == RESULTS, "the transcript")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert marked(mark) == []
    assert (results / "transcript.txt").read_text().strip()


def test_other_commands_reach_the_servers_of_up(mark: str, tmp_path: Path) -> None:
    (folder := tmp_path / "watched").mkdir()
    shutil.copy(recording("memo").path, folder)
    servers = tmp_path / "servers.sh"
    with dropscribe(mark, "up", folder, "--model", "tiny", "--environment", servers) as process:
        wait_until((folder / "transcripts" / "memo.wav" / "receipt.json").exists, "the transcript")

        def command(*arguments: str) -> str:
            called = shlex.join([sys.executable, "-m", "infra.cli.main", *arguments])
            line = f". {shlex.quote(str(servers))} && exec {called}"
            return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout

        assert command("dead", "list") == "There are no dead letters.\n"
        (job,) = json.loads(command("rerun", "gs://uploads/memo.wav", "--force", "--yes", "--wait", "--json"))["jobs"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert (job["run"], job["outcome"]["outcome"]) == (2, "completed")
    assert job["diff"]["changes"] == []


def test_up_names_what_is_not_done_when_it_is_interrupted(mark: str, tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    shutil.copy(recording("memo").path, folder)
    with dropscribe(mark, "up", folder, "--model", "tiny") as process:
        assert process.stdout is not None
        assert any(line == "memo.wav: uploaded\n" for line in process.stdout)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE)
    # The signal may come while the line before is printed, which rich then prints again.
    assert printed.splitlines()[-1] == "Stopping. Not transcribed yet, and begun anew next time: memo.wav"
