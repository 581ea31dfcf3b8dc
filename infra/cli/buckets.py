"""Cloud Storage for commands that read a deployment's buckets."""

from __future__ import annotations

import os

from google.cloud.storage import Bucket, Client
from pydantic import TypeAdapter, ValidationError

from infra.cli.errors import CommandError
from shared.settings.field import BucketName

_BUCKET_NAME: TypeAdapter[str] = TypeAdapter(BucketName)


def storage_client() -> Client:
    """Google's client. Reading needs no project, so none has to be set."""
    return Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT") or "none")


def bucket_named(client: Client, name: str) -> Bucket:
    """The bucket, without a request. Raises CommandError for an invalid name."""
    try:
        bucket: Bucket = client.bucket(_BUCKET_NAME.validate_python(name))
    except ValidationError:
        raise CommandError(f"{name!r} is not a valid bucket name.") from None
    return bucket
