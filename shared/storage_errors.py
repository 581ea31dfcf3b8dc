"""What Cloud Storage answers where an upload is read: which answers are final, and what to tell the file's owner.

Final answers are about the object, and end the job at once. All others are about the service or the deployment, and
pass: Google's client has repeated some already (429, 5xx, a broken connection), and the event, the queue and the
reconciler repeat all of them until MAX_WAIT_HOURS. So a missing permission (403) ends nothing: it is the bucket's, and
while somebody grants it again, every upload would fail.
"""

from __future__ import annotations

from google.api_core.exceptions import GoogleAPICallError

from shared.errors import Rejected, UploadNotReadable

_CUSTOMER_KEY = ("ResourceIsEncryptedWithCustomerEncryptionKey", "encrypted by a customer-supplied encryption key")
_REQUESTER_PAYS = ("UserProjectMissing", "requester pays bucket but no user project")
_BUCKET_GONE = ("NoSuchBucket", "specified bucket does not exist")


def refusal(status: int, body: str) -> Rejected | UploadNotReadable | None:
    """A final answer to a request for an object, as what ends its job; None where another attempt may succeed.

    `body` is the JSON or XML of the answer, or the plain text in which downloads are refused; Cloud Storage's error
    codes and messages are in each of them. Source: Cloud Storage, "HTTP status and error codes" for JSON and XML.
    """
    match status:
        case 400 | 403 if _says(body, _CUSTOMER_KEY):
            return Rejected("The file is encrypted with a customer-supplied key, so it cannot be read.")
        case 400 | 403 if _says(body, _REQUESTER_PAYS):
            return UploadNotReadable("The file's bucket charges whoever reads it (requester pays), so it is not read.")
        case 400:
            # The same request is sent each time, and gets the same answer.
            return UploadNotReadable("Cloud Storage refuses to read the file (400, bad request).")
        case 404 if _says(body, _BUCKET_GONE):
            return Rejected("The file's bucket does not exist any more.")
        case 404:
            return Rejected("The file was deleted or replaced before it could be read.")
        case _:
            return None


def refusal_of(error: GoogleAPICallError) -> Rejected | UploadNotReadable | None:
    """The same for what Google's client raises."""
    return refusal(int(error.code or 0), error.response.text if error.response is not None else "")


def _says(body: str, texts: tuple[str, ...]) -> bool:
    """Whether one of the texts is in the body. An error code begins with a small letter in JSON, a capital in XML."""
    return any(text.lower() in body.lower() for text in texts)
