"""All key terms of an upload: its own, and those of the list in the bucket that it names."""

from __future__ import annotations

from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable
from google.cloud import storage

from shared.errors import Rejected
from shared.keyterms.terms import MOST_FILE_BYTES, merged, parse_keyterms_file
from shared.options.model import UploadOptions

READ_TIMEOUT_SECONDS = 30.0
"""Longest wait for a list."""


def with_listed_keyterms(options: UploadOptions, bucket: storage.Bucket) -> UploadOptions:
    """The options with all terms in one place.

    Raises Rejected where the list is not there, is none, or holds more than is allowed; and the client's errors.
    """
    name = options.keyterms_file
    if name is None:
        return options
    listed = parse_keyterms_file(name, _read(bucket, name))
    try:
        return options.model_copy(update={"keyterms": merged([*options.keyterms, *listed])})
    except ValueError as error:
        raise Rejected(f"With the key terms in {name[:200]!r} {error}.") from None


def _read(bucket: storage.Bucket, name: str) -> bytes:
    """The list, or its beginning where it is longer than allowed; as it is stored, however it is encoded."""
    try:
        return bytes(
            bucket.blob(name).download_as_bytes(
                start=0, end=MOST_FILE_BYTES, timeout=READ_TIMEOUT_SECONDS, checksum=None, raw_download=True
            )
        )
    except RequestRangeNotSatisfiable:
        return b""  # It is empty.
    except NotFound:
        raise Rejected(f"The list of key terms {name[:200]!r} is not in the upload's bucket.") from None
