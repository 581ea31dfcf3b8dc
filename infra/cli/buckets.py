"""Cloud Storage for the commands that look into a deployment's buckets."""

from __future__ import annotations

import os

from google.cloud.storage import Bucket, Client
from pydantic import TypeAdapter, ValidationError

from infra.cli.refusals import RefusedError
from shared.settings import BucketName

_BUCKET_NAME: TypeAdapter[str] = TypeAdapter(BucketName)


def storage_client() -> Client:
    """Google's client; reading takes no project, so none has to be named."""
    return Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT") or "none")


def bucket_named(client: Client, name: str) -> Bucket:
    """The bucket; nothing is sent. Raises RefusedError for what cannot be one's name."""
    try:
        bucket: Bucket = client.bucket(_BUCKET_NAME.validate_python(name))
    except ValidationError:
        raise RefusedError(f"{name!r} cannot be the name of a bucket.") from None
    return bucket
