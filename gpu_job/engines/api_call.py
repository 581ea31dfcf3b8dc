"""A call to an API outside: whose audio it sends, and how much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class ApiCall:
    """One request. Each is itself: two of the same audio are two, for the API bills both."""

    job_id: str
    chunks: int
    sent_samples: int
    """Audio in the request. What neighbouring chunks share is sent once, so it can be less than the chunks have."""
    has_keyterms: bool = False
    """Whether it asks to favour key terms, which costs. Of one upload all calls do, or none."""
    is_multilingual: bool = False
    """Whether it asks for several languages within the recording, which costs. Of one upload all calls do, or none."""
