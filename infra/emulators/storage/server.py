"""Cloud Storage over HTTP on loopback."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from xml.sax.saxutils import escape

from flask import Flask, Response, request

from infra.emulators.http_server import HttpServer
from infra.emulators.storage import parsing
from infra.emulators.storage.compositions import composition
from infra.emulators.storage.errors import StorageError, not_supported
from infra.emulators.storage.object_store import (
    BLOCK_BYTES,
    MAX_LIST_ENTRIES,
    Content,
    ObjectKey,
    ObjectStore,
    StoredObject,
)
from infra.emulators.storage.signed_urls import SignedUrlVerifier
from infra.emulators.storage.uploads import NewObject, ResumableUpload, metadata_changes, new_object, split_multipart
from infra.emulators.storage.xml_uploads import check_length, object_of_headers

_log = logging.getLogger(__name__)

_CRC32C = re.compile(r"crc32c=([^,\s]+)")
_JSON_API = ("/storage/v1/", "/upload/storage/v1/", "/download/storage/v1/")


class StorageServer(HttpServer):
    """Keeps the bytes of its objects under `root`, and all else in memory.

    `on_finalize` is called with the object resource of each new generation, before its writer is answered and under no
    lock of the store; what it raises is logged. `signing_key_pem` is the public RSA key whose signed URLs are accepted.
    """

    def __init__(
        self,
        root: Path,
        on_finalize: Callable[[Mapping[str, object]], None] | None = None,
        signing_key_pem: bytes | None = None,
    ) -> None:
        self._store = ObjectStore(root)
        self._signed_urls = SignedUrlVerifier(signing_key_pem)
        self._on_finalize = on_finalize
        self._uploads: dict[str, ResumableUpload] = {}
        app = Flask("cloud-storage", static_folder=None)
        # Flask's routing sees paths unquoted, where the slashes of an object's name are like any other.
        app.before_request(self._answer)
        super().__init__(app)

    def stop(self) -> None:
        """Stop as every server does, and drop the uploads that are not finished."""
        super().stop()
        for upload in self._uploads.values():
            upload.abandon()

    def during(self, method: str, key: ObjectKey) -> AbstractContextManager[None]:
        """Entered for each request for one object; what a subclass raises (StorageError) is the answer."""
        return nullcontext()

    def _answer(self) -> Response:
        path = request.environ["REQUEST_URI"].partition("?")[0]
        is_json_api = path.startswith(_JSON_API)
        try:
            return self._json_api(path) if is_json_api else self._xml_api(path)
        except StorageError as refusal:
            return _json_error(refusal) if is_json_api else _xml_error(refusal)

    def _json_api(self, path: str) -> Response:
        parsing.refuse_unknown_parameters(request.args)
        part, segments = parsing.json_path(path)
        match part, request.method, segments:
            case "", "POST", []:
                name = str(parsing.json_object(request.get_data()).get("name"))
                self._store.create_bucket(name)
                return _json(_bucket_resource(name))
            case "", "GET", [bucket]:
                self._store.check_bucket(bucket)
                return _json(_bucket_resource(bucket))
            case "", "GET", [bucket, "o"]:
                return self._list(bucket)
            case "upload", "POST", [bucket, "o"]:
                return self._insert(bucket)
            case "upload", "PUT", [_, "o"]:
                return self._resume()
            case "", "GET", [bucket, "o", name]:
                return self._get(ObjectKey(bucket, name))
            case "", "PATCH", [bucket, "o", name]:
                return self._patch(ObjectKey(bucket, name))
            case "", "DELETE", [bucket, "o", name]:
                return self._delete(ObjectKey(bucket, name))
            case "download", "GET", [bucket, "o", name]:
                return self._media(ObjectKey(bucket, name))
            case "", "POST", [bucket, "o", name, "rewriteTo", "b", to_bucket, "o", to_name]:
                return self._rewrite(ObjectKey(bucket, name), ObjectKey(to_bucket, to_name))
            case "", "POST", [bucket, "o", name, "compose"]:
                return self._compose(ObjectKey(bucket, name))
        raise not_supported(f"{request.method} {path}")

    def _xml_api(self, path: str) -> Response:
        """What signed URLs are for: to read an object, and to begin a resumable upload; the rest of that is not signed,
        for nobody else knows its URI."""
        bucket, _, name = "/".join(parsing.path_segments(path)).partition("/")
        key = ObjectKey(bucket, name)
        if request.method == "PUT" and "upload_id" in request.args:
            return self._resume()
        headers = {name.lower(): value for name, value in request.headers.items()}
        parameters = list(request.args.items(multi=True))
        self._signed_urls.verify(request.method, path, parameters, headers, datetime.now(UTC))
        if request.method == "POST" and name:
            return self._begin_signed(key, headers)
        if request.method != "GET" or not name:
            raise not_supported(f"{request.method} {path}")
        return self._media(key)

    def _begin_signed(self, key: ObjectKey, headers: Mapping[str, str]) -> Response:
        with self.during("POST", key):
            new, generation_match = object_of_headers(key, headers)

            def put(content: Content) -> StoredObject:
                check_length(content, headers)
                return self._put(new, generation_match, content)

            upload_id = self._open_upload(new, generation_match, put)
            location = f"{self.url}/{key.bucket}/{quote(key.name)}?upload_id={upload_id}"
            return Response(status=201, headers={"Location": location})

    def _rewrite(self, source: ObjectKey, to: ObjectKey) -> Response:
        """A copy, in one call, as it is inside one location."""
        new = new_object(to.bucket, {**parsing.json_object(request.get_data()), "name": to.name}, None)
        with self.during("POST", to):
            stored, file = self._store.open(source, parsing.number(request.args, "sourceGeneration"))
            expected = parsing.number(request.args, "ifSourceGenerationMatch")
            staged = self._store.stage()
            with file:
                if expected not in (None, stored.generation):
                    raise StorageError(412, "PreconditionFailed", "The source has another generation.")
                for block in iter(partial(file.read, BLOCK_BYTES), b""):
                    staged.append(block)
            copied = self._put(new, parsing.number(request.args, "ifGenerationMatch"), staged.seal(None))
            size = str(copied.content.size)
            done = {"kind": "storage#rewriteResponse", "done": True, "objectSize": size, "totalBytesRewritten": size}
            return _json({**done, "resource": self._resource(copied)})

    def _compose(self, to: ObjectKey) -> Response:
        """An object of the contents of others, which go with it where that is asked for: one request, of `to` alone."""
        wanted = composition(to, parsing.json_object(request.get_data()))
        with self.during("POST", to):
            found: list[StoredObject] = []
            staged = self._store.stage()
            try:
                for source in wanted.sources:
                    stored, file = self._store.open(source.key, source.generation)
                    with file:
                        if source.generation_match not in (None, stored.generation):
                            raise StorageError(412, "PreconditionFailed", "A source has another generation.")
                        for block in iter(partial(file.read, BLOCK_BYTES), b""):
                            staged.append(block)
                    found.append(stored)
                content = staged.seal(wanted.new.crc32c)
            finally:
                staged.close()
            composed = self._put(wanted.new, parsing.number(request.args, "ifGenerationMatch"), content)
            for stored in found if wanted.deletes_sources else ():
                with suppress(StorageError):  # written anew meanwhile, or composed onto itself
                    self._store.delete(stored.key, stored.generation, None)
            return _json(self._resource(composed))

    def _list(self, bucket: str) -> Response:
        limit = parsing.number(request.args, "maxResults") or MAX_LIST_ENTRIES
        prefix, after, start = (request.args.get(name, "") for name in ("prefix", "pageToken", "startOffset"))
        page = self._store.list_page(bucket, prefix, after, limit, start)
        items = [self._resource(stored) for stored in page.objects]
        body: dict[str, object] = {"kind": "storage#objects", "items": items}
        if page.last_name is not None:
            body["nextPageToken"] = page.last_name
        return _json(parsing.project(body, parsing.mask_of(request.args.get("fields", ""))))

    def _get(self, key: ObjectKey) -> Response:
        with self.during("GET", key):
            return _json(self._resource(self._store.get(key, parsing.number(request.args, "generation"))))

    def _patch(self, key: ObjectKey) -> Response:
        changes = metadata_changes(parsing.json_object(request.get_data()))
        with self.during("PATCH", key):
            return _json(self._resource(self._store.update_metadata(key, changes)))

    def _delete(self, key: ObjectKey) -> Response:
        with self.during("DELETE", key):
            generation = parsing.number(request.args, "generation")
            self._store.delete(key, generation, parsing.number(request.args, "ifGenerationMatch"))
            return Response(status=204)

    def _media(self, key: ObjectKey) -> Response:
        with self.during("GET", key):
            stored, file = self._store.open(key, parsing.number(request.args, "generation"))
            size = stored.content.size
            try:
                part = parsing.byte_range(request.headers.get("Range", ""), size)
            except StorageError:
                file.close()
                raise
            wanted = range(size) if part is None else part
            headers = {**_media_headers(stored), "Content-Length": str(len(wanted))}
            if part is not None:
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
            response = Response(_blocks(file, wanted), 200 if part is None else 206, headers)
            response.call_on_close(file.close)
            return response

    def _insert(self, bucket: str) -> Response:
        match request.args.get("uploadType"):
            case "multipart":
                resource, content_type, data = split_multipart(
                    request.get_data(), request.headers.get("Content-Type", "")
                )
                return self._write(new_object(bucket, resource, content_type), data)
            case "resumable":
                content_type = request.headers.get("X-Upload-Content-Type")
                return self._begin(new_object(bucket, parsing.json_object(request.get_data()), content_type))
        raise not_supported(f"uploadType {request.args.get('uploadType')}")

    def _write(self, new: NewObject, data: bytes) -> Response:
        with self.during("POST", new.key):
            staged = self._store.stage()
            try:
                staged.append(data)
                content = staged.seal(new.crc32c)
            finally:
                staged.close()
            return _json(self._resource(self._put(new, parsing.number(request.args, "ifGenerationMatch"), content)))

    def _begin(self, new: NewObject) -> Response:
        with self.during("POST", new.key):
            generation_match = parsing.number(request.args, "ifGenerationMatch")
            upload_id = self._open_upload(new, generation_match, partial(self._put, new, generation_match))
            path = f"upload/storage/v1/b/{new.key.bucket}/o?uploadType=resumable&upload_id={upload_id}"
            return Response(status=200, headers={"Location": f"{self.url}/{path}"})

    def _open_upload(self, new: NewObject, generation_match: int | None, put: Callable[[Content], StoredObject]) -> str:
        self._store.check_put(new.key, generation_match)
        upload_id = uuid.uuid4().hex
        self._uploads[upload_id] = ResumableUpload(new, self._store.stage(), put)
        return upload_id

    def _resume(self) -> Response:
        upload = self._uploads.get(request.args.get("upload_id", ""))
        if upload is None:
            raise StorageError(404, "NoSuchUpload", "No such upload.")
        with self.during("PUT", upload.key):
            checksum = _CRC32C.search(request.headers.get("X-Goog-Hash", ""))
            blocks = iter(partial(request.stream.read, BLOCK_BYTES), b"")
            content_range = request.headers.get("Content-Range")
            stored = upload.receive(content_range, request.content_length, blocks, checksum and checksum[1])
            if stored:
                return _json(self._resource(stored), headers={"X-Goog-Generation": str(stored.generation)})
            received = {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else None
            return Response(status=308, headers=received)

    def _put(self, new: NewObject, generation_match: int | None, content: Content) -> StoredObject:
        stored = self._store.put(new.key, new.attributes, content, generation_match)
        if self._on_finalize:
            try:
                self._on_finalize(self._resource(stored))
            except Exception:  # the object is there, whatever becomes of its event
                _log.exception("the finalize event of %s failed", stored.key)
        return stored

    def _resource(self, stored: StoredObject) -> dict[str, object]:
        """The JSON API's `storage#object`, which is also what a finalize event holds; numbers are strings there."""
        key, attributes, generation = stored.key, stored.attributes, str(stored.generation)
        created = f"{stored.created.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
        path = f"storage/v1/b/{key.bucket}/o/{quote(key.name, safe='')}"
        optional = {"contentEncoding": attributes.content_encoding, "metadata": dict(attributes.metadata)}
        return {
            "kind": "storage#object",
            "id": f"{key.bucket}/{key.name}/{generation}",
            "selfLink": f"{self.url}/{path}",
            "mediaLink": f"{self.url}/download/{path}?generation={generation}&alt=media",
            "bucket": key.bucket,
            "name": key.name,
            "generation": generation,
            "metageneration": str(stored.metageneration),
            "contentType": attributes.content_type,
            "size": str(stored.content.size),
            "crc32c": stored.content.crc32c,
            "timeCreated": created,
            "updated": created,
            **{name: value for name, value in optional.items() if value},
        }


def _bucket_resource(name: str) -> dict[str, object]:
    return {"kind": "storage#bucket", "id": name, "name": name, "location": "US", "storageClass": "STANDARD"}


def _media_headers(stored: StoredObject) -> dict[str, str]:
    """Header fields that go with an object's bytes; the checksum is that of the whole content."""
    attributes = stored.attributes
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": attributes.content_type,
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": f"crc32c={stored.content.crc32c}",
        "X-Goog-Stored-Content-Encoding": attributes.content_encoding or "identity",
        "X-Goog-Stored-Content-Length": str(stored.content.size),
    }
    return headers | ({"Content-Encoding": attributes.content_encoding} if attributes.content_encoding else {})


def _blocks(file: BinaryIO, wanted: range) -> Iterator[bytes]:
    file.seek(wanted.start)
    for start in wanted[::BLOCK_BYTES]:
        yield file.read(min(BLOCK_BYTES, wanted.stop - start))


def _json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=UTF-8")


def _json_error(error: StorageError) -> Response:
    return _json({"error": {"code": error.status, "message": error.message}}, error.status, error.headers)


def _xml_error(error: StorageError) -> Response:
    body = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
    declaration = "<?xml version='1.0' encoding='UTF-8'?>"
    return Response(declaration + body, error.status, error.headers, content_type="application/xml; charset=UTF-8")
