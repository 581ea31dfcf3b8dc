"""Signed URLs: a provider fetches an upload itself, for a limited time, without credentials."""

from __future__ import annotations

import os
from datetime import timedelta

import google.auth
from google.auth.credentials import Signing
from google.auth.transport.requests import Request
from google.cloud.storage import Client

from shared.media import Upload

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def signed_url(client: Client, upload: Upload, lifetime: timedelta) -> str:
    """A V4 URL to read exactly this generation for `lifetime`.

    A key file signs by itself; on Google Cloud the service account signs through signBlob, which needs
    roles/iam.serviceAccountTokenCreator on itself.
    """
    credentials, _ = google.auth.default(scopes=_SCOPES)
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    # With STORAGE_EMULATOR_HOST the client's address is not the one that signing assumes.
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
    options: dict[str, object] = {"credentials": credentials}
    if not isinstance(credentials, Signing):
        credentials.refresh(Request())
        # Compute credentials know their account's name after a refresh.
        email = getattr(credentials, "service_account_email", None)
        options = {"service_account_email": email, "access_token": credentials.token}
    url = blob.generate_signed_url(
        version="v4",
        method="GET",
        expiration=lifetime,
        generation=upload.generation,
        api_access_endpoint=endpoint,
        **options,
    )
    return str(url)
