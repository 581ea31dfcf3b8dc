"""A decoder that an upload has taken over: what it can still reach, beside the upload, is nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_job.audio.decoder.records import Account, DecodingRequest
from gpu_job.audio.decoder_process.child import DecoderChild
from gpu_job.audio.decoder_process.command import child_environment, module_command
from gpu_job.audio.decoder_process.forks import FORKS, Forks
from gpu_job.audio.decoder_process.start import DecoderLimits
from infra.recordings import recording
from shared.media import DEMUXERS
from tests.support.interruptible import interruptible
from tests.support.started_decoders import start_other, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

CALL = recording("call.opus").path
ROOT = Path(__file__).parents[3]

NEEDED = ("read its own upload", "import")
BY_CALLS = ("open a socket", "start a program")
SIGNALS = ("end the worker", "end a sibling")
"""Since Linux 6.12."""


@pytest.fixture(scope="module")
def sibling() -> Iterator[int]:
    """The id of another decoder, which is not begun."""
    forks = Forks()
    copy = forks.fork()
    if copy is None:
        pytest.skip("nothing is forked here")
    yield copy.pid
    copy.kill()
    copy.wait()
    forks.renew()


def said_by_a_command(*arguments: object) -> bytes:
    command = module_command("tests.support.taken_over", *map(str, arguments))
    with interruptible():
        return subprocess.run(command, check=True, capture_output=True, env=child_environment(os.environ)).stdout


def said_by_a_copy(*arguments: object) -> bytes:
    forks = Forks("tests.support.taken_over")
    copy = forks.fork()
    assert copy is not None  # its fixture's are forked, too
    copy.give(json.dumps([each if isinstance(each, int) else str(each) for each in arguments]))
    said = copy.stdout.read()
    assert copy.wait() == 0
    forks.renew()
    return said


@pytest.fixture(scope="module", params=[said_by_a_command, said_by_a_copy])
def tried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sibling: int
) -> Iterator[dict[str, Any]]:
    other = tmp_path_factory.mktemp("other") / "upload.mp3"
    other.write_bytes(b"somebody else's")
    yield json.loads(request.param(CALL, other, sibling))
    assert other.read_bytes() == b"somebody else's"


FILES = (
    "read another upload", "cut another upload", "remove another upload", "read the worker's keys",
    "read a sibling's memory", "read a sibling's request", "read a system file", "list a folder", "write",
)  # fmt: skip


@pytest.mark.parametrize("attempt", FILES)
def test_no_other_file_is_reached(tried: dict[str, Any], attempt: str) -> None:
    if not tried["files"]:
        pytest.skip("this kernel has no Landlock")
    assert tried["done"][attempt] == "PermissionError"


@pytest.mark.parametrize("attempt", BY_CALLS)
def test_no_socket_and_no_program(tried: dict[str, Any], attempt: str) -> None:
    if not tried["calls"]:
        pytest.skip("this kernel has no seccomp")
    assert tried["done"][attempt] == "PermissionError"


@pytest.mark.parametrize("attempt", SIGNALS)
def test_nobody_is_signalled(tried: dict[str, Any], attempt: str) -> None:
    if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 12) or not tried["files"]:
        pytest.skip("this kernel's Landlock knows no signals")
    assert tried["done"][attempt] == "PermissionError"


@pytest.mark.parametrize("attempt", NEEDED)
def test_what_decoding_needs_is_allowed(tried: dict[str, Any], attempt: str) -> None:
    assert tried["done"][attempt] == "done"


def test_it_has_its_three_streams_and_no_other_open_file(tried: dict[str, Any]) -> None:
    assert (tried["streams"][1:], tried["others"]) == (["pipe", "pipe"], 0)
    assert tried["interruptible"]


@pytest.fixture(params=[True, False])
def is_forked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        start_other(monkeypatch)
    return bool(request.param)


def request_of(path: Path) -> DecodingRequest:
    return DecodingRequest(str(path), DEMUXERS)


@pytest.mark.usefixtures("is_forked")
def test_a_decoder_reads_its_upload_restricted_and_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key-of-a-test")
    FORKS.renew()  # the server, too, is started with this environment
    decoders = started(monkeypatch)
    upload = recording("long_seen.opus").path
    with DecoderChild(request_of(upload), DecoderLimits()) as child:
        next(child.records())
        process = Path("/proc") / str(decoders[0].pid)
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        environment = (process / "environ").read_bytes()
        opened = {str(each.readlink()).partition(":")[0] for each in (process / "fd").iterdir()}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert status["PPid"].strip() == str(os.getpid())
    assert b"key-of-a-test" not in environment
    assert b"GOOGLE_" not in environment
    assert opened <= {"pipe", "/dev/null", str(upload)}


@pytest.mark.usefixtures("is_forked")
def test_modules_are_not_looked_for_where_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("av", "gpu_job", "json"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    FORKS.renew()
    with DecoderChild(request_of(CALL), DecoderLimits()) as child:
        *_, last = child.records()
    assert isinstance(last, Account)
