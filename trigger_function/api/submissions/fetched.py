"""Recordings behind https addresses, fetched within a request: as `shared/public_http` requests what strangers name."""

from __future__ import annotations

from http import HTTPStatus

from google.cloud.storage import Blob

from shared.errors import FailureKind
from shared.media import Upload
from shared.options.model import UploadOptions
from shared.public_http.client import Limits
from shared.public_http.errors import RequestFailed, TooLarge, UrlRefused
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.new_upload import (
    NewUpload,
    check_same_options,
    media_type,
    new_upload,
    uploads_bucket,
)
from trigger_function.api.submissions.recording_name import name_of_disposition, name_of_url, usable_name
from trigger_function.api.submissions.streamed import StreamedRecording
from trigger_function.api.web.callers import Caller
from trigger_function.api.web.problems import Problem

UPLOAD_INSTEAD = 'POST /transcribe with {"upload": {"size_bytes": ...}} answers with an address to upload it to'
"""The way out for what is too large, or too slow, for a request."""


def fetch(
    services: ApiServices,
    caller: Caller,
    token: str,
    url: str,
    *,
    name: str | None = None,
    folder: str | None = None,
    options: UploadOptions,
) -> Upload:
    """Fetch the recording into the uploads bucket; where an earlier try of the same request has, that one's.

    `name`: by default what the server calls it, else the URL. Raises Problem: 422 for a URL that is not requested and
    for what its server refuses, 413, 502 and 504. Nothing is left of what did not come whole.
    """
    settings = services.settings

    def described(name: str | None, content_type: str | None = None) -> NewUpload:
        return new_upload(services, caller, token, name=name, folder=folder, options=options, content_type=content_type)

    if (earlier := _earlier(services, described(name))) is not None:
        return earlier
    try:
        limits = Limits(total_seconds=settings.api_fetch_seconds)
        with services.http.get(url, settings.api_max_upload_bytes, limits) as response:
            given = (name_of_disposition(response.headers.get("content-disposition")), name_of_url(str(response.url)))
            new = described(
                name or usable_name(services.deployment.settings, *given, name_of_url(url)),
                media_type(response.headers.get("content-type")),
            )
            if response.is_gzip:
                new = new.packed()
            with StreamedRecording(services, lambda: new) as recording:
                response.copy_to(recording)
                if recording.size == 0:
                    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "What the URL leads to is empty.", "url-empty")
                return recording.finish()
    except UrlRefused as error:
        raise _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, "url-refused") from None
    except TooLarge as error:
        raise _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.reason, "url-too-large") from None
    except RequestFailed as error:
        match error.kind:
            case FailureKind.TIMEOUT:
                reason = (
                    f"{error.reason} {settings.api_fetch_seconds:g} s are allowed in all (API_FETCH_SECONDS):"
                    f" {UPLOAD_INSTEAD}."
                )
                raise _problem(HTTPStatus.GATEWAY_TIMEOUT, reason, "url-too-slow") from None
            case FailureKind.NETWORK | FailureKind.RATE_LIMIT:
                raise _problem(HTTPStatus.BAD_GATEWAY, error.reason, "url-not-fetched") from None
            case _:
                raise _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, "url-not-fetched") from None


def _earlier(services: ApiServices, new: NewUpload) -> Upload | None:
    """What an earlier try of the same request left, whatever its server called it."""
    bucket = uploads_bucket(services)
    folder = new.name.rpartition("/")[0]
    found: Blob | None = next(iter(bucket.list_blobs(prefix=f"{folder}/", max_results=1)), None)
    if found is None:
        return None
    check_same_options(found, new)
    return Upload(bucket=str(bucket.name), name=str(found.name), generation=int(found.generation))


def _problem(status: HTTPStatus, reason: str, kind: str) -> Problem:
    return Problem(status, reason, kind, errors=[{"field": "url", "message": reason}])
