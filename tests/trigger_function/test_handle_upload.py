"""One upload through the function, however often its event comes and whatever breaks on the way."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.api_core.exceptions import Forbidden, MethodNotImplemented, NotFound

from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.costs.speeds import SpeedStore, execution_figures
from shared.enums import Channels, JobDevice, Method, Outcome
from shared.errors import FailureKind
from shared.media import Upload
from shared.messages import Receipt
from shared.options.metadata_keys import CHANNELS_METADATA, MAX_COST_METADATA, METHOD_METADATA, TRACK_METADATA
from shared.state.jobs.record import JobState
from tests.support.final_answers import FINAL_ANSWER_NAMES, FINAL_ANSWERS
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import PROJECT, RESULTS, STATE, UPLOADS, WORK_TOPIC, LoopbackCloud
from tests.support.tone_recordings import ffmpeg
from trigger_function.handle_upload import handle, proceed
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()


def test_a_second_event_does_nothing(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    for _ in range(3):
        handle(services, upload)
    assert len(cloud.work_items()) == 1
    assert len(cloud.executions()) == 1


def test_of_many_events_at_once_one_is_handled(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: handle(services, upload), range(8)))
    assert len(cloud.work_items()) == 1
    assert len(cloud.executions()) == 1


def test_two_generations_of_a_name_are_two_jobs(cloud: LoopbackCloud, services: Services) -> None:
    first = cloud.drop(AUDIO)
    handle(services, first)
    second = cloud.drop(AUDIO)
    handle(services, second)
    assert {item.job_id for item in cloud.work_items()} == {first.job_id, second.job_id}


@pytest.mark.parametrize("replaced", [False, True])
def test_an_upload_that_is_gone_before_it_is_read_is_rejected(
    cloud: LoopbackCloud, services: Services, replaced: bool
) -> None:
    upload = cloud.drop(AUDIO)
    if replaced:
        cloud.drop(AUDIO)
    else:
        cloud.storage.bucket(UPLOADS).blob(upload.name).delete()
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.REFUSED)
    assert message.reason == "The file was deleted or replaced before it could be read."


@pytest.mark.parametrize(("status", "message", "outcome", "kind", "reason"), FINAL_ANSWERS, ids=FINAL_ANSWER_NAMES)
@pytest.mark.parametrize("answers_before", [0, 1])
def test_a_final_answer_of_cloud_storage_ends_the_job_at_the_first_delivery(
    cloud: LoopbackCloud,
    services: Services,
    status: int,
    message: str,
    outcome: Outcome,
    kind: FailureKind,
    reason: str,
    answers_before: int,
) -> None:
    upload = cloud.drop(AUDIO)
    job = services.jobs.claim(upload, "function/test", timedelta(minutes=1))
    assert job is not None
    # With one good answer before, the metadata can be read and the content cannot, as with a customer-supplied key.
    cloud.storage_server.answer_next(answers_before, "GET", upload.name)
    cloud.storage_server.fail_next(1, status, "GET", upload.name, message=message)
    proceed(services, job)
    (outcome_message,) = cloud.terminal_messages()
    assert (outcome_message.outcome, outcome_message.failure_kind, outcome_message.reason) == (outcome, kind, reason)
    assert list(services.jobs.markers.all()) == []


def test_a_permission_that_is_missing_for_a_while_fails_no_upload(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(2, 403, "GET", upload.name, message="function@p does not have access.")
    for _ in range(2):
        with pytest.raises(Forbidden):
            handle(services, upload)
    left = services.jobs.load(upload.job_id)
    assert left is not None
    assert "does not let the service account read or write (403, forbidden)" in (left.record.last_error or "")
    handle(services, upload)
    assert [item.upload for item in cloud.work_items()] == [upload]
    assert cloud.terminal_messages() == []


def test_a_bucket_that_is_gone_ends_the_job(cloud: LoopbackCloud, services: Services) -> None:
    handle(services, Upload(bucket="never-made", name="a.mp3", generation=1))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.REFUSED)
    assert message.reason == "The file's bucket does not exist any more."


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_may_be_another_next_time_is_asked_for_again(
    cloud: LoopbackCloud, services: Services, status: int
) -> None:
    upload = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(1, status, "GET", upload.name)
    handle(services, upload)
    assert [item.job_id for item in cloud.work_items()] == [upload.job_id]


def test_a_gzip_encoded_upload_is_inspected_unpacked(cloud: LoopbackCloud, services: Services) -> None:
    handle(services, cloud.drop(AUDIO))
    handle(services, cloud.drop(gzip.compress(AUDIO), "packed.opus", content_encoding="gzip"))
    handle(services, cloud.drop(AUDIO, "claims.opus", content_encoding="gzip"))
    assert [item.media.size_bytes for item in cloud.work_items()] == [len(AUDIO)] * 3
    assert cloud.terminal_messages() == []


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (
            gzip.compress(bytes(2_000_000)),
            FailureKind.REFUSED,
            "The file is stored with gzip encoding, and unpacked it is larger than 1 MB (MAX_UNPACKED_BYTES).",
        ),
        (gzip.compress(AUDIO)[:-9], FailureKind.BAD_MEDIA, "The file is damaged: its gzip encoding ends too early."),
        (gzip.compress(b""), FailureKind.BAD_MEDIA, "The file is empty."),
    ],
    ids=["bomb", "cut", "empty"],
)
def test_gzip_encoding_that_cannot_be_unpacked_is_rejected(
    cloud: LoopbackCloud, make_services: MakeServices, content: bytes, kind: FailureKind, reason: str
) -> None:
    services = make_services(MAX_UNPACKED_BYTES="1000000")
    handle(services, cloud.drop(content, content_encoding="gzip"))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind, message.reason) == (Outcome.REJECTED, kind, reason)


def test_deepgram_gets_a_gzip_encoded_upload_unpacked(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    metadata = {METHOD_METADATA: "deepgram"}
    handle(services, cloud.drop(AUDIO, metadata=metadata))
    handle(services, cloud.drop(gzip.compress(AUDIO), metadata=metadata, content_encoding="gzip"))
    plain, packed = cloud.terminal_messages()
    assert packed.word_count == plain.word_count > 0
    assert packed.outcome is plain.outcome


def test_what_is_no_media_is_rejected_once_and_costs_nothing(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"This is a letter, not a recording. " * 20)
    handle(services, upload)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.BAD_MEDIA)
    assert message.reason
    assert message.bill.usd == 0
    assert list(message.results) == ["receipt.json"]
    assert list(services.jobs.markers.all()) == []


@pytest.mark.parametrize(
    ("method", "rule"),
    [(" Parakeet ", "requested"), ("AUTO", "only-allowed"), ("deepgram", "requested-without-deepgram")],
)
def test_an_objects_own_method_decides(cloud: LoopbackCloud, services: Services, method: str, rule: str) -> None:
    handle(services, cloud.drop(AUDIO, metadata={METHOD_METADATA: method}))
    (item,) = cloud.work_items()
    assert (item.decision.method, item.decision.rule) == (Method.PARAKEET, rule)


def test_the_decision_carries_its_quotes_into_record_and_message(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    decision = message.decision
    assert decision is not None
    # Start-up for nineteen seconds of audio costs more than Deepgram asks for them.
    assert (decision.method, decision.rule) == (Method.DEEPGRAM, "lowest-score")
    assert [quote.method for quote in decision.quotes] == list(Method)
    assert decision.quote is not None
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.decision == decision
    receipt = Receipt.model_validate_json(
        cloud.storage.bucket(RESULTS).blob(f"{upload.name}/{upload.generation}/receipt.json").download_as_bytes()
    )
    assert receipt.decision == decision


def test_a_running_execution_makes_the_job_the_cheaper_one(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram_key: str
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key)
    assert services.slots[JobDevice.GPU].hold("execution/busy", timedelta(hours=1))
    handle(services, cloud.drop(AUDIO))
    (item,) = cloud.work_items()
    assert (item.decision.method, item.decision.rule) == (Method.PARAKEET, "lowest-score")


def test_learned_speeds_decide(cloud: LoopbackCloud, make_services: MakeServices, deepgram_key: str) -> None:
    store = SpeedStore(cloud.storage.bucket(STATE))
    for _ in range(4):
        store.observe(execution_figures("nvidia-l4", startup_seconds=0.1))
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, WORK_IDLE_SECONDS="0")
    handle(services, cloud.drop(AUDIO))
    assert [item.decision.rule for item in cloud.work_items()] == ["lowest-score"]


def test_what_may_not_be_spent_is_not(cloud: LoopbackCloud, services: Services) -> None:
    handle(services, cloud.drop(AUDIO, metadata={MAX_COST_METADATA: "0.0001"}))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.REFUSED)
    assert "parakeet on the GPU: $0.0102 is more than the $0.0001 allowed for the file" in str(message.reason)
    assert cloud.executions() == []


def test_an_objects_method_goes_before_the_deployments(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(TRANSCRIPTION_METHOD="parakeet")
    handle(services, cloud.drop(AUDIO, metadata={METHOD_METADATA: "auto"}))
    handle(services, cloud.drop(AUDIO, "b.opus"))
    assert sorted(item.decision.rule for item in cloud.work_items()) == ["only-allowed", "requested"]


def test_an_unknown_method_is_rejected_by_name(cloud: LoopbackCloud, services: Services) -> None:
    handle(services, cloud.drop(AUDIO, metadata={METHOD_METADATA: "whisper"}))
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.REJECTED
    assert message.reason == ("The file's transcribe-method is 'whisper'; known are auto, parakeet, hybrid, deepgram.")


def test_without_fallback_a_method_that_cannot_be_used_is_rejected(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(ENABLE_FALLBACK="false")
    handle(services, cloud.drop(AUDIO, metadata={METHOD_METADATA: "deepgram"}))
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.REJECTED, FailureKind.REFUSED)


def test_an_exception_gives_the_claim_back_for_the_next_delivery(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(1, 501, "GET", upload.name)
    with pytest.raises(MethodNotImplemented):
        handle(services, upload)
    assert cloud.work_items() == []
    handle(services, upload)
    assert [item.job_id for item in cloud.work_items()] == [upload.job_id]


def test_an_item_that_could_not_be_queued_is_the_reconcilers_at_once(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    topic = cloud.publisher.topic_path(PROJECT, WORK_TOPIC)
    cloud.publisher.delete_topic(topic=topic)
    with pytest.raises(NotFound):
        handle(services, upload)
    cloud.publisher.create_topic(name=topic)
    assert reconcile_all(services) == {"queued again": 1}
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.state is JobState.QUEUED


def test_an_exception_leaves_a_job_alone_that_is_in_other_hands_by_now(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.drop(AUDIO)

    def overtaken(*_: object, **__: object) -> None:
        job = services.jobs.load(upload.job_id)
        assert job is not None
        services.jobs.save(job, holder="execution/fast", state=JobState.RUNNING)
        raise ConnectionError

    monkeypatch.setattr("trigger_function.handle_upload.dispatch", overtaken)
    with pytest.raises(ConnectionError):
        handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert (job.record.holder, job.record.state) == ("execution/fast", JobState.RUNNING)
    assert reconcile_all(services) == {"waiting": 1}


def test_the_track_is_the_one_that_its_owner_asks_for(cloud: LoopbackCloud, services: Services) -> None:
    twice = ("-map", "0", "-map", "0", "-c", "copy", "-f", "matroska", "pipe:1")
    film = ffmpeg("-i", str(recording("call.opus").path), *twice)
    for name, track in (("a.mkv", "1"), ("b.mkv", "2"), ("c.mkv", "All"), ("d.mkv", "3")):
        handle(services, cloud.drop(film, name, metadata={TRACK_METADATA: track}))
    media = {item.upload.name: item.media for item in cloud.work_items()}
    assert [(media[name].track, media[name].mixes_tracks) for name in ("a.mkv", "b.mkv", "c.mkv")] == [
        (0, False),
        (1, False),
        (0, True),
    ]
    (message,) = cloud.terminal_messages()
    assert message.reason == "The file has no audio track 3, as its transcribe-track says; it has 1 (opus), 2 (opus)."


def test_channels_are_split_as_their_owner_asks(cloud: LoopbackCloud, services: Services) -> None:
    handle(services, cloud.drop(AUDIO, metadata={CHANNELS_METADATA: "Split"}))
    handle(services, cloud.drop(AUDIO, "b.opus"))
    assert sorted(item.options.channels for item in cloud.work_items()) == [Channels.MIX, Channels.SPLIT]
    handle(services, cloud.drop(AUDIO, "c.opus", metadata={CHANNELS_METADATA: "left"}))
    (message,) = cloud.terminal_messages()
    assert message.reason == "The file's transcribe-channels is 'left'; known are mix, split."


RULES = """
[[rule]]
pattern = "therapy/**"
privacy = "local"
speakers = 2

[[rule]]
pattern = "films/**"
monthly-budget-usd = 0.000001
"""


def test_a_folders_rules_hold_for_the_uploads_in_it(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(UPLOAD_RULES=RULES)
    upload = cloud.drop(AUDIO, "therapy/a.opus", metadata={METHOD_METADATA: "deepgram", "transcribe-privacy": "any"})
    handle(services, upload)
    job = services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.decision is not None
    assert (job.record.options.is_private, str(job.record.options.speakers)) == (True, "2")
    assert (job.record.decision.method, job.record.decision.rule) == (Method.PARAKEET, "requested-private")


def test_a_folders_budget_rejects_uploads_of_this_folder_alone(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(UPLOAD_RULES=RULES)
    handle(services, cloud.drop(AUDIO, "films/a.opus"))
    handle(services, cloud.drop(AUDIO, "calls/a.opus"))
    (message,) = cloud.terminal_messages()
    assert (message.upload.name, message.failure_kind) == ("films/a.opus", FailureKind.QUOTA)
    assert "the month's budget, of which $0.0000 is left" in (message.reason or "")
    assert len(cloud.work_items()) == 1
