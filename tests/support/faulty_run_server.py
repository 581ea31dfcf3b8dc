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
        self._refusals: deque[tuple[int, str] | None] = deque()
        self.app.before_request(self._refuse)

    def refuse_next(self, count: int, status: int = 429, message: str = "Quota exceeded for GPU allocation.") -> None:
        """Answer the next `count` runs with `status`, starting nothing."""
        self._refusals.extend([(status, message)] * count)

    def answer_next(self, count: int) -> None:
        """Leave the next `count` runs as they are, before refusals that are named later."""
        self._refusals.extend([None] * count)

    def answer_again(self) -> None:
        """Forget the refusals that no run has met yet."""
        self._refusals.clear()

    def _refuse(self) -> None:
        refusal = self._refusals.popleft() if self._refusals else None
        if refusal is not None:
            abort(*refusal)
