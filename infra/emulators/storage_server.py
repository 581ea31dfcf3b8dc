"""Cloud Storage on a laptop: what Google's client needs of the JSON API, and GET by V4 signed URL."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from infra.emulators.http_server import HttpServer
from infra.emulators.storage import parsing
from infra.emulators.storage.content import BLOCK_BYTES
from infra.emulators.storage.errors import InvalidRequestError, NotSupportedError, StorageError
from infra.emulators.storage.faults import Fault, FaultPlan
from infra.emulators.storage.fields import mask_of, project
from infra.emulators.storage.object_store import ObjectStore
from infra.emulators.storage.objects import Attributes, ObjectKey
from infra.emulators.storage.rendering import (
    bucket_resource,
    json_answer,
    json_error,
    media_headers,
    object_resource,
    xml_error,
)
from infra.emulators.storage.signed_urls import SignedRequest, SignedUrlVerifier
from infra.emulators.storage.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from infra.emulators.storage.objects import StoredObject, Target

logger = logging.getLogger(__name__)

_JSON_API = ("/storage/v1/", "/upload/storage/v1/", "/download/storage/v1/")


class StorageServer(HttpServer):
    """Keeps the bytes of its objects under `root`, and all else in memory.

    `on_finalize` is called with the object resource of each generation that comes to be, before its writer is answered
    and under no lock of the store; what it raises is logged. `signing_key_pem` is the public RSA key whose signed URLs
    are honoured.
    """

    def __init__(
        self,
        root: Path,
        on_finalize: Callable[[Mapping[str, object]], None] | None = None,
        signing_key_pem: bytes | None = None,
    ) -> None:
        self._store = ObjectStore(root)
        self._signed_urls = SignedUrlVerifier(signing_key_pem)
        app = Flask("cloud-storage", static_folder=None)
        # Flask's routing sees paths unquoted, where the slashes of an object's name are like any other.
        app.before_request(self._answer)
        super().__init__(app)
        self._on_finalize = on_finalize
        self._faults = FaultPlan()
        self._uploads = Uploads(self._store, self._faults, self.url, self._finalized)
        self._bytes_sent = 0
        self._bytes_sent_lock = threading.Lock()

    @property
    def bytes_sent(self) -> int:
        """How many bytes of objects' content were sent so far."""
        return self._bytes_sent

    def stop(self) -> None:
        """Stop as every server does, and drop the uploads that are not finished."""
        super().stop()
        self._uploads.abandon_all()

    def fail_next(
        self, count: int, status: int = 503, method: str | None = None, name_prefix: str = "", before: bool = True
    ) -> None:
        """Answer the next `count` requests for one object with `status`; those of `method` and `name_prefix` only.

        With `before=False` the request is carried out first and just its answer is lost. A resumable upload is one
        POST and a PUT for each chunk; listing is no request for one object.
        """
        self._faults.add(Fault(count, status, method, name_prefix, before))

    def _answer(self) -> Response:
        path = request.environ["REQUEST_URI"].partition("?")[0]
        is_json_api = path.startswith(_JSON_API)
        try:
            return self._json_api(path) if is_json_api else self._xml_api(path)
        except StorageError as refusal:
            return json_error(refusal) if is_json_api else xml_error(refusal)

    def _json_api(self, path: str) -> Response:
        parsing.refuse_unsupported(request.args.to_dict(), dict(request.headers))
        part, segments = parsing.json_path(path)
        match part, request.method, segments:
            case "", "POST", []:
                name = parsing.object_name({}, parsing.json_object(request.get_data()))
                return json_answer(bucket_resource(self._store.create_bucket(name)))
            case "", "GET", []:
                items = [bucket_resource(bucket) for bucket in self._store.buckets()]
                return json_answer({"kind": "storage#buckets", "items": items})
            case "", "GET", [bucket]:
                return json_answer(bucket_resource(self._store.bucket(bucket)))
            case "", "GET", [bucket, "o"]:
                return self._list(bucket)
            case "upload", "POST", [bucket, "o"]:
                return self._uploads.insert(bucket)
            case "upload", "PUT", [_, "o"]:
                return self._uploads.resume()
            case "", _, [bucket, "o", name]:
                return self._object(parsing.target(ObjectKey(bucket, name), request.args))
            case "download", "GET", [bucket, "o", name]:
                return self._media(parsing.target(ObjectKey(bucket, name), request.args))
            case "", "POST", [bucket, "o", name, "copyTo" | "rewriteTo" as verb, "b", other, "o", copy]:
                return self._copy(ObjectKey(bucket, name), ObjectKey(other, copy), rewrite=verb == "rewriteTo")
            case "", "POST", [bucket, "o", name, "compose"]:
                return self._compose(ObjectKey(bucket, name))
        raise NotSupportedError(f"Not supported: {request.method} {path}")

    def _xml_api(self, path: str) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed = SignedRequest(request.method, path, list(request.args.items(multi=True)), headers)
        self._signed_urls.verify(signed, datetime.now(UTC))
        bucket, _, name = "/".join(parsing.path_segments(path)).partition("/")
        if request.method != "GET" or not name:
            raise NotSupportedError(f"Not supported: {request.method} {path}")
        return self._media(parsing.target(ObjectKey(bucket, name), request.args))

    def _list(self, bucket: str) -> Response:
        page = self._store.list_page(bucket, parsing.list_query(request.args))
        body: dict[str, object] = {
            "kind": "storage#objects",
            "items": [object_resource(stored, self.url) for stored in page.objects],
            "prefixes": page.prefixes,
        }
        if page.next_after is not None:
            body["nextPageToken"] = parsing.page_token(page.next_after)
        return json_answer(project(body, mask_of(request.args.get("fields", ""))))

    def _object(self, target: Target) -> Response:
        if request.method == "GET" and request.args.get("alt") == "media":
            return self._media(target)
        with self._faults.around(request.method, target.key.name):
            match request.method:
                case "GET":
                    return json_answer(object_resource(self._store.get(target), self.url))
                case "PATCH":
                    stored = self._store.patch(target, parsing.json_object(request.get_data()))
                    return json_answer(object_resource(stored, self.url))
                case "DELETE":
                    self._store.delete(target)
                    return Response(status=204)
        raise NotSupportedError(f"Not supported: {request.method} of an object")

    def _media(self, target: Target) -> Response:
        with self._faults.around(request.method, target.key.name):
            stored, file = self._store.open(target)
            size = stored.content.size
            headers = media_headers(stored)
            try:
                part = parsing.byte_range(request.headers.get("Range", ""), size)
            except StorageError:
                file.close()
                raise
            wanted = range(size) if part is None else part
            headers["Content-Length"] = str(len(wanted))
            if part:
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
            response = Response(self._read(file, wanted), 206 if part else 200, headers)
            response.call_on_close(file.close)
            return response

    def _read(self, file: BinaryIO, wanted: range) -> Iterator[bytes]:
        file.seek(wanted.start)
        for start in wanted[::BLOCK_BYTES]:
            block = file.read(min(BLOCK_BYTES, wanted.stop - start))
            with self._bytes_sent_lock:
                self._bytes_sent += len(block)
            yield block

    def _copy(self, source: ObjectKey, key: ObjectKey, *, rewrite: bool) -> Response:
        with self._faults.around(request.method, key.name):
            stored = self._store.copy(
                parsing.copy_source(source, request.args),
                key,
                parsing.json_object(request.get_data()),
                parsing.preconditions(request.args),
            )
            self._finalized(stored)
            resource = object_resource(stored, self.url)
            if not rewrite:
                return json_answer(resource)
            size = str(stored.content.size)
            done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
            return json_answer({**done, "resource": resource})

    def _compose(self, key: ObjectKey) -> Response:
        with self._faults.around(request.method, key.name):
            body = parsing.json_object(request.get_data())
            destination = body.get("destination", {})
            if not isinstance(destination, dict):
                raise InvalidRequestError("destination must be an object.")
            stored = self._store.compose(
                parsing.compose_sources(key.bucket, body),
                key,
                Attributes.of_new(destination, None),
                parsing.preconditions(request.args),
            )
            self._finalized(stored)
            return json_answer(object_resource(stored, self.url))

    def _finalized(self, stored: StoredObject) -> None:
        if self._on_finalize is None:
            return
        try:
            self._on_finalize(object_resource(stored, self.url))
        except Exception:  # the object is there, whatever becomes of its event
            logger.exception("the finalize event of %s failed", stored.key)
