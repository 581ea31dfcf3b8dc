"""Erasures that were interrupted, or that wait for a worker's claim to run out, go on."""

from __future__ import annotations

import logging
import time

from shared.clock import now
from shared.errors import StateConflict
from shared.operations.erase import erase
from shared.operations.erasure_records import pending_erasures
from trigger_function.services import Services

_log = logging.getLogger(__name__)


def finish_erasures(services: Services, seconds: float) -> int:
    """The number of erasures that are complete now. None is begun with after `seconds`.

    What goes wrong with one is logged: the others go on, and the next tick tries it again.
    """
    ends, done = time.monotonic() + seconds, 0
    for job_id in pending_erasures(services.state, now()):
        if time.monotonic() > ends:
            break
        try:
            done += erase(services, services.settings, job_id).complete
        except StateConflict:
            continue
        except Exception:
            _log.exception("an erasure does not go on", extra={"fields": {"job_id": job_id}})
    return done
