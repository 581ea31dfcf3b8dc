"""A submission that is in the uploads bucket: what the API keeps of it until its job has a record, and the answer."""

from __future__ import annotations

import logging
from datetime import datetime
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.clock import now
from shared.media import Upload
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call

_log = logging.getLogger(__name__)


class Accepted(BaseModel):
    """Who submitted an upload, and when: for the time until its event has opened the job."""

    model_config = ConfigDict(frozen=True)

    upload: Upload
    accepted_at: datetime
    caller: str


def accepted_object(job_id: str) -> str:
    """Its name in the state bucket, beside the job's record: it goes with that."""
    return f"jobs/{job_id}/accepted.json"


def accept(call: Call, upload: Upload) -> Upload:
    """Remember that the upload came through the API. Raises what the storage client raises."""
    accepted = Accepted(upload=upload, accepted_at=now(), caller=call.caller.id)
    objects.create_once(
        call.services.deployment.state, accepted_object(upload.job_id), accepted.model_dump_json().encode()
    )
    _log.info("submitted", extra={"fields": {"upload": upload.uri, "caller": call.caller.id, "job_id": upload.job_id}})
    return upload


def accepted_answer(upload: Upload) -> Answer:
    """202: the job, and where to look after it."""
    job_id = upload.job_id
    body = {"job_id": job_id, "upload": upload.model_dump(), "url": f"/jobs/{job_id}"}
    return Answer(HTTPStatus.ACCEPTED, body, {"Location": f"/jobs/{job_id}"})
