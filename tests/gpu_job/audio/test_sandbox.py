"""A decoder that an upload has taken over: what it can still reach, beside the upload, is nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_job.audio import decoder_child
from gpu_job.audio.decoder.records import Account, DecodingRequest
from gpu_job.audio.decoder_child import DecoderChild, DecoderLimits, child_environment
from infra.recordings import recording
from shared.media import DEMUXERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

CALL = recording("call.opus").path
ROOT = Path(__file__).parents[3]

TAKEN_OVER = """
import json, os, signal, socket, subprocess, sys
import gpu_job.audio.decoder.reading
from gpu_job.audio.decoder.sandbox import restrict

upload, other = sys.argv[1:]
holds = restrict(upload)
attempts = {
    "read another upload": lambda: open(other, "rb"),
    "cut another upload": lambda: os.truncate(other, 0),
    "remove another upload": lambda: os.unlink(other),
    "read the worker's keys": lambda: open(f"/proc/{os.getppid()}/environ", "rb"),
    "read a system file": lambda: open("/etc/passwd", "rb"),
    "list a folder": lambda: os.listdir("/"),
    "write": lambda: open(other + ".new", "wb"),
    "open a socket": lambda: socket.socket(),
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "end the worker": lambda: os.kill(os.getppid(), 0),
    "read its own upload": lambda: open(upload, "rb").read(4),
    "import": lambda: __import__("wave"),
}
done = {}
for name, attempt in attempts.items():
    try:
        attempt()
        done[name] = "done"
    except OSError as error:
        done[name] = type(error).__name__
print(json.dumps({"files": holds.files, "calls": holds.calls, "done": done}))
"""
NEEDED = ("read its own upload", "import")
BY_CALLS = ("open a socket", "start a program")
SIGNALS = "end the worker"
"""Since Linux 6.12."""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    other = tmp_path_factory.mktemp("other") / "upload.mp3"
    other.write_bytes(b"somebody else's")
    command = [sys.executable, "-c", TAKEN_OVER, str(CALL), str(other)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=child_environment(os.environ))
    yield json.loads(done.stdout)
    assert other.read_bytes() == b"somebody else's"


FILES = (
    "read another upload", "cut another upload", "remove another upload", "read the worker's keys",
    "read a system file", "list a folder", "write",
)  # fmt: skip


@pytest.mark.parametrize("attempt", FILES)
def test_no_other_file_is_reached(tried: dict[str, dict[str, str]], attempt: str) -> None:
    if not tried["files"]:
        pytest.skip("this kernel has no Landlock")
    assert tried["done"][attempt] == "PermissionError"


@pytest.mark.parametrize("attempt", BY_CALLS)
def test_no_socket_and_no_program(tried: dict[str, dict[str, str]], attempt: str) -> None:
    if not tried["calls"]:
        pytest.skip("this kernel has no seccomp")
    assert tried["done"][attempt] == "PermissionError"


def test_the_worker_is_not_signalled(tried: dict[str, dict[str, str]]) -> None:
    if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 12) or not tried["files"]:
        pytest.skip("this kernel's Landlock knows no signals")
    assert tried["done"][SIGNALS] == "PermissionError"


@pytest.mark.parametrize("attempt", NEEDED)
def test_what_decoding_needs_is_allowed(tried: dict[str, dict[str, str]], attempt: str) -> None:
    assert tried["done"][attempt] == "done"


@pytest.fixture
def real_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of their own, not forked."""
    monkeypatch.setattr(decoder_child, "subprocess", subprocess)


def request_of(path: Path) -> DecodingRequest:
    return DecodingRequest(str(path), DEMUXERS)


@pytest.mark.usefixtures("real_decoders")
def test_a_decoder_reads_its_upload_restricted_and_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]
            started.append(self.pid)

    monkeypatch.setattr(decoder_child.subprocess, "Popen", Recorded)
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key-of-a-test")
    with DecoderChild(request_of(recording("long_seen.opus").path), DecoderLimits()) as child:
        next(child.records())
        process = Path("/proc") / str(started[0])
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        environment = (process / "environ").read_bytes()
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert b"key-of-a-test" not in environment
    assert b"GOOGLE_" not in environment


@pytest.mark.usefixtures("real_decoders")
def test_modules_are_not_looked_for_where_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("av", "gpu_job", "json"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with DecoderChild(request_of(CALL), DecoderLimits()) as child:
        *_, last = child.records()
    assert isinstance(last, Account)
