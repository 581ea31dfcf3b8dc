"""The ways to write an object: its bytes alone, its resource and bytes in one body, or one chunk after the other."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING

from flask import Response, request

from infra.emulators.storage import parsing
from infra.emulators.storage.content import BLOCK_BYTES
from infra.emulators.storage.errors import InvalidRequestError, UploadNotFoundError
from infra.emulators.storage.multipart import MultipartUpload
from infra.emulators.storage.objects import Attributes, ObjectKey
from infra.emulators.storage.rendering import json_answer, object_resource
from infra.emulators.storage.resumable import ContentRange, ResumableUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from infra.emulators.storage.content import Content
    from infra.emulators.storage.faults import FaultPlan
    from infra.emulators.storage.object_store import ObjectStore
    from infra.emulators.storage.objects import StoredObject


class Uploads:
    """Answers the requests of the JSON API's upload path; `finalized` is called with each object that comes to be."""

    def __init__(
        self, store: ObjectStore, faults: FaultPlan, server_url: str, finalized: Callable[[StoredObject], None]
    ) -> None:
        self._store = store
        self._faults = faults
        self._server_url = server_url
        self._finalized = finalized
        self._uploads: dict[str, ResumableUpload] = {}

    def insert(self, bucket: str) -> Response:
        """Write an object, or begin a resumable upload of one."""
        match request.args.get("uploadType"):
            case "media":
                return self._write(bucket, {}, request.content_type, _body())
            case "multipart":
                upload = MultipartUpload.read(request.stream, request.headers.get("Content-Type", ""))
                return self._write(bucket, upload.resource, upload.content_type, upload.media)
            case "resumable":
                return self._begin(bucket, parsing.json_object(request.get_data()))
        raise InvalidRequestError("uploadType must be media, multipart or resumable.")

    def resume(self) -> Response:
        """Take a chunk of a resumable upload, or say how far it is."""
        upload = self._uploads.get(request.args.get("upload_id", ""))
        if upload is None:
            raise UploadNotFoundError("No such upload.")
        with self._faults.around(request.method, upload.key.name):
            content_range = ContentRange.parse(request.headers.get("Content-Range"), request.content_length)
            stored = upload.receive(content_range, _body(), _claimed_checksums({}))
            if stored:
                return self._resource(stored)
            received = {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else None
            return Response(status=308, headers=received)

    def abandon_all(self) -> None:
        """Give up the resumable uploads that are not finished."""
        for upload in self._uploads.values():
            upload.abandon()

    def _write(
        self, bucket: str, resource: Mapping[str, object], content_type: str | None, blocks: Iterable[bytes]
    ) -> Response:
        key = ObjectKey(bucket, parsing.object_name(request.args, resource))
        with self._faults.around(request.method, key.name):
            put = self._put(key, resource, content_type)
            with self._store.stage() as staged:
                for block in blocks:
                    staged.append(block)
                content = staged.seal(_claimed_checksums(resource))
            return self._resource(put(content))

    def _begin(self, bucket: str, resource: Mapping[str, object]) -> Response:
        key = ObjectKey(bucket, parsing.object_name(request.args, resource))
        with self._faults.around(request.method, key.name):
            put = self._put(key, resource, request.headers.get("X-Upload-Content-Type"))
            self._store.check_put(key, parsing.preconditions(request.args))
            upload_id = uuid.uuid4().hex
            self._uploads[upload_id] = ResumableUpload(key, self._store.stage(), _claimed_checksums(resource), put)
            path = f"upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
            return Response(status=200, headers={"Location": f"{self._server_url}/{path}"})

    def _put(
        self, key: ObjectKey, resource: Mapping[str, object], content_type: str | None
    ) -> Callable[[Content], StoredObject]:
        """How to finish the upload that the request at hand makes or begins, once its content is here."""
        attributes = Attributes.of_new(resource, content_type)
        preconditions = parsing.preconditions(request.args)

        def put(content: Content) -> StoredObject:
            stored = self._store.put(key, attributes, content, preconditions)
            self._finalized(stored)
            return stored

        return put

    def _resource(self, stored: StoredObject) -> Response:
        return json_answer(object_resource(stored, self._server_url))


def _body() -> Iterator[bytes]:
    return iter(partial(request.stream.read, BLOCK_BYTES), b"")


def _claimed_checksums(resource: Mapping[str, object]) -> dict[str, str]:
    return parsing.expected_checksums(resource, request.headers.get("X-Goog-Hash", ""))
