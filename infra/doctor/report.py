"""The doctor's report, and what stops a deploy: both are made of the same checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import requests
from google.cloud.storage import Client

from infra.doctor.checks import PREFLIGHT, Section, Stage, at_stages, run_checks
from infra.doctor.context import Context
from infra.doctor.credentials import SignedIn, sign_in
from infra.doctor.findings import Finding, Status, ok, unknown, warn
from infra.doctor.google import Google
from infra.doctor.names import Names
from infra.doctor.settings import DoctorSettings
from shared.clock import now

PREFLIGHT_SECONDS = 120.0
"""gcloud's first call on a machine takes long, and a deploy takes an hour."""


@dataclass(frozen=True)
class Report:
    """What was found."""

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

    @property
    def stops_deploy(self) -> bool:
        """Whether, of a preflight, something is not as it must be, or could not be asked."""
        return any(finding.status in (Status.FAIL, Status.UNKNOWN) for finding in self.findings())


def diagnose(names: Names, settings: DoctorSettings, *, deployed: bool | None = None) -> Report:
    """Check a deployment, or (`deployed` False, or found out by itself: None) the project that is to have one."""
    signed_in = sign_in(names, settings)
    context = _context(names, settings, signed_in)
    if not isinstance(signed_in, SignedIn):
        left_out = unknown("deployment", "Not looked at: Google's APIs take credentials.")
        checks = [check for check in at_stages(Stage.ALWAYS, Stage.PROJECT) if not check.needs_credentials]
        return Report(names, False, (Section("access", (signed_in, left_out)), *run_checks(context, checks)))
    context = replace(context, deployed=context.is_deployed() if deployed is None else deployed)
    stages = (Stage.ALWAYS, Stage.PROJECT, *((Stage.DEPLOYMENT,) if context.deployed else ()))
    # Who says that there is none yet is about to make one, or to change one.
    about = () if deployed is False else (_deployment(context),)
    access = Section("access", (signed_in.finding, *about))
    return Report(names, context.deployed, (access, *run_checks(context, at_stages(*stages))))


def preflight(names: Names, settings: DoctorSettings, *, release: str | None = None) -> Report:
    """What must be true before anything is made; `release`: one that must have been built."""
    signed_in = sign_in(names, settings)
    context = replace(_context(names, settings, signed_in), release=release)
    found = signed_in.finding if isinstance(signed_in, SignedIn) else signed_in
    sections = run_checks(context, at_stages(*PREFLIGHT), PREFLIGHT_SECONDS)
    return Report(names, False, (Section("access", (found,)), *sections))


def _context(names: Names, settings: DoctorSettings, signed_in: SignedIn | Finding) -> Context:
    """Without credentials: one whose APIs answer nothing."""
    if isinstance(signed_in, SignedIn):
        storage = Client(project=names.project, credentials=signed_in.credentials)
        return Context(names, settings, signed_in.google, storage, now())
    refused = Google(requests.Session(), names.project, settings.doctor_timeout_seconds, settings.google_apis_endpoint)
    return Context(names, settings, refused, Client.create_anonymous_client(), now())


def _deployment(context: Context) -> Finding:
    names = context.names
    if context.deployed:
        release = context.running_release()
        which = f", release {release}" if release else ""
        compare = f"What Terraform made, compared with what is there: {names.make('plan', release)}"
        return ok("deployment", f"{names.name} is in {names.region}{which}. {compare}")
    left_out = len(at_stages(Stage.DEPLOYMENT))
    return warn("deployment", f"Not deployed yet: {left_out} checks were left out.", names.make("deploy"))
