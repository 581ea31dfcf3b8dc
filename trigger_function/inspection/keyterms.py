"""All key terms of an upload: its own, those of the list in the bucket that it names, and the deployment's."""

from __future__ import annotations

from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable
from google.cloud import storage

from shared.errors import Rejected
from shared.keyterms.terms import MOST_FILE_BYTES, MOST_KEYTERMS, Keyterm, merged, parse_keyterms_file
from shared.options.model import UploadOptions

READ_TIMEOUT_SECONDS = 30.0
"""Longest wait for a list."""


def with_all_keyterms(
    options: UploadOptions, bucket: storage.Bucket, deployments: tuple[Keyterm, ...]
) -> UploadOptions:
    """The options with all terms in one place. `deployments`: of these, as many as there is room for.

    Raises Rejected where the list is not there, is none, or holds more than is allowed; and the client's errors.
    """
    terms = options.keyterms
    if options.keyterms_file is not None:
        listed = parse_keyterms_file(options.keyterms_file, _read(bucket, options.keyterms_file))
        try:
            terms = merged([*terms, *listed])
        except ValueError as error:
            raise Rejected(f"With the key terms in {options.keyterms_file[:200]!r} {error}.") from None
    known = {term.phrase for term in terms}
    terms = (*terms, *(term for term in deployments if term.phrase not in known))[:MOST_KEYTERMS]
    return options if terms == options.keyterms else options.model_copy(update={"keyterms": terms})


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
