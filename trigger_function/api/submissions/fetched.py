"""Recordings behind https addresses."""

from __future__ import annotations

from http import HTTPStatus

from shared.media import Upload
from trigger_function.api.services import ApiServices
from trigger_function.api.submissions.new_upload import NewUpload
from trigger_function.api.web.problems import Problem


def fetch(services: ApiServices, new: NewUpload, url: str) -> Upload:
    """Fetch the recording into the uploads bucket. Raises Problem."""
    raise Problem(HTTPStatus.NOT_IMPLEMENTED, "https addresses are not fetched yet: upload the file.")
