"""A stand-in for the Hugging Face Hub on loopback: one repository, and the faults that a fetch meets.

Speaks what huggingface_hub asks for a model: the listing with sizes and hashes, and `resolve`, where files of git come
at once and large ones by a redirect to another host, as from the hub's CDN, with ranges.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flask import Flask, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from infra.emulators.http_server import HttpServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 64 * 1024


@dataclass
class HubFaults:
    """What goes wrong; may be changed while the server runs."""

    refuse: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer."""
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """By file: after how many bytes the connection breaks, once for each number."""
    serve_instead: dict[str, bytes] = field(default_factory=dict)
    """By file: other bytes than the listing promises."""
    ignores_ranges: bool = False
    block_pause_seconds: float = 0.0
    """Before each block of 64 KiB."""
    silent_seconds: float = 0.0
    """Before each answer."""
    listed_hash: str | None = None
    """In the listing, instead of every file's."""
    page: str | None = None
    """A web page instead of every answer, as a hotel's network gives."""


@dataclass(frozen=True)
class HubRequest:
    """One request as it came."""

    method: str
    path: str
    range: str | None
    token: str | None


class HubServer(HttpServer):
    """Serves `files` as the repository `name`; files of `large_bytes` or more are large ones."""

    def __init__(self, name: str, files: Mapping[str, bytes], *, large_bytes: int = 1000) -> None:
        self.name = name
        self.files = dict(files)
        self.faults = HubFaults()
        self.requests: list[HubRequest] = []
        self.newest = COMMIT
        """The commit of the branch main; all have the same files."""
        self._large_bytes = large_bytes
        app = Flask("hub")
        app.before_request(self._before)
        app.add_url_rule(f"/api/models/{name}", view_func=self._listing)
        app.add_url_rule(f"/api/models/{name}/revision/<revision>", view_func=self._listing)
        app.add_url_rule(f"/{name}/resolve/<revision>/<path:path>", view_func=self._resolve)
        app.add_url_rule("/cdn/<path:path>", view_func=self._content)
        super().__init__(app)

    def received_bytes_of(self, path: str) -> list[str | None]:
        """The ranges that were asked of a large file, in order."""
        return [each.range for each in self.requests if each.method == "GET" and each.path == f"/cdn/{path}"]

    def _before(self) -> WerkzeugResponse | None:
        faults = self.faults
        token = request.headers.get("Authorization")
        self.requests.append(HubRequest(request.method, request.path, request.headers.get("Range"), token))
        time.sleep(faults.silent_seconds)
        if faults.page is not None:
            return Response(faults.page, content_type="text/html")
        if faults.refuse is not None:
            status, code = faults.refuse
            return Response("{}", status, {"X-Error-Code": code, "X-Error-Message": "refused"})
        return None

    def _listing(self, revision: str = "main") -> WerkzeugResponse:
        if (commit := self._commit(revision)) is None:
            return Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for path, content in self.files.items():
            listed = self.faults.listed_hash
            git_hash = _git_hash(content) if listed is None else listed
            entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": git_hash}
            if self._is_large(content):
                sha256 = _sha256(content) if listed is None else listed
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return jsonify(id=self.name, modelId=self.name, sha=commit, private=False, tags=[], siblings=siblings)

    def _commit(self, revision: str) -> str | None:
        return {"main": self.newest, self.newest: self.newest, COMMIT: COMMIT}.get(revision)

    def _resolve(self, revision: str, path: str) -> WerkzeugResponse:
        if (commit := self._commit(revision)) is None:
            return Response(status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if path not in self.files:
            return Response(status=404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = self.files[path]
        if not self._is_large(content):
            response = self._content(path)
            response.headers |= {"X-Repo-Commit": commit, "ETag": f'"{_git_hash(content)}"'}
            return response
        response = redirect(f"{self.url.replace('127.0.0.1', 'localhost')}/cdn/{path}")
        response.headers |= {
            "X-Repo-Commit": commit,
            "X-Linked-ETag": f'"{_sha256(content)}"',
            "X-Linked-Size": str(len(content)),
        }
        return response

    def _content(self, path: str) -> WerkzeugResponse:
        content = self.faults.serve_instead.get(path, self.files[path])
        begin, status = 0, 200
        if (asked := request.headers.get("Range")) and not self.faults.ignores_ranges:
            begin, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if begin >= len(content):
                abort(416)
        cuts = self.faults.cut_after.get(path, [])
        cut = cuts.pop(0) if cuts and request.method == "GET" else None
        response = Response(self._blocks(content[begin:], cut), status)
        response.headers |= {"Content-Length": str(len(content) - begin), "Accept-Ranges": "bytes"}
        if status == 206:
            response.headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return response

    def _blocks(self, content: bytes, cut: int | None) -> Iterator[bytes]:
        yield b""  # the headers go out, whatever follows
        for begin in range(0, len(content) if cut is None else cut, _BLOCK):
            time.sleep(self.faults.block_pause_seconds)
            yield content[begin : min(begin + _BLOCK, cut or len(content))]
        if cut is not None:
            raise ConnectionAbortedError("cut on demand")

    def _is_large(self, content: bytes) -> bool:
        return len(content) >= self._large_bytes


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
