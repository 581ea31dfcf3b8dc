"""The sweep: uploads whose event never came are found, each looked up once, and whatever stops a sweep it goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core.exceptions import BadRequest

from infra.recordings import recording
from shared.media import Upload
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.reconciler import sweep as sweeps
from trigger_function.reconciler.sweep import request_sweep, sweep
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
SECONDS = 600.0


@pytest.fixture
def services(make_services: MakeServices) -> Services:
    return make_services(UPLOADS_BUCKET=UPLOADS)


@pytest.fixture
def any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was dropped a moment ago is old enough."""
    monkeypatch.setattr(sweeps, "LEAST_AGE", timedelta(0))


def has_job(services: Services, upload: Upload) -> bool:
    return services.jobs.load(upload.job_id) is not None


@pytest.mark.usefixtures("any_age")
def test_an_upload_whose_event_never_came_is_transcribed(cloud: LoopbackCloud, services: Services) -> None:
    known, lost = cloud.drop(AUDIO, "calls/known.wav"), cloud.drop(AUDIO, "calls/lost.wav")
    ignored = cloud.drop(AUDIO, "calls/lost.wav.part")
    handle(services, known)
    assert sweep(services, SECONDS) == 1
    assert has_job(services, lost)
    assert not has_job(services, ignored)


def test_an_upload_of_this_hour_is_left_to_its_event(cloud: LoopbackCloud, services: Services) -> None:
    new = cloud.drop(AUDIO)
    assert sweep(services, SECONDS) == 0
    assert not has_job(services, new)


@pytest.mark.usefixtures("any_age")
def test_a_sweep_is_made_once_a_day_or_on_request(cloud: LoopbackCloud, services: Services) -> None:
    assert sweep(services, SECONDS) == 0
    lost = cloud.drop(AUDIO)
    assert sweep(services, SECONDS) == 0
    request_sweep(services.state)
    assert sweep(services, SECONDS) == 1
    assert has_job(services, lost)


@pytest.mark.usefixtures("any_age")
def test_older_uploads_than_are_swept_are_left(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    old = cloud.drop(AUDIO)
    services = make_services(UPLOADS_BUCKET=UPLOADS, SWEEP_MAX_DAYS="0.000000001")
    assert sweep(services, SECONDS) == 0
    assert not has_job(services, old)


@pytest.mark.parametrize("settings", [{"UPLOADS_BUCKET": UPLOADS, "SWEEP_HOURS": "0"}, {}], ids=["never", "no bucket"])
@pytest.mark.usefixtures("any_age")
def test_nothing_is_swept_where_nobody_wants_it(
    cloud: LoopbackCloud, make_services: MakeServices, settings: dict[str, str]
) -> None:
    lost = cloud.drop(AUDIO)
    services = make_services(**settings)
    assert sweep(services, SECONDS) == 0
    assert not has_job(services, lost)


@pytest.mark.usefixtures("any_age")
def test_where_none_is_made_by_itself_one_is_made_on_request(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(UPLOADS_BUCKET=UPLOADS, SWEEP_HOURS="0")
    lost = [cloud.drop(AUDIO, f"calls/{number}.wav") for number in range(2)]
    request_sweep(services.state)
    assert [sweep(services, seconds=0) for _ in range(3)] == [1, 1, 0]
    assert all(has_job(services, upload) for upload in lost)
    late = cloud.drop(AUDIO, "calls/late.wav")
    assert sweep(services, SECONDS) == 0
    assert not has_job(services, late)


@pytest.mark.usefixtures("any_age")
def test_a_sweep_without_time_goes_on_in_the_next_tick(cloud: LoopbackCloud, services: Services) -> None:
    lost = [cloud.drop(AUDIO, f"calls/{number}.wav") for number in range(3)]
    found = [sweep(services, seconds=0) for _ in range(4)]
    assert found == [1, 1, 1, 0]
    assert all(has_job(services, upload) for upload in lost)


@pytest.mark.usefixtures("any_age")
def test_a_sweep_that_fails_is_made_again(cloud: LoopbackCloud, services: Services) -> None:
    lost = cloud.drop(AUDIO)
    cloud.storage_server.fail_next(1, 400, method="POST", name_prefix=f"open/{lost.job_id}")
    with pytest.raises(BadRequest):
        sweep(services, SECONDS)
    assert not has_job(services, lost)
    assert sweep(services, SECONDS) == 1


@pytest.mark.usefixtures("any_age")
def test_an_unreadable_record_stops_no_sweep(cloud: LoopbackCloud, services: Services) -> None:
    known, lost = cloud.drop(AUDIO, "calls/1.wav"), cloud.drop(AUDIO, "calls/2.wav")
    services.state.blob(f"jobs/{known.job_id}/record.json").upload_from_string("{")
    assert sweep(services, SECONDS) == 1
    assert has_job(services, lost)
