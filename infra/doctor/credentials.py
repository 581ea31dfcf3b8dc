"""Who asks: application default credentials, as Google's libraries and Terraform find them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial

import google.auth
from google.auth.credentials import Credentials, CredentialsWithQuotaProject
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials as UserCredentials
from requests.adapters import HTTPAdapter

from infra.doctor.findings import Finding, fail, ok, warn
from infra.doctor.google import Google, Unanswered
from infra.doctor.names import Names
from infra.doctor.resources import UserInfo
from infra.doctor.settings import DoctorSettings

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_CONNECTIONS = 32
"""At least the number of checks, which ask at the same time."""

_LOGIN = "gcloud auth application-default login"


@dataclass(frozen=True)
class SignedIn:
    """Credentials that work, and the APIs as seen with them."""

    credentials: Credentials
    google: Google
    finding: Finding


def sign_in(names: Names, settings: DoctorSettings) -> SignedIn | Finding:
    """Find credentials and try them; the finding alone where there are none, or they are refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a quota project; the report says it
            credentials, _ = google.auth.default(scopes=SCOPES)
        credentials.refresh(partial(Request(), timeout=settings.doctor_timeout_seconds))
    except DefaultCredentialsError as error:
        return fail("credentials", f"No application default credentials: {_first_line(error)}", _LOGIN)
    except TransportError as error:
        return fail("credentials", f"Google was not reached: {_first_line(error)}", "Look at network and proxy.")
    # google-auth lets through what becomes of an answer that is none of Google's, a proxy's page for example.
    except (GoogleAuthError, ValueError, TypeError) as error:
        return fail("credentials", f"They were refused: {_first_line(error)}", _LOGIN)
    found: str | None = getattr(credentials, "quota_project_id", None)
    # A person's questions are counted against a project, in which the API has to be on: the one that is asked about.
    is_counted = found is not None or isinstance(credentials, UserCredentials)
    if is_counted and found != names.project and isinstance(credentials, CredentialsWithQuotaProject):
        credentials = credentials.with_quota_project(names.project)
    session = AuthorizedSession(credentials)
    session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    asked = Google(session, names.project, settings.doctor_timeout_seconds, settings.google_apis_endpoint)
    return SignedIn(credentials, asked, _described(credentials, asked, names, found))


def _described(credentials: Credentials, asked: Google, names: Names, found: str | None) -> Finding:
    """`found`: the quota project that the credentials came with."""
    who = _who(credentials, asked)
    quota = getattr(credentials, "quota_project_id", None)
    if quota == found:
        return ok("credentials", f"{who}{f'; quota project {quota}' if quota else ''}.")
    fix = f"gcloud auth application-default set-quota-project {names.project}"
    came_with = f"quota project {found}" if found else "no quota project"
    return warn("credentials", f"{who}; {came_with}: these questions are counted against {names.project}.", fix)


def _who(credentials: Credentials, asked: Google) -> str:
    """A service account's credentials name it; for a user Google is asked."""
    email = getattr(credentials, "service_account_email", None)
    if email:
        return str(email)
    try:
        return asked.get(UserInfo, "www.googleapis.com", "oauth2/v2/userinfo").email or "A user"
    except Unanswered:
        return "A user"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
