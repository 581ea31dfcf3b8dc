"""The whole visit: sign in, see whether there is a deployment, make the checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import requests
from google.cloud.storage import Client

from infra.doctor.context import Context, is_deployed
from infra.doctor.credentials import SignedIn, sign_in
from infra.doctor.examination import CHECKS, Section, examine
from infra.doctor.findings import Finding, Status, ok, unknown, warn
from infra.doctor.google import Google
from infra.doctor.names import Names
from infra.doctor.settings import DoctorSettings
from shared.clock import now


@dataclass(frozen=True)
class Report:
    """What the doctor says."""

    names: Names
    deployed: bool
    sections: tuple[Section, ...]

    def findings(self) -> Iterator[Finding]:
        """Every line."""
        for section in self.sections:
            yield from section.findings

    @property
    def failed(self) -> bool:
        """Whether something must be done before uploads are transcribed."""
        return any(finding.status is Status.FAIL for finding in self.findings())


def visit(names: Names, settings: DoctorSettings, *, deployed: bool | None = None) -> Report:
    """Examine a deployment, or (`deployed` False, or found out by itself: None) the project that is to have one."""
    signed_in = sign_in(names, settings)
    if not isinstance(signed_in, SignedIn):
        return _without_credentials(names, settings, signed_in)
    if deployed is None:
        deployed = is_deployed(signed_in.google, names)
    storage = Client(project=names.project, credentials=signed_in.credentials)
    context = Context(names, settings, signed_in.google, storage, now(), deployed)
    access = Section("access", (signed_in.finding, _deployment(names, deployed=deployed)))
    return Report(names, deployed, (access, *examine(context)))


def _deployment(names: Names, *, deployed: bool) -> Finding:
    if deployed:
        return ok("deployment", f"{names.name} is in {names.region}.")
    waiting = sum(check.after_deploy for check in CHECKS)
    deploy = f"make deploy PROJECT={names.project} REGION={names.region}"
    return warn("deployment", f"Not deployed yet: {waiting} checks wait for it.", deploy)


def _without_credentials(names: Names, settings: DoctorSettings, why: Finding) -> Report:
    """What can be said without asking Google."""
    nobody = Google(requests.Session(), names.project, settings.doctor_timeout_seconds, settings.google_apis_endpoint)
    context = Context(names, settings, nobody, Client.create_anonymous_client(), now(), deployed=False)
    left_out = unknown("deployment", "Not looked at: everything at Google takes credentials.")
    checks = [check for check in CHECKS if not check.asks_google]
    return Report(names, False, (Section("access", (why, left_out)), *examine(context, checks)))
