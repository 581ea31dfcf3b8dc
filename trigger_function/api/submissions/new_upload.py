"""A recording's object in the uploads bucket before it is written: its name, its metadata, and the write itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import BinaryIO

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Blob, Bucket

from shared.errors import Rejected
from shared.media import Upload
from shared.object_names import name_problem, object_name
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options
from trigger_function.api.services import ApiServices
from trigger_function.api.web.callers import Caller
from trigger_function.api.web.problems import Problem

DEFAULT_FOLDER = "api"
"""Of callers without a folder, where they name none."""

DEFAULT_NAME = "recording"

DEFAULT_CONTENT_TYPE = "application/octet-stream"
"""Inspection reads the file itself, and goes by no type and no name."""


@dataclass(frozen=True)
class NewUpload:
    """An object that is about to be written, once."""

    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The upload's options."""
    content_type: str = DEFAULT_CONTENT_TYPE
    content_encoding: str | None = None
    """`gzip`: it is packed, and unpacked where it is read, as `shared/gzip_content.py` says."""

    def packed(self) -> NewUpload:
        """The same with gzip around it."""
        return replace(self, content_encoding="gzip")

    def blob(self, bucket: Bucket) -> Blob:
        """The object, not written yet."""
        blob: Blob = bucket.blob(self.name)
        blob.metadata = dict(self.metadata)
        blob.content_type = self.content_type
        blob.content_encoding = self.content_encoding
        return blob


def media_type(text: str | None) -> str | None:
    """What a client or a server says the type is, without parameters, where it has the form of one."""
    given = (text or "").partition(";")[0].strip()
    return given if _MEDIA_TYPE.fullmatch(given) else None


_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)


def uploads_bucket(services: ApiServices) -> Bucket:
    """Where uploads go. Raises Problem where the deployment does not say."""
    name = services.deployment.settings.uploads_bucket
    if name is None:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The deployment has no UPLOADS_BUCKET.")
    bucket: Bucket = services.deployment.storage.bucket(name)
    return bucket


def new_upload(
    services: ApiServices,
    caller: Caller,
    token: str,
    *,
    name: str | None,
    folder: str | None,
    options: UploadOptions,
    content_type: str | None = None,
) -> NewUpload:
    """The object of a submission: `[key's folder/][folder/]<token>/<name>`. Raises Problem.

    `token`: of the request; a repeated one finds the first one's object. `name`: the recording's own, without folders.
    """
    name = name or DEFAULT_NAME
    if "/" in name or name in (".", ".."):
        raise _unusable("name", "it is the name of a file, without folders")
    folders = [caller.folder, _checked_folder(folder)] if caller.folder else [_checked_folder(folder) or DEFAULT_FOLDER]
    path = "/".join([*(one for one in folders if one), token[:16], name])
    if not name.isprintable() or name_problem(name) is not None:
        raise _unusable("name", "no object can be named so")
    if (why := services.deployment.settings.ignores(path)) is not None:
        raise _unusable("name", f"files of this name are not transcribed ({why})")
    if options.keyterms_file is not None and not caller.may_see(options.keyterms_file):
        # Whether it is there is nobody's business who may not read it, and results would say what stands in it.
        raise _unusable("keyterms_file", "lists are taken from the key's folder alone")
    return NewUpload(object_name(PurePosixPath(path)), _metadata(options), content_type or DEFAULT_CONTENT_TYPE)


def write_once(services: ApiServices, new: NewUpload, data: BinaryIO, size: int | None = None) -> Upload:
    """Write the recording; where an earlier try of the same request has, that one's. `size`: None: to its end.

    Raises what the storage client raises.
    """
    bucket = uploads_bucket(services)
    blob = new.blob(bucket)
    try:
        blob.upload_from_file(data, size=size, content_type=new.content_type, if_generation_match=0)
    except PreconditionFailed:
        return written(bucket, new)
    return Upload(bucket=str(bucket.name), name=new.name, generation=int(blob.generation))


def check_same_options(existing: Blob, new: NewUpload) -> None:
    """Raises Problem where an earlier try of the same request asked for something else."""
    if (existing.metadata or {}) != dict(new.metadata):
        raise other_recording()


def other_recording() -> Problem:
    """Of a key whose object is there already, and is not what is sent now."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used for another recording, or with other options.",
        "key-of-another-request",
    )


def written(bucket: Bucket, new: NewUpload) -> Upload:
    """The object as an earlier try of the same request wrote it. Raises Problem where it is gone."""
    existing = bucket.get_blob(new.name)
    if existing is None:
        raise Problem(HTTPStatus.CONFLICT, "What an earlier try of this request had stored was deleted.")
    return Upload(bucket=str(bucket.name), name=new.name, generation=int(existing.generation))


def _metadata(options: UploadOptions) -> Mapping[str, str]:
    """Raises Problem where options exclude each other."""
    try:
        metadata = options.metadata()
        parse_upload_options(metadata)
    except Rejected as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, "unusable-fields") from None
    return metadata


def _checked_folder(folder: str | None) -> str | None:
    if not folder:
        return None
    parts = folder.split("/")
    if not folder.isprintable() or any(part in ("", ".", "..") for part in parts) or name_problem(folder) is not None:
        raise _unusable("folder", "it is one or more names, joined by /")
    if len(folder.encode()) > MAX_FOLDER_BYTES:
        raise _unusable("folder", f"it has more than {MAX_FOLDER_BYTES} bytes")
    return folder


MAX_FOLDER_BYTES = 256
"""Leaves room in an object's name for the recording's own."""


def _unusable(field_name: str, why: str) -> Problem:
    errors = [{"field": field_name, "message": why}]
    detail = f"The {field_name} cannot be used: {why}."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, "unusable-fields", errors=errors)
