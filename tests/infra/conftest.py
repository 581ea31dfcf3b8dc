"""What the tests of the doctor share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.rehearse.recorded_answers import bare_project, deployed
from tests.support.doctor_deployment import KEY, NAMES, DoctorDeployment, doctor_deployment


@pytest.fixture
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of this machine's user."""
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "DEEPGRAM_", "DOCTOR_", "PRICE_BOOK")):
            monkeypatch.delenv(name)


@pytest.fixture
def deployment(
    no_ambient_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: tuple[Path, bytes]
) -> Iterator[DoctorDeployment]:
    """A deployment as Terraform makes it, Deepgram enabled, in good health."""
    with doctor_deployment(deployed(NAMES, KEY), tmp_path, monkeypatch.setenv, service_account[0]) as opened:
        yield opened


@pytest.fixture
def empty_project(
    no_ambient_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: tuple[Path, bytes]
) -> Iterator[DoctorDeployment]:
    """A project with all that a deployment needs, and none in it."""
    with doctor_deployment(bare_project(NAMES), tmp_path, monkeypatch.setenv, service_account[0]) as opened:
        yield opened
