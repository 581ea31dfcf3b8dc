"""OpenAI's and Deepgram's routes over HTTP where nothing transcribes: what is waited for, and how each end is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from infra.recordings import recording
from shared.clock import now
from shared.enums import Engine
from shared.errors import DropscribeError
from shared.languages.choice import parse_language_choice
from shared.media import Media, Upload
from shared.options.model import UploadOptions, WebhookBody
from shared.options.parsing import parse_upload_options
from shared.options.speaker_count import SpeakerCount
from shared.state.deployment import connect
from shared.state.finisher import Finisher
from shared.state.job_result import JobResult, completed, failed, rejected
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Word
from tests.support.api_server import OPERATOR_KEY, ApiClient, api_server
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from trigger_function.api.submissions.streamed import HELD_BYTES
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()
MEDIA = Media(container="wav", codec="pcm", duration_seconds=10, sample_rate_hz=16000, channels=1, size_bytes=9)
OPENAI, DEEPGRAM = "/v1/audio/transcriptions", "/v1/listen"


@pytest.fixture(scope="module")
def large_files(api_cloud: LoopbackCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A client of an API that takes files of more than are held in memory."""
    log = tmp_path_factory.mktemp("api-large-files") / "log"
    with api_server(log, API_MAX_BODY_BYTES=str(2 * HELD_BYTES)) as client:
        yield client.with_key(OPERATOR_KEY)


def sent(client: ApiClient, path: str, key: str, audio: bytes = AUDIO, **fields: str) -> requests.Response:
    headers = {"Idempotency-Key": key}
    if path == DEEPGRAM:
        return client.post(path, params=fields, data=audio, headers={**headers, "Content-Type": "audio/wav"})
    files = {"file": ("call.opus", audio)}
    return client.post(path, data={"model": "whisper-1", **fields}, files=files, headers=headers)


def upload_of(cloud: LoopbackCloud, deployment: Services, answer: requests.Response) -> Upload:
    """The upload of the job that an answer names."""
    for blob in cloud.storage.list_blobs(UPLOADS):
        upload = Upload(bucket=UPLOADS, name=blob.name, generation=int(blob.generation))
        if upload.job_id == answer.headers["X-Dropscribe-Job"]:
            return upload
    raise AssertionError("no upload of this job")


def end(deployment: Services, upload: Upload, result: JobResult, finisher: Finisher | None = None) -> None:
    job = deployment.jobs.claim(upload, "test", timedelta(minutes=5))
    assert job is not None
    record = job.record.model_copy(update={"media": MEDIA, "started_at": now()})
    (finisher or deployment.finisher).finish(record, result)


def with_gap(upload: Upload) -> JobResult:
    return completed(
        compose(
            job_id=upload.job_id,
            source=upload.uri,
            duration=10.0,
            language="en",
            model="tiny",
            passages=[Passage(Engine.PARAKEET_CPU, [Word(text="Hello.", start=1.0, end=2.0)])],
            coverage=Coverage(
                speech_seconds=3.0, covered_seconds=1.0, gaps=(Gap(start=4.0, end=6.0, reason="damaged"),)
            ),
        )
    )


@pytest.mark.parametrize("path", [OPENAI, DEEPGRAM])
def test_a_job_that_takes_longer_is_named_and_a_repeated_request_waits_for_it(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services, path: str
) -> None:
    first = sent(operator, path, "gap")
    job_id = first.headers["X-Dropscribe-Job"]
    assert (first.status_code, first.headers["Location"]) == (202, f"/jobs/{job_id}")
    assert first.json()["url"] == f"/jobs/{job_id}"
    assert operator.get(f"/jobs/{job_id}").json()["state"] == "accepted"
    upload = upload_of(api_cloud, deployment, first)
    end(deployment, upload, with_gap(upload))
    second = sent(operator, path, "gap")
    assert (second.status_code, second.headers["X-Dropscribe-Job"]) == (200, job_id)
    assert second.headers["X-Dropscribe-Outcome"] == "completed_with_gaps"
    if path == DEEPGRAM:
        assert second.json()["metadata"]["coverage"]["gaps"] == [{"start": 4.0, "end": 6.0, "reason": "damaged"}]
    else:
        verbose = sent(operator, path, "gap", response_format="verbose_json").json()
        assert verbose["coverage"]["gaps"] == [{"start": 4.0, "end": 6.0, "reason": "damaged"}]
        assert sent(operator, path, "gap", response_format="text").text == "Hello.\n"
    other = sent(operator, path, "gap", AUDIO + b"x")
    assert other.status_code == 400
    assert "Idempotency-Key" in other.text
    options = {"multichannel": "true"} if path == DEEPGRAM else {"model": "hybrid"}
    assert sent(operator, path, "gap", **options).status_code == 400


@pytest.mark.parametrize(("format_", "line"), [("srt", "00:00:01,000 --> 00:00:02,000"), ("vtt", "00:00:01.000 --> ")])
def test_subtitles_that_are_not_stored_are_made(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services, format_: str, line: str
) -> None:
    settings = deployment.settings.model_copy(update={"result_formats": ("transcript.json",)})
    upload = upload_of(api_cloud, deployment, sent(operator, OPENAI, f"{format_} not stored", response_format=format_))
    others = connect(settings)
    end(deployment, upload, with_gap(upload), others.finisher)
    others.publisher.stop()
    answer = sent(operator, OPENAI, f"{format_} not stored", response_format=format_)
    assert answer.status_code == 200
    assert line in answer.text
    assert "Hello." in answer.text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [(OPENAI, 500, "job_failed"), (DEEPGRAM, 400, "JOB_FAILED")],
)
def test_a_job_that_failed_is_not_a_reason_to_send_it_again(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services, path: str, status: int, code: str
) -> None:
    upload = upload_of(api_cloud, deployment, sent(operator, path, "failed"))
    end(deployment, upload, failed(DropscribeError("Every engine failed.")))
    answer = sent(operator, path, "failed")
    body = answer.json()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
    said = (
        (body["err_code"], body["err_msg"]) if path == DEEPGRAM else (body["error"]["code"], body["error"]["message"])
    )
    assert said == (code, "Every engine failed.")


@pytest.mark.parametrize("path", [OPENAI, DEEPGRAM])
def test_a_recording_that_is_none_is_the_clients_fault(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services, path: str
) -> None:
    upload = upload_of(api_cloud, deployment, sent(operator, path, "rejected"))
    end(deployment, upload, rejected(DropscribeError("No audio.")))
    answer = sent(operator, path, "rejected")
    assert answer.status_code == 400
    assert "No audio." in answer.text
    assert upload.job_id in answer.text


def test_a_keys_folder_takes_what_its_clients_send(tenant: ApiClient, api_cloud: LoopbackCloud) -> None:
    before = set(api_cloud.names(UPLOADS))
    assert sent(tenant, OPENAI, "tenant").status_code == sent(tenant, DEEPGRAM, "tenant").status_code == 202
    new = sorted(set(api_cloud.names(UPLOADS)) - before, key=lambda name: name.rpartition("/")[2])
    assert [name.split("/")[::2] for name in new] == [["tenant", "call.opus"], ["tenant", "recording"]]


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        (OPENAI, "application/json", b"{}"),
        (OPENAI, "multipart/form-data; boundary=x", b"--x"),
        (OPENAI, "multipart/form-data", b"--x--"),
        (DEEPGRAM, "application/json", b"{}"),
        (DEEPGRAM, "application/json", b"[1]"),
        (DEEPGRAM, "application/json", b"{" * 100_000),
        (DEEPGRAM, "application/json", b'{"url": "https://a.example/", "more": 1}'),
        (DEEPGRAM, "audio/wav", b""),
    ],
)
def test_bodies_that_are_nothing_are_refused_in_the_services_own_shape(
    operator: ApiClient, path: str, content_type: str, body: bytes
) -> None:
    answer = operator.post(path, data=body, headers={"Content-Type": content_type})
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"] == "application/json"
    assert ("error" in answer.json()) == (path == OPENAI)
    assert ("err_msg" in answer.json()) == (path == DEEPGRAM)


def test_a_form_that_is_larger_than_it_said_is_told_the_way_out(operator: ApiClient) -> None:
    answer = sent(operator, OPENAI, "large", bytes(100_001))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "upload_instead")
    chunks = iter([b"x" * 60_000, b"x" * 60_000])
    streamed = operator.post(DEEPGRAM, data=chunks, headers={"Content-Type": "audio/wav"})
    assert (streamed.status_code, streamed.json()["err_code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "POST /transcribe" in streamed.json()["err_msg"]


def test_a_callback_is_answered_at_once_and_kept_with_the_upload(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services
) -> None:
    url = "https://hooks.example.com/Deepgram?ticket=7"
    answer = sent(operator, DEEPGRAM, "callback", callback=url, punctuate="true")
    job_id = answer.headers["X-Dropscribe-Job"]
    assert (answer.status_code, answer.json()) == (200, {"request_id": job_id})
    upload = upload_of(api_cloud, deployment, answer)
    blob = api_cloud.storage.bucket(UPLOADS).get_blob(upload.name)
    assert blob is not None
    options = parse_upload_options(blob.metadata)
    assert (options.webhook, options.webhook_body) == (url, WebhookBody.DEEPGRAM)
    for elsewhere in ("https://evil.example/", "http://hooks.example.com/", "https://hooks.example.com@evil.example/"):
        refused = sent(operator, DEEPGRAM, "elsewhere", callback=elsewhere)
        assert (refused.status_code, refused.json()["err_code"]) == (400, "Bad Request")
        assert "WEBHOOK_ALLOWED_ORIGINS" in refused.json()["err_msg"]


def options_of(cloud: LoopbackCloud, upload: Upload) -> UploadOptions:
    """What the object's metadata asks for."""
    blob = cloud.storage.bucket(UPLOADS).get_blob(upload.name)
    assert blob is not None
    return parse_upload_options(blob.metadata or {})


ASKED = (("response_format", (None, "diarized_json")), ("language", (None, "de")))
FORM_MODEL = ("model", (None, "gpt-4o-transcribe-diarize"))


@pytest.mark.parametrize("is_behind", [False, True])
def test_openai_form_asks_who_speaks_and_in_which_language_wherever_the_fields_stand(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services, is_behind: bool
) -> None:
    file = ("file", ("call.opus", AUDIO))
    parts = [FORM_MODEL, *([file, *ASKED] if is_behind else [*ASKED, file])]
    answer = operator.post(OPENAI, files=parts, headers={"Idempotency-Key": f"asked {is_behind}"})
    assert answer.status_code == 202, answer.text
    options = options_of(api_cloud, upload_of(api_cloud, deployment, answer))
    assert options.speakers == SpeakerCount()
    assert options.language == parse_language_choice("de")


@pytest.mark.parametrize("late", ASKED, ids=lambda field: field[0])
def test_openai_fields_behind_a_large_file_are_refused_where_they_would_change_its_options(
    api_cloud: LoopbackCloud, large_files: ApiClient, late: tuple[str, tuple[None, str]]
) -> None:
    before = api_cloud.names(UPLOADS)
    parts = [FORM_MODEL, ("file", ("call.opus", AUDIO + bytes(HELD_BYTES))), late]
    answer = large_files.post(OPENAI, files=parts)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "fields_after_file"), answer.text
    assert "before the file" in answer.json()["error"]["message"]
    assert api_cloud.names(UPLOADS) == before


def test_openai_fields_before_a_large_file_are_its_options_and_others_may_follow_it(
    api_cloud: LoopbackCloud, deployment: Services, large_files: ApiClient
) -> None:
    file = ("file", ("call.opus", AUDIO + bytes(HELD_BYTES)))
    answer = large_files.post(OPENAI, files=[FORM_MODEL, *ASKED, file, ("temperature", (None, "0"))])
    assert answer.status_code == 202, answer.text
    options = options_of(api_cloud, upload_of(api_cloud, deployment, answer))
    assert (options.speakers, options.language) == (SpeakerCount(), parse_language_choice("de"))
