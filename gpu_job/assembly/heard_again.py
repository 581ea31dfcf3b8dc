"""A stretch of an upload that was heard again."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_job.asr.tokens import Token
from shared.enums import Engine


@dataclass(frozen=True)
class HeardAgain:
    """What another engine, or the same one, heard in a stretch. Token times in seconds of the upload."""

    channel: int
    first: int
    end: int
    engine: Engine
    tokens: tuple[Token, ...]
    missed_by: Engine | None = None
    """The engine that had no words there; None: it had some, and was not sure of them."""
