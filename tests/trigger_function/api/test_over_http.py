"""The API over HTTP, served by functions-framework over local servers."""

from __future__ import annotations

import base64

import pytest
import requests
from google.cloud.storage import Blob

from infra.recordings import recording
from shared.media import Upload
from shared.messages import WorkItem
from tests.support.api_server import ARCHIVE, OPERATOR_KEY, TENANT_KEY, ApiClient
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()
SENT = {"Content-Type": "audio/ogg"}


def problem(response: requests.Response) -> str:
    """The kind of a problem, which has to be one as RFC 9457 has it."""
    body = response.json()
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    assert body["status"] == response.status_code
    assert body["title"]
    assert body["detail"]
    return str(body["type"]).removeprefix("urn:dropscribe:problem:")


def archived(cloud: LoopbackCloud, name: str, **metadata: str) -> Blob:
    blob = cloud.storage.bucket(ARCHIVE).blob(name)
    blob.metadata = metadata
    blob.upload_from_string(AUDIO, content_type="audio/ogg")
    return blob


def blob_of(cloud: LoopbackCloud, answer: requests.Response) -> Blob:
    """The object of the upload that an answer is about."""
    upload = Upload(**answer.json()["upload"])
    blob = cloud.storage.bucket(upload.bucket).get_blob(upload.name, generation=upload.generation)
    assert blob is not None
    return blob


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/robots.txt", 404, "not-found"),
        ("GET", "/jobs//x", 404, "not-found"),
        ("GET", "/jobs/../health", 404, "not-found"),
        ("GET", "/jobs/%2e%2e%2fhealth", 404, "not-found"),
        ("GET", "/jobs/" + "A" * 24, 404, "not-found"),
        ("GET", "/jobs/" + "0" * 25, 404, "not-found"),
        ("GET", "/jobs/" + "0" * 24 + "%0a", 404, "not-found"),
        ("GET", "/jobs/" + "%00" * 24, 404, "not-found"),
        ("GET", "/jobs/" + "0" * 24, 404, "not-found"),
        ("DELETE", "/transcribe", 405, "method-not-allowed"),
        ("TRACE", "/health", 405, "method-not-allowed"),
        ("PROPFIND", "/health", 405, "method-not-allowed"),
        ("POST", "/health", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there_is_a_problem(operator: ApiClient, method: str, path: str, status: int, kind: str) -> None:
    # As it is: requests would resolve the dots itself.
    session = requests.Session()
    request = requests.Request(method, operator.url, headers={"X-API-Key": OPERATOR_KEY}).prepare()
    request.url = operator.url + path
    response = session.send(request)
    assert (response.status_code, problem(response)) == (status, kind)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "x"},
        {"X-API-Key": OPERATOR_KEY[:-1]},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {base64.b64encode(OPERATOR_KEY.encode()).decode()}"},
        {"Authorization": f"Bearer {OPERATOR_KEY}x"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
def test_without_a_known_key_nothing_is_answered(operator: ApiClient, headers: dict[str, str]) -> None:
    response = operator.with_key(None).get("/health", headers=headers)
    assert problem(response) == "unauthorized"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "https://example.com", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/listen", "/transcribe?name=a.ogg", "/jobs/x/rerun"])
def test_a_page_of_another_origin_sets_nothing_off(
    operator: ApiClient, api_cloud: LoopbackCloud, path: str, headers: dict[str, str]
) -> None:
    """Forms and text are sent to any address without asking first; where IAM alone decides, no key is in the way."""
    before = {blob.name for blob in api_cloud.storage.list_blobs(UPLOADS)}
    if path == "/v1/audio/transcriptions":
        answer = operator.post(path, headers=headers, files={"file": ("a.ogg", AUDIO)}, data={"model": "whisper-1"})
    else:
        answer = operator.post(path, headers={"Content-Type": "text/plain", **headers}, data=AUDIO)
    assert answer.status_code == 403
    assert {blob.name for blob in api_cloud.storage.list_blobs(UPLOADS)} == before


@pytest.mark.parametrize("headers", [{"Origin": "SELF", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_what_a_browser_sends_by_itself_is_answered(operator: ApiClient, headers: dict[str, str]) -> None:
    sent = {name: operator.url if value == "SELF" else value for name, value in headers.items()}
    answer = operator.post("/transcribe", headers={**SENT, **sent}, data=AUDIO, params={"name": "a.ogg"})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("host", ["example.com", "example.com:PORT", "127.0.0.1", "localhost.example.com:PORT"])
def test_no_other_host_is_answered(operator: ApiClient, host: str) -> None:
    """DNS rebinding: a name of an attacker's that leads to 127.0.0.1 is, to a browser, that attacker's origin."""
    port = operator.url.rpartition(":")[2]
    answer = operator.get("/jobs", headers={"Host": host.replace("PORT", port)})
    assert answer.status_code == 421
    assert problem(answer) == "misdirected-request"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
def test_a_key_comes_in_either_header(operator: ApiClient, scheme: str) -> None:
    client = operator.with_key(None)
    assert client.get("/health", headers={"Authorization": f"{scheme} {OPERATOR_KEY}"}).status_code == 200
    assert client.get("/health", headers={"X-API-Key": OPERATOR_KEY}).status_code == 200
    assert client.get("/openapi.yaml").status_code == 200


def test_a_recording_in_the_body_takes_the_way_of_a_dropped_file(
    operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services
) -> None:
    query = {"name": "naïve 😀.ogg", "video_id": "dQw4-x", "force_method": "parakeet", "folder": "calls/2026"}
    answer = operator.post("/transcribe", data=AUDIO, headers=SENT, params=query)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]
    assert answer.headers["Location"] == f"/jobs/{job_id}"
    blob = blob_of(api_cloud, answer)
    assert blob.download_as_bytes() == AUDIO
    assert blob.name.startswith("calls/2026/")
    assert blob.name.endswith("/naïve 😀.ogg")
    assert blob.metadata == {"transcribe-method": "parakeet", "transcribe-video-id": "dQw4-x"}
    accepted = operator.get(f"/jobs/{job_id}").json()
    assert (accepted["state"], accepted["upload"]) == ("accepted", answer.json()["upload"])

    handle(deployment, Upload(**answer.json()["upload"]))
    items: list[WorkItem] = api_cloud.work_items()
    assert [item.job_id for item in items] == [job_id]
    job = operator.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["stage"], job["video_id"]) == ("queued", "queued", "dQw4-x")
    assert job["decision"]["method"] == "parakeet"
    assert job["progress"]["share"] == 0.0
    assert job["expected_at"] is not None


def test_an_option_without_a_value_is_refused(operator: ApiClient) -> None:
    """Rather than left out: it may be the variable of a script that was never set."""
    for name in ("privacy", "redact", "max_cost_usd"):
        answer = operator.post("/transcribe", data=AUDIO, headers=SENT, params={name: ""})
        assert (answer.status_code, problem(answer)) == (422, "unusable-fields")


def test_a_recording_of_another_bucket_is_copied_with_its_options(
    operator: ApiClient, api_cloud: LoopbackCloud
) -> None:
    archived(api_cloud, "calls/a.ogg", **{"Transcribe-Privacy": "LOCAL", "transcribe-channels": "split", "other": "x"})
    asked = {"uri": f"gs://{ARCHIVE}/calls/a.ogg", "options": {"privacy": "any", "track": 1}}
    answer = operator.post("/transcribe", json=asked)
    assert answer.status_code == 202, answer.text
    blob = blob_of(api_cloud, answer)
    assert (blob.bucket.name, blob.content_type) == (UPLOADS, "audio/ogg")
    assert blob.name.startswith("api/")
    assert blob.download_as_bytes() == AUDIO
    # What its owner keeps from every API stays so.
    assert blob.metadata == {
        "transcribe-privacy": "local",
        "transcribe-channels": "split",
        "transcribe-track": "1",
    }


def test_a_recording_of_the_uploads_bucket_is_pointed_to(operator: ApiClient, api_cloud: LoopbackCloud) -> None:
    upload = api_cloud.drop(AUDIO, "dropped/a.ogg")
    answer = operator.post("/transcribe", json={"uri": f"gs://{UPLOADS}/dropped/a.ogg"})
    assert answer.status_code == 202
    assert answer.json()["job_id"] == upload.job_id
    refused = operator.post("/transcribe", json={"uri": f"gs://{UPLOADS}/dropped/a.ogg", "force_method": "parakeet"})
    assert (refused.status_code, problem(refused)) == (409, "already-an-upload")


def test_a_large_recording_is_uploaded_to_a_signed_address(operator: ApiClient, api_cloud: LoopbackCloud) -> None:
    asked = {"upload": {"size_bytes": 10**9, "content_type": "video/mp4"}, "name": "a b.mp4", "video_id": "v1"}
    answer = operator.post("/transcribe", json=asked)
    assert answer.status_code == 202, answer.text
    address = answer.json()["upload"]
    begun = requests.request(address["method"], address["url"], headers=address["headers"])
    assert begun.status_code == 201, begun.text
    done = requests.put(begun.headers["Location"], data=AUDIO)
    assert done.status_code == 200, done.text
    upload = Upload(bucket=UPLOADS, name=address["name"], generation=int(done.headers["X-Goog-Generation"]))
    blob = api_cloud.storage.bucket(UPLOADS).get_blob(upload.name)
    assert blob.metadata == {"transcribe-video-id": "v1"}
    assert blob.content_type == "video/mp4"
    # The options are signed with it.
    without = {name: value for name, value in address["headers"].items() if "video-id" not in name}
    assert requests.request(address["method"], address["url"], headers=without).status_code == 403


def test_a_body_that_is_too_large_gets_an_address(operator: ApiClient, api_cloud: LoopbackCloud) -> None:
    before = len(api_cloud.names(UPLOADS))
    answer = operator.post("/transcribe", data=b"x" * 100_001, headers=SENT, params={"name": "b.ogg"})
    assert (answer.status_code, problem(answer)) == (413, "upload-instead")
    assert answer.json()["upload"]["name"].endswith("/b.ogg")
    assert len(api_cloud.names(UPLOADS)) == before


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"{", {}, 400, "not-json"),
        (b"NaN", {}, 400, "not-json"),
        (b"[" * 60_000, {}, 400, "not-json"),
        (b'{"uri": "gs://archive/a", "name": "\\ud800"}', {}, 400, "not-json"),
        (b"\xff\xfe", {}, 400, "not-json"),
        (b"[]", {}, 422, "unusable-fields"),
        (b"{}", {}, 422, "unusable-fields"),
        (b'{"uri": 7}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "key": "x"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "upload": {"size_bytes": 1}}', {}, 422, "unusable-fields"),
        (b'{"uri": "ftp://archive/a"}', {}, 422, "unusable-fields"),
        (b'{"uri": "https://[::1"}', {}, 422, "url-refused"),
        (b'{"uri": "gs://archive"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a\\nb"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "name": "../a"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "name": ".."}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "name": "a.json"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "folder": "a/../b"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "folder": "/a"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "folder": "a\\r\\nb"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "video_id": "a/b"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "force_method": "whisper"}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "options": {"track": "all", "channels": "split"}}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/a", "options": {"deadline_minutes": -1}}', {}, 422, "unusable-fields"),
        (b'{"uri": "gs://archive/missing"}', {}, 404, "not-found"),
        (b'{"uri": "gs://results/a"}', {}, 403, "source-not-allowed"),
        (b'{"uri": "gs://state/a"}', {}, 403, "source-not-allowed"),
        (b'{"uri": "gs://archive2/a"}', {}, 403, "source-not-allowed"),
        (b" " * 70_000, {}, 413, "request-entity-too-large"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": "multipart/form-data"}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": ""}, 415, "unsupported-media-type"),
        (b"", SENT, 400, "bad-request"),
    ],
)
def test_a_submission_that_cannot_be_taken_is_a_problem(
    operator: ApiClient, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    response = operator.post("/transcribe", data=body, headers={"Content-Type": "application/json", **headers})
    assert (response.status_code, problem(response)) == (status, kind), response.text


def test_a_key_reaches_its_folder_and_nothing_else(
    operator: ApiClient, tenant: ApiClient, api_cloud: LoopbackCloud
) -> None:
    theirs = operator.post("/transcribe", data=AUDIO, headers=SENT).json()
    own = tenant.post("/transcribe", data=AUDIO, headers=SENT, params={"folder": "calls"}).json()
    assert own["upload"]["name"].startswith("tenant/calls/")
    assert tenant.get(f"/jobs/{own['job_id']}").status_code == 200
    assert operator.get(f"/jobs/{own['job_id']}").status_code == 200
    assert problem(tenant.get(f"/jobs/{theirs['job_id']}")) == "not-found"
    # Nor by copying it into its own.
    api_cloud.drop(AUDIO, "tenant2/a.ogg")
    archived(api_cloud, "other/a.ogg")
    archived(api_cloud, "tenant/a.ogg")
    for uri in (
        f"gs://{UPLOADS}/{theirs['upload']['name']}",
        f"gs://{UPLOADS}/tenant2/a.ogg",
        "gs://archive/other/a.ogg",
    ):
        assert problem(tenant.post("/transcribe", json={"uri": uri})) == "source-not-allowed"
    assert tenant.post("/transcribe", json={"uri": "gs://archive/tenant/a.ogg"}).status_code == 202
    # Nor by having its words reported, or quoted in an error, as key terms.
    for name, status in (("other/keyterms.txt", 422), ("keyterms.txt", 422), ("tenant/keyterms.txt", 202)):
        answer = tenant.post("/transcribe", data=AUDIO, headers=SENT, params={"keyterms_file": name})
        assert (name, answer.status_code) == (name, status)
        asked = {"uri": "gs://archive/tenant/a.ogg", "options": {"keyterms_file": name}}
        assert tenant.post("/transcribe", json=asked).status_code == status


def test_a_repeated_request_is_done_once(operator: ApiClient, tenant: ApiClient, api_cloud: LoopbackCloud) -> None:
    archived(api_cloud, "once.ogg")
    asked, key = {"uri": f"gs://{ARCHIVE}/once.ogg", "name": "once.ogg"}, {"Idempotency-Key": "8e03978e-40d5"}
    first, second = (operator.post("/transcribe", json=asked, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert [name for name in api_cloud.names(UPLOADS, "api/") if name.endswith("/once.ogg")] == [
        first.json()["upload"]["name"]
    ]
    other = operator.post("/transcribe", json={**asked, "name": "other.ogg"}, headers=key)
    assert (other.status_code, problem(other)) == (422, "key-of-another-request")
    # What was refused may be mended under the same key, and another caller's key is another one.
    refused = tenant.post("/transcribe", json=asked, headers=key)
    assert problem(refused) == "source-not-allowed"
    assert tenant.post("/transcribe", data=AUDIO, headers={**SENT, **key}).status_code == 202


def test_keys_are_never_logged(operator: ApiClient) -> None:
    operator.get("/health", headers={"Authorization": f"Bearer {TENANT_KEY}"})
    operator.with_key("secret-of-nobody").get("/health")
    text = operator.log.read_text()
    assert OPERATOR_KEY not in text
    assert TENANT_KEY not in text
    assert "secret-of-nobody" not in text
