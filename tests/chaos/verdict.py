"""What must be true of a deployment once everything has ended, whatever happened to it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.emulators.cloud import RESULTS, STATE
from shared.clock import now
from shared.costs.bill import LineItemKind
from shared.enums import Outcome
from shared.messages import Receipt, TerminalMessage
from shared.state.jobs.store import JobStore
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState, billed, month_of
from tests.chaos.instances import Instances, judge_instances
from tests.chaos.servers import ChaosCloud, DeepgramAnswer
from tests.chaos.uploads import Drop
from tests.support.user_client import UserClient

ROUNDING_USD = 1e-6
"""Of sums of some hundred bills."""

STORING_SECONDS = 70.0
"""Longest for which an answer that came is not stored yet, where storage is slow, so that it goes with its process."""

Stops = Sequence[tuple[float, float]]
"""When processes of functions were killed or frozen: from when until when, on the monotonic clock."""


@dataclass
class Verdict:
    """What a run showed."""

    problems: list[str] = field(default_factory=list)
    """Promises that were broken, each in a sentence."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of all runs."""
    runs: int = 0
    """That ended, re-runs included."""
    repeated_messages: int = 0
    """Messages that came once more, with the same event_id."""
    billed_usd: float = 0.0
    overhead_usd: float = 0.0
    deepgram_answers: int = 0
    deepgram_again: Counter[str] = field(default_factory=Counter)
    """Answers beyond the first of a run, by why there was another call."""
    instances: Instances | None = None


def judge(
    cloud: ChaosCloud, user: UserClient, drops: Sequence[Drop], texts: dict[str, set[str]], function_stops: Stops
) -> Verdict:
    """`texts`: by file name of a recording, what it says when nothing is disturbed."""
    verdict = Verdict()
    messages = {
        (message["upload"]["name"], message["run"]): TerminalMessage.model_validate(message)
        for message in user.messages
    }
    of_upload: dict[str, list[TerminalMessage]] = defaultdict(list)
    for (name, _), message in sorted(messages.items()):
        of_upload[name].append(message)
    _judge_messages(verdict, user)
    jobs = JobStore(user.storage.bucket(STATE))
    entries = {entry.id: entry for entry in Ledger(user.storage.bucket(STATE)).entries(month_of(now()))}
    for drop in drops:
        ended = of_upload[drop.name]
        job = jobs.load(ended[0].job_id) if ended else None
        runs = [message.run for message in ended]
        if job is None or runs != list(range(1, job.record.run + 1)):
            verdict.problems.append(f"{drop.name}: messages of the runs {runs}, {job and job.record.run} were begun")
        for message in ended:
            verdict.outcomes[message.outcome] += 1
            verdict.runs += 1
            problems = _problems(user, drop, message, entries.get(billed(message).id), texts.get(drop.path.name))
            verdict.problems += [f"{drop.name}, run {message.run}: {problem}" for problem in problems]
    verdict.billed_usd = sum(message.bill.usd for message in messages.values())
    overhead = [entry for entry in entries.values() if entry.state is EntryState.OVERHEAD]
    verdict.overhead_usd = sum(entry.usd for entry in overhead)
    booked = sum(entry.usd for entry in entries.values())
    if abs(booked - verdict.billed_usd - verdict.overhead_usd) >= ROUNDING_USD:
        verdict.problems.append(f"the ledger has ${booked:.4f}, bills and overhead have another sum")
    _judge_deepgram(verdict, cloud, of_upload, function_stops)
    verdict.instances = judge_instances(cloud, messages.values(), overhead)
    verdict.problems += [*verdict.instances.problems, *_left_over(user)]
    return verdict


def write_evidence(path: Path, cloud: ChaosCloud, user: UserClient, function_stops: Stops) -> None:
    """What the verdict was made of, for whoever looks into a problem."""
    entries = Ledger(user.storage.bucket(STATE)).entries(month_of(now()))
    found = {
        "messages": user.messages,
        "ledger": [entry.model_dump(mode="json") for entry in entries],
        "attempts": [asdict(one) for one in cloud.attempts],
        "answers": [asdict(one) for one in cloud.billed_answers()],
        "function_stops": function_stops,
    }
    path.write_text(json.dumps(found, indent=1))


def _judge_messages(verdict: Verdict, user: UserClient) -> None:
    event_ids: dict[tuple[str, int], set[str]] = {}
    contents: dict[tuple[str, int], set[str]] = {}
    for message in user.messages:
        key = message["upload"]["name"], message["run"]
        event_ids.setdefault(key, set()).add(message["event_id"])
        contents.setdefault(key, set()).add(str(message))
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


def _judge_deepgram(
    verdict: Verdict, cloud: ChaosCloud, messages: Mapping[str, Sequence[TerminalMessage]], function_stops: Stops
) -> None:
    """Every answered call is on a bill, and another one of the same run was made for a reason."""
    answers: dict[str, list[DeepgramAnswer]] = defaultdict(list)
    for answer in cloud.billed_answers():
        answers[answer.upload].append(answer)
    verdict.deepgram_answers = sum(map(len, answers.values()))
    for name, answered in answers.items():
        ended = messages.get(name, ())
        lines = [sum(item.kind is LineItemKind.DEEPGRAM for item in message.bill.items) for message in ended]
        if sum(lines) < len(answered):
            verdict.problems.append(f"{name}: {len(answered)} calls to Deepgram were answered, {lines} are on the bill")
        runs = sum(of_run > 0 for of_run in lines)
        again = max(0, len(answered) - runs)
        waited = sum(float(cloud.environment[f"DEEPGRAM_{what}_SECONDS"]) for what in ("TIMEOUT", "LATE"))
        for why in [reason for one in answered if (reason := _why_again(one, waited, function_stops))][:again]:
            verdict.deepgram_again[why] += 1
            again -= 1
        if again:
            verdict.deepgram_again["for no reason"] += again
            verdict.problems.append(f"{name}: {len(answered)} calls to Deepgram in {runs} runs, for no reason")


def _why_again(answer: DeepgramAnswer, waited_seconds: float, function_stops: Stops) -> str | None:
    """Why nobody could use an answer that Deepgram gave; None: somebody could."""
    if answer.is_lost:
        return "lost on the wire"
    if answer.at - answer.began > waited_seconds:
        return "nobody waited so long"
    for begin, end in function_stops:
        if answer.began <= end and begin <= answer.at + STORING_SECONDS:
            return "a function was killed or frozen"
    return None


def _left_over(user: UserClient) -> Iterator[str]:
    state = user.storage.bucket(STATE)
    for prefix in ("open/", "open-executions/"):
        for blob in state.list_blobs(prefix=prefix):
            yield f"left over: {blob.name}"
    for blob in state.list_blobs(prefix="jobs/"):
        if "/parts/" in blob.name:
            yield f"left over: {blob.name}"
    folders: dict[str, set[str]] = defaultdict(set)
    for blob in user.storage.bucket(RESULTS).list_blobs():
        folder, _, name = blob.name.rpartition("/")
        folders[folder].add(name)
    for folder, names in sorted(folders.items()):
        if "receipt.json" not in names:
            yield f"results without a receipt: {folder}"
