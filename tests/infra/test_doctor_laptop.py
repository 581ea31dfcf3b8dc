"""The doctor looks at the laptop cloud: its buckets are the laptop's, its functions have the laptop's settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from infra.doctor.names import FUNCTIONS, Names
from infra.doctor.report import diagnose
from infra.doctor.settings import DoctorSettings
from infra.emulators import cloud as laptop
from infra.emulators.cloud import LaptopCloud
from infra.rehearse.google_apis import GoogleState
from infra.rehearse.recorded_answers import deployed
from shared.errors import FailureKind
from shared.media import Upload
from shared.state.gpu_breaker import Breaker, BreakerPolicy
from tests.support.doctor_deployment import Lines, doctor_deployment, not_ok
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.waiting import wait_until


class LaptopNames(Names):
    """A laptop's buckets and its job have short names."""

    def bucket(self, purpose: str) -> str:
        return purpose

    def job(self, device: str) -> str:
        return laptop.JOB.rpartition("/")[2]


MINUTES = timedelta(minutes=10)
NAMES = LaptopNames(laptop.PROJECT, laptop.REGION)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaptopCloud]:
    with FaultyLaptopCloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def google_state_of(cloud: LaptopCloud) -> GoogleState:
    """A deployment whose functions have the laptop's settings."""
    google = deployed(NAMES, laptop.DEEPGRAM_KEY)
    for purpose in FUNCTIONS:
        name = f"{NAMES.location}/functions/{NAMES.function(purpose)}"
        function = google.resources[f"cloudfunctions.googleapis.com/v2/{name}"]
        function["serviceConfig"]["environmentVariables"] = dict(cloud.environment)
    return google


@pytest.mark.usefixtures("no_ambient_credentials")
def test_a_laptops_state_is_read_as_a_deployments(
    cloud: LaptopCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: tuple[Path, bytes]
) -> None:
    blob = cloud.storage().bucket(laptop.UPLOADS).blob("calls/a.mp3")
    blob.upload_from_string(b"no recording" * 100)
    upload = Upload(bucket=laptop.UPLOADS, name="calls/a.mp3", generation=int(blob.generation))
    state = cloud.storage().bucket(laptop.STATE)
    wait_until(lambda: state.blob(f"jobs/{upload.job_id}/outcome.json").exists(), "the upload's rejection")
    wait_until(lambda: not state.blob(f"open/{upload.job_id}.json").exists(), "its job's end")

    with doctor_deployment(google_state_of(cloud), tmp_path, monkeypatch.setenv, service_account[0]):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.storage_server.url)

        def lines() -> Lines:
            return not_ok(diagnose(NAMES, DoctorSettings()))

        assert lines() == {}
        policy = BreakerPolicy(1, MINUTES, MINUTES, MINUTES)
        Breaker(state, policy).record_failure(FailureKind.QUOTA, upload.job_id)
        assert lines() == {"GPU health": {"fail"}}
