"""Signed URLs: somebody reads or writes one object for a limited time, without credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import google.auth
from google.auth.credentials import Signing
from google.auth.transport.requests import Request
from google.cloud.storage import Blob, Client

from shared.media import Upload

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class UrlSigner:
    """Signs V4 URLs as this process's account. Its token is fetched once: made for one request.

    A key file signs by itself; on Google Cloud the service account signs through signBlob, which needs
    roles/iam.serviceAccountTokenCreator on itself.
    """

    def __init__(self) -> None:
        """Raises google.auth's errors."""
        credentials, _ = google.auth.default(scopes=_SCOPES)
        self._options: dict[str, Any] = {"credentials": credentials}
        if not isinstance(credentials, Signing):
            credentials.refresh(Request())
            # Compute credentials know their account's name after a refresh.
            email = getattr(credentials, "service_account_email", None)
            self._options = {"service_account_email": email, "access_token": credentials.token}

    def sign(
        self,
        blob: Blob,
        lifetime: timedelta,
        method: Literal["GET", "POST"] = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """A URL for exactly this object, and generation where the blob has one.

        `headers`: that the request has to have; begin a resumable upload by POST with `x-goog-resumable: start`.
        """
        url = blob.generate_signed_url(
            version="v4",
            method=method,
            expiration=lifetime,
            generation=blob.generation if method == "GET" else None,
            headers=dict(headers) if headers else None,
            # With STORAGE_EMULATOR_HOST the client's address is not the one that signing assumes.
            api_access_endpoint=os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com",
            **self._options,
        )
        return str(url)


def signed_url(client: Client, upload: Upload, lifetime: timedelta) -> str:
    """A URL to read exactly this generation for `lifetime`."""
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    return UrlSigner().sign(blob, lifetime)
