"""Recordings that are too large for a request's body: an address in Cloud Storage to upload them to.

The client sends a POST with the given headers to the address, and gets the URI of a resumable upload session in the
`Location` header; it writes the file there, in as many requests as it takes. Options, length limit and "only once"
are in signed headers, so that they cannot be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from shared.clock import now
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.new_upload import NewUpload, uploads_bucket
from trigger_function.signed_urls import UrlSigner


class UploadAddress(BaseModel):
    """Where a recording is to be uploaded."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    name: str
    """Of the object; `GET /jobs?name=` finds its job."""
    method: str = "POST"
    url: str
    headers: Mapping[str, str]
    """That the request has to have."""
    expires_at: datetime


def upload_address(services: ApiServices, new: NewUpload) -> UploadAddress:
    """Raises google.auth's errors."""
    bucket, lifetime = uploads_bucket(services), timedelta(seconds=services.settings.api_upload_seconds)
    headers = {
        "content-type": new.content_type,
        "x-goog-resumable": "start",
        "x-goog-if-generation-match": "0",
        "x-goog-content-length-range": f"1,{services.settings.api_max_upload_bytes}",
        **{f"x-goog-meta-{key}": value for key, value in new.metadata.items()},
    }
    expires_at = now() + lifetime
    url = UrlSigner().sign(bucket.blob(new.name), lifetime, "POST", headers)
    return UploadAddress(bucket=str(bucket.name), name=new.name, url=url, headers=headers, expires_at=expires_at)
