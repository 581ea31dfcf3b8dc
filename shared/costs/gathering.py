"""Gathering: how long an upload may wait for company, so that they share an execution's start-up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Queue:
    """The work of one job when an upload arrives."""

    running: bool = False
    """Whether an execution runs or was launched: then its start-up is paid for."""
    waiting_seconds: float = 0.0
    """Audio that is transcribed before this upload's; where none runs, what has gathered."""
    starting_seconds: float = 0.0
    """What is left of a running execution's start-up."""
    due_seconds: float | None = None
    """How long the oldest of what has gathered may still wait; None where nothing has."""
    company_seconds: float = 0.0
    """Audio of others that has usually gathered with an upload when an execution starts."""


@dataclass(frozen=True)
class GatherRules:
    """When uploads wait for each other. As it stands they do not."""

    longest_seconds: float = 0.0
    """Longest wait of an upload."""
    audio_seconds: float = inf
    """Audio with which an execution starts at once."""
    tick_seconds: float = 0.0
    """Time between two calls of the reconciler, which starts an execution where nobody came: its lateness."""


def gather_seconds(rules: GatherRules, queue: Queue, audio_seconds: float, spare_seconds: float | None) -> float:
    """How long an upload waits for company at most; 0: an execution starts, or takes it, at once.

    `audio_seconds`: its own. `spare_seconds`: what its deadline would leave if it began at once; None without one.
    """
    if queue.running or queue.waiting_seconds + audio_seconds >= rules.audio_seconds:
        return 0.0
    wait = rules.longest_seconds
    if queue.due_seconds is not None:
        wait = min(wait, queue.due_seconds)
    if spare_seconds is not None:
        wait = min(wait, spare_seconds - rules.tick_seconds)
    return max(0.0, wait)
