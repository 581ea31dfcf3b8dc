"""The entry points: which events are uploads, and what a malformed one does, which is nothing."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from cloudevents.http import CloudEvent
from pydantic import ValidationError
from werkzeug.test import EnvironBuilder

from infra.recordings import recording
from shared.media import Upload
from tests.support.finalized_event import FINALIZED, finalized_event
from tests.support.function_services import MakeServices
from tests.support.hostile_names import HOSTILE_NAMES
from tests.support.loopback_cloud import RESULTS, STATE, UPLOADS, LoopbackCloud
from trigger_function.main import on_upload, reconcile
from trigger_function.services import Services, services_from_environment

AUDIO = recording("call.opus").path.read_bytes()
IGNORED_NAMES = ("trailing/", "...")
"""Of the hostile names: folders' and hidden ones."""


def event(data: Any, kind: str = FINALIZED) -> CloudEvent:
    return CloudEvent({"type": kind, "source": "//storage.googleapis.com", "id": "1"}, data)


def test_an_upload_is_queued_once_for_all_its_events(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    for _ in range(2):
        on_upload(finalized_event(upload))
    assert [item.upload for item in cloud.work_items()] == [upload]


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"\xff not json",
        "text",
        [1],
        {},
        {"bucket": UPLOADS, "name": "a.mp3"},
        {"bucket": UPLOADS, "name": "a.mp3", "generation": "soon"},
        {"bucket": UPLOADS, "name": "a.mp3", "generation": "0"},
        {"bucket": UPLOADS, "name": "", "generation": "1"},
        {"bucket": 7, "name": "a.mp3", "generation": "1"},
        {"bucket": UPLOADS, "name": "line\nbreak.mp3", "generation": "1"},
        {"bucket": UPLOADS, "name": "carriage\rreturn.mp3", "generation": "1"},
        {"bucket": UPLOADS, "name": "\udcff.mp3", "generation": "1"},
        {"bucket": UPLOADS, "name": "é" * 513, "generation": "1"},
    ],
)
def test_a_malformed_event_is_swallowed(cloud: LoopbackCloud, services: Services, data: Any) -> None:
    # An exception would have it delivered again, for a day.
    on_upload(event(data))
    assert cloud.names(STATE) == []


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name[:20]))
def test_every_name_that_cloud_storage_allows_is_queued(cloud: LoopbackCloud, services: Services, name: str) -> None:
    upload = cloud.drop(AUDIO, name)
    on_upload(finalized_event(upload))
    assert [item.upload for item in cloud.work_items()] == ([] if name in IGNORED_NAMES else [upload])


def test_an_event_of_another_type_is_no_upload(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO)
    on_upload(event(dict(upload), "google.cloud.storage.object.v1.deleted"))
    assert cloud.names(STATE) == []


@pytest.mark.parametrize("name", ["folder/", "calls/.DS_Store", "a.mp3.part", "notes.json"])
def test_ignored_names_start_nothing(cloud: LoopbackCloud, services: Services, name: str) -> None:
    on_upload(finalized_event(cloud.drop(AUDIO, name)))
    assert cloud.names(STATE) == []


def test_what_the_pipeline_writes_is_never_an_upload(cloud: LoopbackCloud, services: Services) -> None:
    for bucket in (RESULTS, STATE):
        on_upload(finalized_event(Upload(bucket=bucket, name="a.mp3/1/transcript.mp3", generation=1)))
    assert cloud.names(STATE) == []


@pytest.mark.parametrize("prefix", ["done", "done/", "/done/"])
def test_one_bucket_may_hold_uploads_and_under_a_prefix_results(
    cloud: LoopbackCloud, make_services: MakeServices, prefix: str
) -> None:
    make_services(RESULTS_BUCKET=UPLOADS, RESULTS_PREFIX=prefix)
    on_upload(finalized_event(cloud.drop(AUDIO, "done/a.mp3/1/copy.mp3")))
    assert cloud.names(STATE) == []
    for name in ("new/a.mp3", "done-later/a.mp3"):
        upload = cloud.drop(AUDIO, name)
        on_upload(finalized_event(upload))
        assert [item.upload for item in cloud.work_items()] == [upload]


def test_the_reconciler_answers_with_its_counts(cloud: LoopbackCloud, services: Services) -> None:
    assert reconcile(flask.Request(EnvironBuilder().get_environ())) == {}
    on_upload(finalized_event(cloud.drop(AUDIO)))
    assert reconcile(flask.Request(EnvironBuilder(method="POST").get_environ())) == {"waiting": 1}


def test_a_bad_setting_is_an_error_at_the_first_event(make_services: MakeServices) -> None:
    with pytest.raises(ValidationError, match="gpu_job"):
        make_services(GPU_JOB="my-job")


def test_the_services_are_made_once(services: Services) -> None:
    assert services_from_environment() is services
