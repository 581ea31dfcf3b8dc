"""What the client raises beside Google's own errors; each has a `reason`, one sentence for a person."""

from __future__ import annotations

from shared.errors import DropscribeError
from shared.messages import TerminalMessage


class UnknownJob(DropscribeError):
    """There is no such job, nor an upload by whose address it would be found."""


class NotSubmitted(DropscribeError):
    """What was given cannot become an upload."""


class NoTranscript(DropscribeError):
    """The job has ended without a transcript, or its files are gone; `outcome` says how it ended."""

    def __init__(self, reason: str, outcome: TerminalMessage) -> None:
        super().__init__(reason, outcome.failure_kind)
        self.outcome = outcome
