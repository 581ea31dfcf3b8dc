"""What must be true of a deployment once everything has ended, whatever happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from infra.emulators.cloud import RESULTS, STATE
from shared.clock import now
from shared.costs.bill import LineItemKind
from shared.enums import Outcome
from shared.messages import Receipt, TerminalMessage
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState, month_of
from tests.chaos.servers import ChaosCloud
from tests.chaos.uploads import Drop
from tests.support.user_client import UserClient

ROUNDING_USD = 1e-6
"""Of sums of some hundred bills."""


@dataclass
class Verdict:
    """What a run showed."""

    problems: list[str] = field(default_factory=list)
    """Promises that were broken, each in a sentence."""
    outcomes: Counter[str] = field(default_factory=Counter)
    repeated_messages: int = 0
    """Messages that came once more, with the same event_id."""
    billed_usd: float = 0.0
    overhead_usd: float = 0.0
    deepgram_answers: int = 0
    deepgram_paid_twice: int = 0
    """Answers beyond an upload's first that came: a process was killed before it stored one."""


def judge(cloud: ChaosCloud, user: UserClient, drops: Sequence[Drop], texts: dict[str, set[str]]) -> Verdict:
    """`texts`: by file name of a recording, what it says when nothing is disturbed."""
    verdict = Verdict()
    messages = {message["upload"]["name"]: TerminalMessage.model_validate(message) for message in user.messages}
    _judge_messages(verdict, user, drops)
    entries = {entry.id: entry for entry in Ledger(user.storage.bucket(STATE)).entries(month_of(now()))}
    for drop in drops:
        message = messages.get(drop.name)
        if message is None:
            continue  # said already
        verdict.outcomes[message.outcome] += 1
        problems = _problems(user, drop, message, entries.get(message.job_id), texts.get(drop.path.name))
        verdict.problems += [f"{drop.name}: {problem}" for problem in problems]
    verdict.billed_usd = sum(message.bill.usd for message in messages.values())
    verdict.overhead_usd = sum(entry.usd for entry in entries.values() if entry.state is EntryState.OVERHEAD)
    booked = sum(entry.usd for entry in entries.values())
    if abs(booked - verdict.billed_usd - verdict.overhead_usd) >= ROUNDING_USD:
        verdict.problems.append(f"the ledger has ${booked:.4f}, bills and overhead have another sum")
    _judge_deepgram(verdict, cloud, messages)
    verdict.problems += _left_over(user)
    return verdict


def _judge_messages(verdict: Verdict, user: UserClient, drops: Sequence[Drop]) -> None:
    names = {drop.name for drop in drops}
    event_ids: dict[str, set[str]] = {}
    contents: dict[str, set[str]] = {}
    for message in user.messages:
        event_ids.setdefault(message["upload"]["name"], set()).add(message["event_id"])
        contents.setdefault(message["upload"]["name"], set()).add(str(message))
    verdict.problems += [f"{name}: no message" for name in sorted(names - event_ids.keys())]
    verdict.problems += [f"{name}: {len(ids)} event ids" for name, ids in event_ids.items() if len(ids) > 1]
    verdict.problems += [f"{name}: {len(said)} different messages" for name, said in contents.items() if len(said) > 1]
    verdict.repeated_messages = len(user.messages) - len(event_ids)


def _problems(
    user: UserClient, drop: Drop, message: TerminalMessage, entry: Entry | None, texts: set[str] | None
) -> Iterator[str]:
    expected = Outcome.COMPLETED if drop.is_sound else Outcome.REJECTED
    if message.outcome is not expected:
        yield f"{message.outcome} instead of {expected}: {message.reason}"
    receipt = Receipt.model_validate_json(user.read(message.results["receipt.json"]))
    if receipt.bill != message.bill:
        yield f"the receipt says ${receipt.bill.usd:.6f}, the message ${message.bill.usd:.6f}"
    if entry is None or entry.state is not EntryState.BILLED:
        yield "no bill in the ledger"
    elif abs(entry.usd - message.bill.usd) > 1e-9:
        yield f"the ledger says ${entry.usd:.6f}, the message ${message.bill.usd:.6f}"
    if message.outcome is Outcome.COMPLETED and texts is not None:
        text = user.text(message.model_dump(mode="json"))
        if text not in texts:
            yield f"other words than undisturbed: {text}"


def _judge_deepgram(verdict: Verdict, cloud: ChaosCloud, messages: dict[str, TerminalMessage]) -> None:
    """Every answered call is on a bill, and none is on two."""
    answers, lost = Counter(cloud.answered_by_deepgram), Counter(cloud.lost_by_deepgram)
    verdict.deepgram_answers = answers.total()
    for name, answered in answers.items():
        message = messages.get(name)
        if message is None:
            continue
        lines = [item for item in message.bill.items if item.kind is LineItemKind.DEEPGRAM]
        if len(lines) < answered:
            verdict.problems.append(f"{name}: {answered} calls to Deepgram were answered, {len(lines)} are on the bill")
        verdict.deepgram_paid_twice += max(0, answered - lost[name] - 1)


def _left_over(user: UserClient) -> Iterator[str]:
    state = user.storage.bucket(STATE)
    for prefix in ("open/", "open-executions/"):
        for blob in state.list_blobs(prefix=prefix):
            yield f"left over: {blob.name}"
    for blob in state.list_blobs(prefix="jobs/"):
        if "/parts/" in blob.name:
            yield f"left over: {blob.name}"
    folders = {blob.name.rpartition("/")[0] for blob in user.storage.bucket(RESULTS).list_blobs()}
    for folder in sorted(folders):
        names = {blob.name.rpartition("/")[2] for blob in user.storage.bucket(RESULTS).list_blobs(prefix=f"{folder}/")}
        if "receipt.json" not in names:
            yield f"results without a receipt: {folder}"
