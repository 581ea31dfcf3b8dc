"""Where no worker ever comes, and where a recording breaks off, Deepgram's part is told as it is."""

from __future__ import annotations

from datetime import timedelta

from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.clock import now
from shared.enums import Engine, Method, Outcome
from shared.media import Media
from shared.messages import Decision
from shared.state.jobs import Job, JobState
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import LoopbackCloud
from trigger_function.reconcile import reconcile_all
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()
DECISION = Decision(method=Method.PARAKEET, rule="short", reason="40 min: Parakeet.")


def given_up(cloud: LoopbackCloud, services: Services, seconds: float) -> Job:
    """A job that was queued three times, of a recording whose header states so many seconds."""
    job = services.jobs.claim(cloud.drop(AUDIO), "function/gone", timedelta(minutes=1))
    assert job is not None
    media = Media(
        container="ogg",
        codec="opus",
        duration_seconds=seconds,
        sample_rate_hz=48000,
        channels=1,
        size_bytes=len(AUDIO),
    )
    return services.jobs.save(
        job, state=JobState.QUEUED, lease_until=now(), media=media, decision=DECISION, dispatches=3
    )


def test_a_job_that_no_worker_takes_goes_to_deepgram_with_its_missing_end_told(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    given_up(cloud, services, seconds=60.0)
    assert reconcile_all(services) == {"sent to deepgram": 1}
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert message.engines == (Engine.DEEPGRAM,)
    assert message.coverage is not None
    (gap,) = message.coverage.gaps
    assert 18 < gap.start < 21
    assert gap.end == 60.0


def test_without_deepgram_it_fails(cloud: LoopbackCloud, services: Services) -> None:
    given_up(cloud, services, seconds=19.0)
    assert reconcile_all(services) == {"failed": 1}
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.FAILED]
