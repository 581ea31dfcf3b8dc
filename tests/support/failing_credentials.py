"""Credentials that cannot be had, as where the metadata server does not answer."""

from __future__ import annotations

from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError
from google.cloud.storage import Bucket, Client

from tests.support.loopback_cloud import PROJECT, STATE


class FailingCredentials(Credentials):
    """No request gets a token."""

    def refresh(self, request: object) -> None:
        raise RefreshError("the metadata server does not answer")


def state_bucket_without_credentials() -> Bucket:
    """The state bucket, as a process without a token has it."""
    bucket: Bucket = Client(project=PROJECT, credentials=FailingCredentials()).bucket(STATE)
    return bucket
