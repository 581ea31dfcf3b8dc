"""Decoders that are copies of one process: the same records, children of who asks, and no copies of a server whose
decoder crashed."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process.child import DecoderChild, DecoderFailed
from gpu_job.audio.decoder_process.fork_server import can_fork_siblings
from gpu_job.audio.decoder_process.forks import FORKS, PAUSE_SECONDS, ForkedProcess, Forks, ForkServer
from gpu_job.audio.decoder_process.start import DecoderLimits
from infra.recordings import recording, shipped
from shared.media import DEMUXERS
from tests.support.child_processes import child_processes
from tests.support.started_decoders import start_other, started
from tests.support.waiting import PATIENCE, wait_until

CALL = recording("call.opus").path


@pytest.fixture
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.renew()


def fork(forks: Forks) -> ForkedProcess:
    copy = forks.fork()
    if copy is None:
        pytest.skip("nothing is forked here")
    return copy


def ended(copy: ForkedProcess) -> int:
    """Its status; its pipes are closed."""
    copy.kill()
    status = copy.wait(PATIENCE)
    copy.stdout.close()
    copy.stderr.close()
    return status


@pytest.mark.parametrize("name", [each.path.name for each in shipped()])
def test_a_copy_gives_the_samples_of_a_decoder_that_is_started_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_copy = np.concatenate(list(decode(recording(name).path)))
    start_other(monkeypatch)
    assert np.array_equal(by_copy, np.concatenate(list(decode(recording(name).path))))


def test_the_server_has_one_thread_and_nothing_of_an_upload(forks: Forks) -> None:
    copy = fork(forks)
    copy.give(DecodingRequest(str(CALL), DEMUXERS).to_json())
    assert copy.stdout.read()
    server = Path("/proc") / str(forks.server_pid)
    opened = {str(each.readlink()).partition(":")[0] for each in (server / "fd").iterdir()}
    assert (opened, len(list((server / "task").iterdir()))) == ({"/dev/null", "socket"}, 1)
    assert copy.wait(PATIENCE) == 0
    assert ended(copy) == 0


def test_copies_are_children_of_who_asked_and_outlive_their_server(forks: Forks) -> None:
    copy = fork(forks)
    assert forks.server_pid is not None
    os.kill(forks.server_pid, signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        copy.wait(0)
    copy.give(DecodingRequest(str(CALL), DEMUXERS).to_json())
    assert copy.stdout.read()
    assert copy.wait(PATIENCE) == 0
    assert ended(fork(forks)) == -signal.SIGKILL  # of another server
    assert ended(copy) == 0


def test_where_none_can_be_forked_decoders_are_started_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)  # a library's import may have set another one
    at = 0.0
    forks = Forks("gpu_job.no_such_module", clock=lambda: at)
    for minute in range(180):
        at = 60.0 * minute
        assert forks.fork() is None
    pauses = [record.fields["seconds"] for record in caplog.records if "not forked" in record.message]  # type: ignore[attr-defined]
    if can_fork_siblings():
        assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]


@pytest.mark.skipif(not can_fork_siblings(), reason="nothing is forked here")
def test_after_a_while_without_errors_decoders_are_forked_again() -> None:
    at = 0.0
    forks = Forks(clock=lambda: at)
    _, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for pause in (PAUSE_SECONDS, 2 * PAUSE_SECONDS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        try:
            assert forks.fork() is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert forks.fork() is None
        at += pause
    copy = forks.fork()
    assert copy is not None
    assert ended(copy) == -signal.SIGKILL
    forks.renew()


@pytest.mark.skipif(not can_fork_siblings(), reason="nothing is forked here")
def test_a_copy_whose_server_is_killed_before_it_answers_is_known_all_the_same() -> None:
    before = child_processes(os.getpid())
    forks = Forks("tests.support.dying_fork_server")
    for _ in range(3):
        copy = forks.fork()
        assert copy is not None
        copy.give(DecodingRequest(str(CALL), DEMUXERS).to_json())
        assert copy.stdout.read()
        assert copy.wait(PATIENCE) == 0
        ended(copy)
    forks.renew()
    assert child_processes(os.getpid()) <= before


@pytest.mark.skipif(not can_fork_siblings(), reason="nothing is forked here")
def test_a_copy_whose_answer_came_too_late_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ForkServer()
    known = server.fork()
    before = child_processes(os.getpid())

    def too_late(waiting: socket.socket, size: int) -> bytes:
        wait_until(lambda: child_processes(os.getpid()) - before, "the copy")
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "recv", too_late)
        with pytest.raises(TimeoutError):
            server.fork()
    server.end()
    assert child_processes(os.getpid()) < before
    with pytest.raises(subprocess.TimeoutExpired):
        known.wait(0)  # it goes on
    assert ended(known) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_after_a_crash_the_next_ones_are_copies_of_another_server(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = started(monkeypatch)
    with DecoderChild(DecodingRequest(str(recording("long_seen.opus").path), DEMUXERS), DecoderLimits()) as child:
        before = FORKS.server_pid
        records = child.records()
        next(records)
        os.kill(decoders[0].pid, number)
        with pytest.raises(DecoderFailed, match=f"status -{number}"):
            list(records)
    assert len(list(decode(CALL))) > 0
    assert FORKS.server_pid != before


def test_who_stops_listening_is_no_crash() -> None:
    stream = decode(recording("long_seen.opus").path)
    next(stream)
    before = FORKS.server_pid
    stream.close()
    assert FORKS.server_pid == before is not None


def test_a_copy_of_this_process_has_a_server_of_its_own(forks: Forks) -> None:
    ended(fork(forks))
    mine = forks.server_pid
    pid = os.fork()
    if pid == 0:
        forks.leave()  # as it is done for FORKS
        os._exit(0 if forks.fork() is not None and forks.server_pid != mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ended(fork(forks)) == -signal.SIGKILL
    assert forks.server_pid == mine


def test_a_relative_path_is_that_of_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(decode(CALL))) > 0  # the server is there, in another folder
    (tmp_path / "a.opus").write_bytes(CALL.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(list(decode(Path("a.opus")))) > 0


def test_a_program_that_ignores_its_childrens_ends_gets_its_samples() -> None:
    was = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as those that a daemon starts inherit it
    try:
        assert len(list(decode(CALL))) > 0
        stream = decode(recording("long_seen.opus").path)
        next(stream)
        stream.close()
    finally:
        signal.signal(signal.SIGCHLD, was)


@pytest.mark.skipif(os.name == "nt", reason="the command is a POSIX shell's")
def test_what_a_decoder_leaves_running_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    left = "sleep 40 >/dev/null & echo $! >&2; echo broken >&2; exit 3"
    start_other(monkeypatch, lambda _: ["/bin/sh", "-c", left])
    began = time.monotonic()
    with (
        DecoderChild(DecodingRequest(str(CALL), DEMUXERS), DecoderLimits()) as child,
        pytest.raises(DecoderFailed, match=r"\(broken\)"),
    ):
        list(child.records())
    assert time.monotonic() - began < 30
