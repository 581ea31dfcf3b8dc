"""Jobs over HTTP: listed, run again, erased, their results fetched."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from infra.recordings import recording
from shared.clock import now
from shared.media import Upload
from tests.support.api_server import ApiClient
from tests.support.finished_jobs import finish_job
from tests.support.loopback_cloud import RESULTS, STATE, UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()


def problem(response: requests.Response) -> str:
    assert response.headers["Content-Type"] == "application/problem+json", response.text
    return str(response.json()["type"]).removeprefix("urn:dropscribe:problem:")


def pages(client: ApiClient, **query: object) -> Iterator[list[str]]:
    """The job ids of each page."""
    while True:
        answer = client.get("/jobs", params=query)
        assert answer.status_code == 200, answer.text
        yield [job["job_id"] for job in answer.json()["jobs"]]
        if (token := answer.json()["next_page_token"]) is None:
            return
        query["page_token"] = token


@pytest.fixture(scope="module")
def jobs(operator: ApiClient, api_cloud: LoopbackCloud, deployment: Services) -> dict[str, list[str]]:
    """Ids of jobs by folder: waiting ones first, then those of today, then one of some weeks ago."""
    made: dict[str, list[str]] = {}
    for folder in ("tenant", "other"):
        queued = api_cloud.drop(AUDIO, f"{folder}/a/queued.ogg")
        handle(deployment, queued)
        completed, failed, old = (api_cloud.drop(b"x", f"{folder}/b/{name}.ogg") for name in ("good", "bad", "old"))
        finish_job(deployment, completed)
        finish_job(deployment, failed, fails=True)
        finish_job(deployment, old, received_at=now() - timedelta(days=20))
        made[folder] = [one.job_id for one in (queued, completed, failed, old)]
    return made


def test_every_job_is_on_one_page_and_the_days_descend(operator: ApiClient, jobs: dict[str, list[str]]) -> None:
    for limit in (1, 3, 100):
        listed = list(pages(operator, limit=limit))
        assert all(len(page) <= limit for page in listed)
        ids = [one for page in listed for one in page]
        assert sorted(ids) == sorted(jobs["tenant"] + jobs["other"])
        assert set(ids[:2]) == {jobs["tenant"][0], jobs["other"][0]}
        assert set(ids[-2:]) == {jobs["tenant"][3], jobs["other"][3]}


def test_a_key_lists_its_folder(tenant: ApiClient, jobs: dict[str, list[str]]) -> None:
    assert sorted(one for page in pages(tenant, limit=2) for one in page) == sorted(jobs["tenant"])
    assert [one for page in pages(tenant, folder="other") for one in page] == []


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"state": "completed"}, [1, 3]),
        ({"state": "failed"}, [2]),
        ({"state": "queued"}, [0]),
        ({"state": "running"}, []),
        ({"folder": "other/b"}, [1, 2, 3]),
        ({"since": "2 days ago"}, [0, 1, 2]),
        ({"until": "2 days ago"}, [3]),
        ({"since": "1970-01-01", "until": "1970-03-31"}, []),
        ({"name": "other/b/good.ogg"}, [1]),
        ({"name": "other/b/none.ogg"}, []),
        ({"name": "../b"}, []),
    ],
)
def test_jobs_are_filtered(
    operator: ApiClient, jobs: dict[str, list[str]], query: dict[str, str], wanted: list[int]
) -> None:
    day = (now() - timedelta(days=2)).date().isoformat()
    dated = {name: day if value == "2 days ago" else value for name, value in query.items()}
    listed = [one for page in pages(operator, **{"folder": "other", **dated}) for one in page]
    assert sorted(listed) == sorted(jobs["other"][index] for index in wanted)


def token(**content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"page_token": "x"}, 400),
        ({"page_token": "é"}, 400),
        ({"page_token": token()}, 400),
        ({"page_token": token(phase="open", after="../../results/")}, 400),
        ({"page_token": token(phase="ended", day="tomorrow")}, 400),
        ({"page_token": token(phase="ended", day="0001-01-01")}, 200),
        ({"page_token": token(phase="ended", day="9999-12-31", after="f")}, 200),
        ({"until": "0001-01-05"}, 200),
        ({"limit": "0"}, 422),
        ({"limit": "101"}, 422),
        ({"limit": ["1", "2"]}, 400),
        ({"state": "done"}, 422),
        ({"since": "2026-13-01"}, 422),
        ({"since": "0"}, 422),
        ({"since": "2026-02-02", "until": "2026-02-01"}, 422),
        ({"key": "x"}, 422),
    ],
)
def test_hostile_queries_are_problems(operator: ApiClient, query: dict[str, str], status: int) -> None:
    answer = operator.get("/jobs", params=query)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert problem(answer) in ("bad-request", "unusable-fields")


def test_results_are_read_without_credentials(
    operator: ApiClient, tenant: ApiClient, api_cloud: LoopbackCloud, deployment: Services, jobs: dict[str, list[str]]
) -> None:
    answer = operator.get(f"/results/{jobs['other'][1]}").json()
    assert answer["outcome"] == "completed"
    read = requests.get(answer["files"]["transcript.json"]["url"])
    assert read.json()["text"].lower().startswith("one two")
    assert read.request.headers.get("Authorization") is None
    altered = answer["files"]["transcript.json"]["url"].replace("transcript.json", "words.csv")
    assert requests.get(altered).status_code == 403
    assert set(operator.get(f"/results/{jobs['other'][2]}").json()["files"]) == {"receipt.json"}
    waiting = operator.get(f"/results/{jobs['other'][0]}")
    assert (waiting.status_code, problem(waiting)) == (409, "not-ended")
    assert problem(tenant.get(f"/results/{jobs['other'][1]}")) == "not-found"


def test_a_job_is_run_again_once(
    operator: ApiClient, tenant: ApiClient, deployment: Services, api_cloud: LoopbackCloud
) -> None:
    upload = api_cloud.drop(AUDIO, "again/a.ogg")
    finish_job(deployment, upload, fails=True)
    path = f"/jobs/{upload.job_id}/rerun"
    assert problem(tenant.post(path)) == "not-found"
    assert problem(operator.post(path, json={"model": "whisper"})) == "rerun-refused"
    assert problem(operator.post(path, json={"model": 7})) == "unusable-fields"
    key = {"Idempotency-Key": "again"}
    answer = operator.post(path, headers=key)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["run"], answer.json()["state"], answer.json()["earlier_usd"]) == (2, "claimed", 0.5)
    assert operator.post(path, headers=key).json() == answer.json()
    assert problem(operator.post(path)) == "rerun-refused"


def test_a_job_is_erased_with_a_receipt(
    operator: ApiClient, tenant: ApiClient, deployment: Services, api_cloud: LoopbackCloud
) -> None:
    upload = api_cloud.drop(b"some bytes", "gone/Erika.ogg")
    finish_job(deployment, upload)
    path = f"/jobs/{upload.job_id}"
    assert problem(tenant.delete(path)) == "not-found"
    answer = operator.delete(path)
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert receipt["complete"]
    assert receipt["upload"] == {"objects": 1, "bytes": 10}
    assert "Erika" not in answer.text
    assert operator.delete(path).json() == receipt
    for gone in (operator.get(path), operator.get(f"/results/{upload.job_id}"), operator.post(f"{path}/rerun")):
        assert (gone.status_code, problem(gone)) == (410, "erased")
    for bucket in (UPLOADS, RESULTS, STATE):
        assert [name for name in api_cloud.names(bucket) if "Erika" in name] == []
    assert upload.job_id not in [one for page in pages(operator) for one in page]
    assert problem(operator.delete("/jobs/" + "0" * 24)) == "not-found"


def test_a_submission_is_erased_before_its_event_has_arrived(operator: ApiClient, api_cloud: LoopbackCloud) -> None:
    sent = operator.post("/transcribe", data=AUDIO, headers={"Content-Type": "audio/ogg"}).json()
    receipt = operator.delete(f"/jobs/{sent['job_id']}").json()
    assert receipt["upload"]["objects"] == 1
    upload = Upload(**sent["upload"])
    assert api_cloud.storage.bucket(UPLOADS).get_blob(upload.name) is None


def test_a_key_without_budget_left_submits_nothing(
    poor: ApiClient, api_cloud: LoopbackCloud, deployment: Services
) -> None:
    upload = api_cloud.drop(b"x", "poor/a.ogg")
    finish_job(deployment, upload, fails=True, usd=0.02)
    before = len(api_cloud.names(UPLOADS))
    for answer in (
        poor.post("/transcribe", data=AUDIO, headers={"Content-Type": "audio/ogg"}),
        poor.post("/transcribe", json={"upload": {"size_bytes": 7}}),
        poor.post(f"/jobs/{upload.job_id}/rerun"),
    ):
        assert (answer.status_code, problem(answer)) == (429, "budget-spent")
    assert len(api_cloud.names(UPLOADS)) == before
    # To erase it gives no money back.
    assert poor.delete(f"/jobs/{upload.job_id}").status_code == 200
    assert problem(poor.post("/transcribe", json={"upload": {"size_bytes": 7}})) == "budget-spent"
    assert poor.get("/health").json()["budget"] == {"limit_usd": 0.01, "spent_usd": 0.02}
