"""The page of `dropscribe up`, on loopback."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, jsonify
from google.cloud.storage import Client
from werkzeug.exceptions import HTTPException

from infra.cli.live.board import JobBoard
from infra.cli.live.files import BucketFiles
from infra.cli.live.guard import Guard
from infra.cli.report.data import ReportData, report_data
from infra.cli.report.known_jobs import KnownJobs
from infra.cli.report.page import render
from infra.emulators.cloud import STATE
from infra.emulators.http_server import HttpServer
from shared.clock import now
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.pages.inline import InlineFiles, inline_files
from shared.state.ledger import Ledger
from shared.state.ledger_entry import month_of

_JOB_ID = re.compile(r"[0-9a-f]{24}")


class LivePage(HttpServer):
    """Serves the page of a laptop cloud on 127.0.0.1; usable once.

    `options`: of what is uploaded by the page. `port`: 0 for any that is free. Raises OSError where it is taken.
    """

    def __init__(self, storage: Client, options: UploadOptions, port: int = 0) -> None:
        app = Flask("dropscribe-up", static_folder=None)
        super().__init__(app, port)
        state = storage.bucket(STATE)
        self._board = JobBoard(state)
        self._ledger = Ledger(state)
        self._known_jobs = KnownJobs(state)
        self._files = BucketFiles(storage, options)
        self._guard = Guard()
        self._guard.protect(app)
        app.register_error_handler(HTTPException, _refusal)
        app.add_url_rule("/", view_func=self._page, methods=["GET"])
        app.add_url_rule("/events", view_func=self._events, methods=["GET"])
        app.add_url_rule("/uploads", view_func=self._upload, methods=["POST"])
        app.add_url_rule("/jobs/<job_id>/recording", view_func=self._recording, methods=["GET"])
        app.add_url_rule("/jobs/<job_id>/<name>", view_func=self._result, methods=["GET"])

    def stop(self) -> None:
        self._board.close()
        super().stop()

    def add_outcome(self, message: TerminalMessage) -> None:
        """Show at once that a job has ended."""
        self._board.add_outcome(message)

    def _page(self) -> Response:
        inline = _files()
        policy = inline.policy("connect-src 'self'")
        page = render("live/live.html", self._report(), inline, policy, token=self._guard.token)
        headers = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
        return Response(page, content_type="text/html; charset=utf-8", headers=headers)

    def _report(self) -> ReportData:
        at = now()
        entries = list(self._ledger.entries(month_of(at)))
        return report_data(entries, self._known_jobs.of(entries), month_of(at), at)

    def _events(self) -> Response:
        return Response(self._board.events(), content_type="text/event-stream")

    def _upload(self) -> Response:
        upload = self._files.take_upload()
        return jsonify({"id": upload.job_id, "name": upload.name})

    def _recording(self, job_id: str) -> Response:
        return self._files.recording(_checked(job_id))

    def _result(self, job_id: str, name: str) -> Response:
        return self._files.result(_checked(job_id), name)


@cache
def _files() -> InlineFiles:
    return inline_files("infra.cli", ["report/report.css", "live/live.css"], ["report/report.js", "live/live.js"])


def _checked(job_id: str) -> str:
    """Names of objects are made of it."""
    if not _JOB_ID.fullmatch(job_id):
        abort(HTTPStatus.NOT_FOUND)
    return job_id


def _refusal(error: HTTPException) -> tuple[Any, int]:
    """One sentence, as JSON."""
    return jsonify({"error": error.description}), error.code or HTTPStatus.INTERNAL_SERVER_ERROR
