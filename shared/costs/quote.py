"""A quote: what a method is predicted to cost and take for one upload, and what speaks against it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.costs.bill import Bill
from shared.enums import JobDevice, Method

IF_INCOMPLETE = " (if words are missing, at most)"
"""Ends the lines of what another engine may cost."""


class Limit(StrEnum):
    """What a method can be refused for."""

    ENGINE = "engine"
    FILE_SIZE = "file_size"
    LANGUAGE = "language"
    PRIVACY = "privacy"
    BUDGET = "budget"
    MAX_COST = "max_cost"
    DEADLINE = "deadline"
    COST_PER_HOUR = "cost_per_hour"
    NO_JOB = "no_job"
    MONTHLY_FILES = "monthly_files"
    ROLLOUT = "rollout"
    NEEDLESS = "needless"


BINDING = frozenset({Limit.ENGINE, Limit.FILE_SIZE, Limit.LANGUAGE, Limit.PRIVACY, Limit.BUDGET, Limit.MAX_COST})
"""Limits that hold even where no method is left. The others are preferences: the least bad method breaks them."""


class Refusal(BaseModel):
    """Why a method is not to be used: part of a sentence."""

    model_config = ConfigDict(frozen=True)

    limit: Limit
    why: str


class Quote(BaseModel):
    """One method's predicted cost and time, and what speaks against it."""

    model_config = ConfigDict(frozen=True)

    method: Method
    bill: Bill
    completion_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """From now to the transcript."""
    device: JobDevice | None = None
    """Of the job that would do it; None: Deepgram alone."""
    deepgram_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the audio that Deepgram would take."""
    gather_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Of the completion time: how long the upload waits at most for others to share the start-up with."""
    queue_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Of the completion time: behind uploads that wait already for executions that run."""
    shards: Annotated[int, Field(ge=0)] = 0
    """Into how many parts the upload would be divided; 0: it is one piece."""
    executions: Annotated[int, Field(ge=1)] = 1
    """How many are planned to work on them at once."""
    only_if_incomplete_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Of the bill: most that another engine costs, which is asked only where words are missing (min_coverage)."""
    remarks: tuple[str, ...] = ()
    """What is asked for the upload and this method does not do, each a part of a sentence: no reason to refuse it."""
    refusals: tuple[Refusal, ...] = ()

    @property
    def label(self) -> str:
        """For people: `parakeet on the CPU`, `deepgram`, `parakeet on the GPU (15 shards, 5 at once)`."""
        label = way_label(self.method, self.device)
        return f"{label} ({self.shards} shards, {self.executions} at once)" if self.shards else label

    @property
    def surely_usd(self) -> float:
        """Without what is spent only where words are missing."""
        return self.bill.usd - self.only_if_incomplete_usd

    @property
    def binding(self) -> tuple[Refusal, ...]:
        """The refusals that forbid the method."""
        return tuple(refusal for refusal in self.refusals if refusal.limit in BINDING)

    def without_completion(self) -> Quote:
        """Once another engine had its turn."""
        items = tuple(item for item in self.bill.items if not item.resource.endswith(IF_INCOMPLETE))
        return self.model_copy(update={"bill": Bill(items=items), "only_if_incomplete_usd": 0.0})

    def score(self, usd_per_minute: float) -> float:
        """Dollars, with a minute of waiting worth `usd_per_minute`.

        But for company, which the deployment allows, and in the own queue: else a burst would go to the dearest method,
        just because it is one (docs/decisions/097-waiting-is-no-failure.md).
        """
        waiting_seconds = self.completion_seconds - self.gather_seconds - self.queue_seconds
        return self.surely_usd + waiting_seconds / 60 * usd_per_minute


def way_label(method: Method, device: JobDevice | None) -> str:
    """A method and the job that it takes, for people: `parakeet on the CPU`, `deepgram`."""
    return method.value if device is None else f"{method.value} on the {device.upper()}"
