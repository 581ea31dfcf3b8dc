"""Which job is meant: by its id, or by the address of its upload."""

from __future__ import annotations

import re

from google.cloud.storage import Client
from pydantic import ValidationError

from dropscribe.errors import UnknownJob
from shared import objects
from shared.media import Upload

_JOB_ID = re.compile(r"[0-9a-f]{24}")


def job_id_of(client: Client, job: str) -> str:
    """A job id as it is, or the id of an upload: `gs://BUCKET/NAME`, the newest generation, or `...#GENERATION`.

    Raises UnknownJob, and what the storage client raises.
    """
    if _JOB_ID.fullmatch(job):
        return job
    return upload_at(client, job).job_id


def upload_at(client: Client, uri: str) -> Upload:
    """The upload at `gs://BUCKET/NAME` or `gs://BUCKET/NAME#GENERATION`. Raises UnknownJob."""
    bucket, name = objects.bucket_and_name(uri)
    if not uri.startswith("gs://") or not name:
        raise UnknownJob(f"{uri!r} is neither a job id (24 hex digits) nor gs://BUCKET/NAME.")
    plain, _, generation = name.rpartition("#")
    if plain and generation.isascii() and generation.isdecimal():
        return _upload(uri, bucket, plain, generation)
    # Checked before anything is asked: a client has no bucket of a name that cannot be.
    _upload(uri, bucket, name, 1)
    blob = client.bucket(bucket).get_blob(name)
    if blob is None:
        raise UnknownJob(f"{uri} does not exist any more; use its job id, or its address with #GENERATION.")
    return _upload(uri, bucket, name, blob.generation)


def _upload(uri: str, bucket: str, name: str, generation: str | int) -> Upload:
    try:
        return Upload(bucket=bucket, name=name, generation=int(generation))
    except (ValidationError, ValueError) as error:
        field = error.errors()[0]["loc"][0] if isinstance(error, ValidationError) else "generation"
        raise UnknownJob(f"{uri} cannot be an upload: its {field} is not valid in Cloud Storage.") from None
