"""Jobs that have ended and are run again in the middle of everything."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection

from google.cloud.storage import Client

from infra.emulators.cloud import STATE
from shared.enums import Method
from shared.operations.rerun import RerunRefused, RerunRequest, begin_rerun
from shared.state.jobs.record import RequestedModel
from shared.state.jobs.store import JobStore
from tests.support.user_client import UserClient

DEADLINE_SECONDS = 10.0

REQUESTS = (
    RerunRequest(force=True),
    RerunRequest(RequestedModel(method=Method.PARAKEET), force=True),
    RerunRequest(RequestedModel(method=Method.DEEPGRAM, deepgram_model="nova-3"), force=True),
)


class Reruns:
    """Asks for re-runs as `dropscribe rerun` does, over services that fail."""

    def __init__(self, user: UserClient, storage: Client, names: Collection[str], seed: int) -> None:
        """`names`: of the uploads that may be run again."""
        self._user = user
        self._names = names
        self._storage = storage
        self._jobs = JobStore(storage.bucket(STATE), DEADLINE_SECONDS)
        self._random = random.Random(seed)
        self.answers: Counter[str] = Counter()
        """What became of the requests."""

    def begin_one(self) -> bool:
        """Have one upload run again; whether it is known to have begun."""
        messages = [one for one in self._user.messages if one["upload"]["name"] in self._names]
        if not messages:
            return False
        job_id, request = self._random.choice(messages)["job_id"], self._random.choice(REQUESTS)
        try:
            begin_rerun(self._storage, self._jobs, job_id, request)
        except RerunRefused:
            self.answers["refused"] += 1
            return False
        except Exception:
            self.answers["unknown"] += 1
            return False
        self.answers["begun"] += 1
        return True
