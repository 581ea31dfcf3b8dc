"""A worker whose upload asks who speaks: names and times in the transcript, and no line on the bill for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.costs.bill import LineItemKind, deepgram_bill
from shared.messages import Receipt, TerminalMessage
from shared.options.parsing import parse_upload_options
from shared.state.jobs.record import Job
from shared.transcript.model import Transcript
from tests.support.fixed_word_worker import AUDIO, FixedWordServices, fixed_word_services, queued, worker
from tests.support.loopback_cloud import RESULTS, WORK_TOPIC, LoopbackCloud

CHANGE = next(word.start for word in recording("call.opus").words if word.word == "The")
"""Of the recording's two voices, the second one begins here."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


def result(cloud: LoopbackCloud, message: TerminalMessage, name: str) -> bytes:
    key = message.results[name].removeprefix(f"gs://{RESULTS}/")
    return bytes(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def ended(cloud: LoopbackCloud, services: FixedWordServices, job: Job, **metadata: str) -> TerminalMessage:
    """The outcome of an upload that has these options."""
    options = {f"transcribe-{name.replace('_', '-')}": value for name, value in metadata.items()}
    services.jobs.save(job, options=parse_upload_options(options))
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    return message


def test_a_transcript_says_who_speaks_and_the_bill_is_for_the_execution_alone(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    message = ended(cloud, services, queued(cloud, services, "call.opus"), speakers="on", speaker_names="Ann, Ben")
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert [(one.number, one.name) for one in transcript.speakers] == [(0, "Ann"), (1, "Ben")]
    assert all(one.seconds > 3 for one in transcript.speakers)
    assert {word.speaker for word in transcript.words if word.end < CHANGE - 0.6} == {0}
    assert {word.speaker for word in transcript.words if word.start > CHANGE + 0.6} <= {1, None}
    assert "Ben: Hello." in result(cloud, message, "transcript.txt").decode()

    receipt = Receipt.model_validate_json(result(cloud, message, "receipt.json"))
    assert receipt.bill == message.bill
    assert receipt.bill.usd > 0
    assert LineItemKind.DEEPGRAM not in {item.kind for item in receipt.bill.items}
    assert receipt.saving is not None
    # What Deepgram would have cost, which tells speakers apart for money.
    deepgram = deepgram_bill(
        services.settings.deepgram_model, transcript.duration, len(AUDIO), services.prices, speakers=True
    )
    assert receipt.saving.deepgram_usd == pytest.approx(deepgram.usd, rel=1e-3)  # times are rounded


def test_a_channel_transcribed_by_itself_is_one_speaker_whoever_talks_in_it(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    message = ended(cloud, services, queued(cloud, services, "call.opus"), speakers="on", channels="split")
    transcript = Transcript.model_validate_json(result(cloud, message, "transcript.json"))
    assert len({word.speaker for word in transcript.words}) == 1
    assert transcript.speakers == ()
