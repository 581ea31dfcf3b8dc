"""A Cloud Run jobs server that refuses on demand."""

from __future__ import annotations

from collections import deque
from typing import Any

from werkzeug.exceptions import abort

from infra.emulators.run_server import RunServer


class FaultyRunServer(RunServer):
    """Answers as RunServer does where it was not told to refuse."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._refusals: deque[tuple[int, str]] = deque()
        self.app.before_request(self._refuse)

    def refuse_next(self, count: int, status: int = 429, message: str = "Quota exceeded for GPU allocation.") -> None:
        """Answer the next `count` runs with `status`, starting nothing."""
        self._refusals.extend([(status, message)] * count)

    def _refuse(self) -> None:
        if self._refusals:
            abort(*self._refusals.popleft())
