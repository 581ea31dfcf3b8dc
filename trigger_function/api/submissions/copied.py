"""Recordings that lie in Cloud Storage already.

One in the uploads bucket is a dropped file: its own event begins its job, with the options of its own metadata. Any
other is copied there by Cloud Storage itself, and its job begins with the copy. The API's account reads more than its
callers may, so they have copied only what API_SOURCE_BUCKETS, or their key's `sources`, name.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.cloud.storage import Blob

from shared.enums import Privacy
from shared.media import Upload
from shared.object_names import name_problem
from shared.objects import bucket_and_name
from shared.options.metadata_keys import PRIVACY_METADATA
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.new_upload import NewUpload, uploads_bucket, written
from trigger_function.api.web.callers import Caller
from trigger_function.api.web.problems import Problem, not_found

_OPTION_PREFIX = "transcribe-"

GENERATION_SEPARATOR = "#"
"""Between an object's name and its generation, the way gcloud writes it."""


def source_object(uri: str) -> tuple[str, str, int | None]:
    """`gs://BUCKET/NAME` or `gs://BUCKET/NAME#GENERATION` -> its parts. Raises Problem."""
    bucket, name = bucket_and_name(uri)
    stem, separator, generation = name.rpartition(GENERATION_SEPARATOR)
    pinned = None
    if separator and generation.isascii() and generation.isdecimal() and len(generation) <= 19:
        name, pinned = stem, int(generation)
    if not 3 <= len(bucket) <= 222 or name_problem(name) is not None or "\0" in name:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The uri has to be gs://BUCKET/NAME.", "unusable-fields")
    return bucket, name, pinned


def copy(services: ApiServices, caller: Caller, new: NewUpload, uri: str) -> Upload:
    """The upload that the recording is, or is copied to. Raises Problem, and what the storage client raises."""
    bucket_name, name, pinned = source_object(uri)
    uploads = uploads_bucket(services)
    is_dropped = bucket_name == uploads.name
    if not (caller.may_see(name) if is_dropped else f"{bucket_name}/{name}".startswith(caller.sources or ("\0",))):
        # Also where there is no such object: what is there is nobody's business who may not read it.
        raise Problem(HTTPStatus.FORBIDDEN, "Recordings may not be copied from there.", "source-not-allowed")
    source = _source(services, bucket_name, name, pinned)
    upload = Upload(bucket=bucket_name, name=name, generation=int(source.generation))
    if not is_dropped:
        return _copied(uploads.blob(new.name), source, new, services)
    if new.metadata:
        raise Problem(
            HTTPStatus.CONFLICT,
            "The recording is in the uploads bucket, so its options are those of its metadata. Run its job again, or"
            " upload it with other ones.",
            "already-an-upload",
        )
    return upload


def _source(services: ApiServices, bucket: str, name: str, generation: int | None) -> Blob:
    source: Blob | None
    try:
        source = services.deployment.storage.bucket(bucket).get_blob(name, generation=generation)
    except NotFound:  # the bucket
        source = None
    except Forbidden:
        raise Problem(
            HTTPStatus.FORBIDDEN, "The API's service account may not read that bucket.", "source-not-readable"
        ) from None
    if source is None:
        raise not_found("recording")
    if int(source.size) > services.settings.api_max_upload_bytes:
        limit = services.settings.api_max_upload_bytes
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The recording is larger than {limit} bytes.")
    return source


def _copied(blob: Blob, source: Blob, new: NewUpload, services: ApiServices) -> Upload:
    """Copy exactly the generation that was looked at; where an earlier try of the same request did, its copy."""
    blob.content_type, blob.content_encoding = source.content_type, source.content_encoding
    blob.metadata = _merged(source.metadata or {}, new.metadata)
    token = None
    try:
        while True:
            # One call where the buckets share a location; more for gigabytes that travel.
            token, _, _ = blob.rewrite(
                source, token=token, if_generation_match=0, if_source_generation_match=int(source.generation)
            )
            if token is None:
                break
    except PreconditionFailed:
        return written(uploads_bucket(services), new)
    except NotFound:
        raise not_found("recording") from None
    return Upload(bucket=str(blob.bucket.name), name=new.name, generation=int(blob.generation))


def _merged(source: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """The recording's own options below those of the request; but what may not leave for an API never does."""
    own = {key.lower(): value for key, value in source.items() if key.lower().startswith(_OPTION_PREFIX)}
    merged = {**own, **asked}
    if own.get(PRIVACY_METADATA, "").strip().lower() == Privacy.LOCAL:
        merged[PRIVACY_METADATA] = Privacy.LOCAL.value
    return merged
