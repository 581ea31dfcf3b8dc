"""A decoder that was killed says nothing about its file; one that crashed does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from gpu_job.audio.decode import decode
from gpu_job.audio.decoder_process.child import DecoderKilled
from gpu_job.audio.decoder_process.start import command
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.enums import Outcome
from shared.errors import BadMedia
from shared.messages import TerminalMessage
from tests.support.fixed_word_worker import FixedWordServices, fixed_word_services, queued, worker
from tests.support.killed_decoder import killed_command
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.started_decoders import start_other

SOME_BYTES = 200_000


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


def ended(cloud: LoopbackCloud, services: FixedWordServices) -> TerminalMessage:
    """What workers, one after the other, made of the upload."""
    for _ in range(services.settings.max_attempts + 2):
        worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
        for message in cloud.terminal_messages():
            return message
    raise AssertionError("the upload was not ended")


@pytest.mark.parametrize("after_bytes", [0, SOME_BYTES])
def test_a_killed_decoder_is_no_bad_media(monkeypatch: pytest.MonkeyPatch, after_bytes: int) -> None:
    start_other(monkeypatch, lambda request: killed_command(command(request), after_bytes, signal.SIGKILL))
    with pytest.raises(DecoderKilled, match="no memory left"):
        list(decode(recording("call.opus").path))


def test_a_decoder_that_crashed_before_any_sound_is(monkeypatch: pytest.MonkeyPatch) -> None:
    start_other(monkeypatch, lambda request: killed_command(command(request), 0, signal.SIGSEGV))
    with pytest.raises(BadMedia):
        list(decode(recording("call.opus").path))


@pytest.mark.parametrize("after_bytes", [0, SOME_BYTES])
def test_its_job_is_done_once_more_alone_and_no_attempt_counts(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch, after_bytes: int
) -> None:
    commands = chain([lambda request: killed_command(command(request), after_bytes, signal.SIGKILL)], repeat(command))
    start_other(monkeypatch, lambda request: next(commands)(request))
    job = queued(cloud, services, "a.opus")
    assert ended(cloud, services).outcome is Outcome.COMPLETED
    record = services.jobs.load(job.id)
    assert record is not None
    assert (record.record.attempts, record.record.lost_attempts) == (1, 1)


def test_a_file_whose_decoders_are_always_killed_fails_with_that_reason(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_other(monkeypatch, lambda request: killed_command(command(request), SOME_BYTES, signal.SIGKILL))
    queued(cloud, services, "a.opus")
    message = ended(cloud, services)
    assert message.outcome is Outcome.FAILED
    assert "decoder of the file was killed" in str(message.reason)
