"""The sweep: uploads whose events were lost for good are found by listing the bucket, and transcribed.

An event is delivered for a day at most. While the function is broken for longer, or its trigger is gone, uploads stay
behind that no job was ever opened for. Once in SWEEP_HOURS the uploads bucket is listed, 1,000 objects with a call, and
each object created since the last sweep is looked up in the state bucket, once. A sweep that its tick has no time for
goes on in the next, at the name where it stopped.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.clock import now
from shared.errors import StateConflict
from shared.media import Upload
from shared.telemetry.logs import job_context
from shared.unreadable import parsed
from trigger_function.handle_upload import handle
from trigger_function.services import Services

_log = logging.getLogger(__name__)

LEAST_AGE = timedelta(hours=1)
"""Younger uploads are left to their events, which are rarely late by minutes."""

_OBJECT = "sweep.json"
_FIELDS = "items(name,generation,timeCreated),nextPageToken"


class SweepState(BaseModel):
    """How far the sweeps are, in the state bucket."""

    model_config = ConfigDict(frozen=True)

    swept_until: datetime | None = None
    """Uploads created before were looked up; None: none were yet."""
    until: datetime | None = None
    """Of the sweep that goes on: uploads created later are the next one's. None: none goes on."""
    next_name: str = ""
    """Where it goes on in the bucket."""

    @property
    def goes_on(self) -> bool:
        """Whether a sweep is not at its end, or was asked for."""
        return self.until is not None or self.swept_until is None

    def is_due(self, every: timedelta) -> bool:
        """Whether a sweep goes on, or is to begin."""
        return self.goes_on or (self.swept_until is not None and now() - self.swept_until >= every + LEAST_AGE)


def request_sweep(state: Bucket) -> None:
    """Have the next tick look up every upload of SWEEP_MAX_DAYS again, whenever the last sweep was."""
    objects.write(state, _OBJECT, SweepState().model_dump_json().encode())


def sweep(services: Services, seconds: float) -> int:
    """Go on with a sweep, or begin one where one is due; the number of uploads found that had no job.

    `seconds`: in which uploads are looked up and begun with; at least one is.
    Raises what the storage client raises, and what `handle` does: the next tick goes on.
    """
    settings = services.settings
    if settings.uploads_bucket is None:
        return 0
    stored = objects.read(services.state, _OBJECT)
    generation = stored.generation if stored is not None else 0
    known = parsed(stored.data, SweepState, _OBJECT) if stored is not None else None
    state = known or SweepState()
    if settings.sweep_hours == 0:
        if known is None or not known.goes_on:
            return 0
    elif not state.is_due(timedelta(hours=settings.sweep_hours)):
        return 0
    until = state.until or now() - LEAST_AGE
    since = until - timedelta(days=settings.sweep_max_days)
    since = max(since, state.swept_until) if state.swept_until is not None else since
    found, ends = 0, time.monotonic() + seconds
    uploads = services.storage.bucket(settings.uploads_bucket)
    for number, blob in enumerate(uploads.list_blobs(start_offset=state.next_name or None, fields=_FIELDS)):
        if number and time.monotonic() >= ends:
            _go_on(services.state, state.model_copy(update={"until": until, "next_name": str(blob.name)}), generation)
            return found
        if since <= blob.time_created < until and settings.ignores(str(blob.name)) is None:
            upload = Upload(bucket=uploads.name, name=str(blob.name), generation=int(blob.generation))
            found += _begin_unknown(services, upload)
    _go_on(services.state, SweepState(swept_until=until), generation)
    return found


def _begin_unknown(services: Services, upload: Upload) -> bool:
    """Whether the upload had no job. With one, it is the reconciler's, or has ended."""
    with job_context(upload.job_id):
        if services.jobs.is_known(upload):
            return False
        _log.warning("an upload without a job was found", extra={"fields": {"upload": upload.uri}})
        if next(iter(services.state.list_blobs(prefix=f"jobs/{upload.job_id}/", max_results=1)), None) is not None:
            # It had one, and marker and record were lost. With a marker, the reconciler looks at what is left.
            services.jobs.markers.create(upload, now())
        else:
            handle(services, upload)
    return True


def _go_on(bucket: Bucket, state: SweepState, generation: int) -> None:
    """Write how far the sweep is, unless somebody asked for another one meanwhile, or made one."""
    with suppress(StateConflict):
        objects.replace(bucket, _OBJECT, state.model_dump_json().encode(), generation)
