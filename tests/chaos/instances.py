"""What executions cost: their processes' time, as this machine saw it, beside what bills and ledger say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from shared.costs.bill import LineItemKind, instance_second_usd
from shared.costs.prices import JobShape, price_book
from shared.messages import TerminalMessage
from shared.state.ledger_entry import Entry
from tests.chaos.faults import FaultRates
from tests.chaos.servers import ChaosCloud, TaskAttempt

INSTANCE = frozenset({LineItemKind.GPU, LineItemKind.CPU, LineItemKind.MEMORY})

UNCLOCKED_SECONDS = 5.0
"""Of each process at most: before its clock starts, and from its last word to its end, on a machine that is busy."""

UNBOOKED_SECONDS = 25.0
"""Of one that ends by itself at most: what its second booking takes, where storage answers late or is out."""

MEAN_UNCLOCKED_SECONDS, UNCLOCKED_SHARE = 1.0, 0.05
"""The same in the mean, with as much of their time: a machine that is slow makes both longer."""


@dataclass(frozen=True)
class Instances:
    """What a run's executions cost."""

    seconds: float
    usd: float
    booked_usd: float
    unseen_seconds: float
    """Of processes that were killed before they could write a word."""
    unsaid_seconds: float
    """Of the other ones that were killed: behind their last words, and on no bill."""
    unclocked_seconds: float
    """Of those that ended by themselves: on no bill."""
    problems: tuple[str, ...]


def judge_instances(cloud: ChaosCloud, messages: Iterable[TerminalMessage], overhead: Collection[Entry]) -> Instances:
    """Every second of every process is on a bill or is overhead, once.

    Of one that was killed nobody saw the end: all until its last word is booked, and at most what came until the next
    attempt began or its lease ended. One that was killed before its first word was stored is nowhere.
    """
    second_usd, booked_usd = _second_usd(cloud), _booked_usd(messages, overhead)
    own_words = {entry.execution for entry in overhead if entry.seen_at is None}
    lives = [
        _Life(
            attempt=one,
            seconds=_seconds(one),
            booked_seconds=booked_usd.pop(one.task, 0.0) / second_usd,
            said_all=f"executions/{one.task}" in own_words,
            last_word=cloud.last_words.get(one.task),
            known_dead_at=_known_dead_at(cloud, one),
        )
        for one in cloud.attempts
    ]
    problems = [f"{task}: ${usd:.6f} are booked for a process that never was" for task, usd in booked_usd.items()]
    problems += [f"{life.attempt.task}: {problem}" for life in lives for problem in life.problems()]
    ended = [life for life in lives if life.is_certain]
    unbooked = sum(life.unbooked_seconds for life in ended)
    if abs(unbooked) > MEAN_UNCLOCKED_SECONDS * len(ended) + UNCLOCKED_SHARE * sum(life.seconds for life in ended):
        problems.append(f"{unbooked:.1f} s of {len(ended)} processes that ended by themselves are on no bill")
    seconds = sum(life.seconds for life in lives)
    return Instances(
        seconds=seconds,
        usd=seconds * second_usd,
        booked_usd=sum(life.booked_seconds for life in lives) * second_usd,
        unseen_seconds=sum(life.seconds for life in lives if life.is_unseen),
        unsaid_seconds=sum(
            max(0.0, life.unbooked_seconds) for life in lives if not life.is_certain and not life.is_unseen
        ),
        unclocked_seconds=unbooked,
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Life:
    """Of a process."""

    attempt: TaskAttempt
    seconds: float
    booked_seconds: float
    said_all: bool
    """Whether the ledger has its own word, not somebody's guess."""
    last_word: float | None
    """When it was stored, on the monotonic clock."""
    known_dead_at: float
    """The latest time at which it can have been killed, for those who did not see it."""

    @property
    def is_certain(self) -> bool:
        """Whether it ended by itself, and said what it cost."""
        return self.said_all and (self.attempt.exit_code or 0) >= 0

    @property
    def is_unseen(self) -> bool:
        """Whether it was killed before its first word was stored."""
        return not self.said_all and self.last_word is None

    @property
    def unbooked_seconds(self) -> float:
        return self.seconds - self.booked_seconds

    def problems(self) -> Iterator[str]:
        """What is wrong with what is booked of it."""
        began = self.attempt.began
        if self.is_certain:
            least, most = self.seconds - UNBOOKED_SECONDS, self.seconds
        else:
            word = began if self.last_word is None else self.last_word
            least = word - began - FaultRates().longest_delay_seconds
            most = max(self.seconds, self.known_dead_at - began)
        if not least - UNCLOCKED_SECONDS <= self.booked_seconds <= most + UNCLOCKED_SECONDS:
            yield f"{self.booked_seconds:.1f} s are booked of {least:.1f} to {most:.1f} s"


def _known_dead_at(cloud: ChaosCloud, attempt: TaskAttempt) -> float:
    """When the lease of its last word ended, or the next attempt at its task began that had a word by then and has
    another one later, or was killed."""
    lease_ended = cloud.last_words.get(attempt.task, attempt.began) + float(cloud.environment["LEASE_SECONDS"])
    later = [
        one.began
        for one in cloud.attempts
        if one.execution == attempt.execution
        and one.number > attempt.number
        and cloud.first_words.get(one.task, lease_ended) < lease_ended
        and (cloud.last_words[one.task] > lease_ended or (one.exit_code or 0) < 0)
    ]
    return min([lease_ended, *later])


def _booked_usd(messages: Iterable[TerminalMessage], overhead: Iterable[Entry]) -> dict[str, float]:
    """By task, what bills and overhead say of its instance."""
    booked: dict[str, float] = defaultdict(float)
    for item in (item for message in messages for item in message.bill.items if item.kind in INSTANCE):
        booked[item.task or ""] += item.usd
    for entry in overhead:
        booked[(entry.execution or "").removeprefix("executions/")] += entry.usd
    return booked


def _second_usd(cloud: ChaosCloud) -> float:
    vcpu, memory_gib = (float(cloud.environment[name]) for name in ("JOB_VCPU", "JOB_MEMORY_GIB"))
    return instance_second_usd(JobShape(gpu=None, vcpu=vcpu, memory_gib=memory_gib), price_book())


def _seconds(attempt: TaskAttempt) -> float:
    return 0.0 if attempt.ended is None else attempt.ended - attempt.began
