"""Dead letters on the terminal. What they hold came from outside: it is escaped, and cut where it is long."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import typer
from google.cloud import pubsub_v1
from google.cloud.storage import Client
from rich.console import Console
from rich.text import Text

from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.tables import output_console, plain_table, print_line, printable
from shared.clock import now
from shared.errors import shortened
from shared.operations.dead_letters import MOST_HELD, DeadLetter, DeadLetterQueue, DeadLetters
from shared.operations.ended_jobs import standings_of
from shared.progress.describe import rough_duration

MAX_NAME_CHARACTERS = 120
MAX_WHY_CHARACTERS = 200
MAX_DATA_CHARACTERS = 4000
"""Of what is printed of a letter; Pub/Sub takes 10 MB."""


@dataclass(frozen=True)
class Letters:
    """Which ones the command is about."""

    project: str
    topic_prefix: str
    queue: str
    """A DeadLetterQueue, or `all`."""
    state_bucket: str | None = None
    """Where to look up what has become of their jobs; None: nowhere."""

    @property
    def queues(self) -> tuple[DeadLetterQueue, ...]:
        """One or all."""
        return tuple(DeadLetterQueue) if self.queue == "all" else (DeadLetterQueue(self.queue),)

    def connect(self) -> DeadLetters:
        """Google's clients."""
        return DeadLetters(pubsub_v1.SubscriberClient(), pubsub_v1.PublisherClient(), self.project, self.topic_prefix)

    def standings(self, letters: Sequence[DeadLetter]) -> Mapping[str, str] | None:
        """What has become of their jobs, by id; None where nobody looked."""
        if self.state_bucket is None:
            return None
        state = Client(project=self.project).bucket(self.state_bucket)
        return standings_of(state, {letter.job_id for letter in letters if letter.job_id})


@dataclass(frozen=True)
class Action:
    """What is to be done with them."""

    verb: Literal["replay", "drop"]
    ids: Sequence[str] | None
    """None or empty: all."""
    asks: bool
    dry_run: bool
    as_json: bool

    @property
    def done(self) -> str:
        """Of the verb."""
        return "published again" if self.verb == "replay" else "dropped"


@errors_in_one_line
def print_letters(letters: Letters, limit: int, *, as_json: bool) -> int:
    """List dead letters. The exit status: 0, also where there are none."""
    found = letters.connect().found(letters.queues, limit)
    standings = letters.standings(found)
    if as_json:
        sys.stdout.write(json.dumps({"letters": [_as_dict(letter, standings) for letter in found]}) + "\n")
        return 0
    console = output_console()
    if not found:
        print_line(console, "There are no dead letters.")
        return 0
    _print(found, console, standings)
    counts = {queue: sum(letter.queue is queue for letter in found) for queue in letters.queues}
    if full := [queue.value for queue, count in counts.items() if count == limit]:
        print_line(console, f"There may be more of {' and '.join(full)}: --limit.")
    return 0


@errors_in_one_line
def take_letters(letters: Letters, action: Action) -> int:
    """Replay or drop letters. The exit status: 0 where all that were named were there and could be dealt with."""
    dead = letters.connect()
    ids = set(action.ids) if action.ids else None
    console = Console(stderr=True) if action.as_json else output_console()
    if action.dry_run or action.asks:
        found = [one for one in dead.found(letters.queues, MOST_HELD) if ids is None or one.id in ids]
        if not found and ids is not None:
            raise CommandError("There are no such dead letters.")
        if found and not action.as_json:
            _print(found, console)
        if action.dry_run or not found:
            return _report(found, action, console)
        typer.confirm(f"{action.verb.capitalize()} {_count(found)}?", abort=True)
        # What came in between was not asked about.
        ids = {one.id for one in found}
    taken = dead.replay(letters.queues, ids) if action.verb == "replay" else dead.drop(letters.queues, ids)
    status = _report(taken, action, console)
    if ids is not None and (left := ids - {one.id for one in taken}):
        where = "not found, or of no topic of this deployment" if action.verb == "replay" else "not found"
        print_line(console, f"{len(left)} {where}: {', '.join(sorted(left))}")
        return 1
    return status


def _report(some: Sequence[DeadLetter], action: Action, console: Console) -> int:
    if action.as_json:
        done = not action.dry_run
        letters = [_as_dict(letter) for letter in some]
        sys.stdout.write(json.dumps({"action": action.verb, "done": done, "letters": letters}) + "\n")
    else:
        print_line(console, f"{_count(some)} {'would be ' if action.dry_run else ''}{action.done}.")
    return 0


def _count(some: Sequence[DeadLetter]) -> str:
    return f"{len(some)} dead letter{'' if len(some) == 1 else 's'}"


def _print(found: Sequence[DeadLetter], console: Console, standings: Mapping[str, str] | None = None) -> None:
    at = now()
    looked_up = () if standings is None else ("now",)
    columns = ("id", "age", "topic", "deliveries", "job", *looked_up, "upload", "why")
    table = plain_table(*columns, right=("age", "deliveries"))
    for letter in found:
        table.add_row(
            Text(printable(letter.id)),
            _age(letter.published_at, at),
            letter.topic or "unknown",
            str(letter.attempts or "-"),
            Text(_shown(letter.job_id or "-", MAX_NAME_CHARACTERS)),
            *(() if standings is None else (standings.get(letter.job_id or "", "-"),)),
            Text(_shown(letter.upload or "-", MAX_NAME_CHARACTERS)),
            Text(_shown(letter.why, MAX_WHY_CHARACTERS)),
        )
    console.print(table)


def _age(since: datetime, at: datetime) -> str:
    seconds = max(0.0, (at - since).total_seconds())
    days = int(seconds // 86_400)
    return f"{days} d" if days > 1 else rough_duration(seconds)


def _shown(text: str, most: int) -> str:
    return printable(shortened(text, most))


def _as_dict(letter: DeadLetter, standings: Mapping[str, str] | None = None) -> dict[str, object]:
    """As JSON has it. `job_now`: null where nobody looked. `data`: as text, what is no UTF-8 escaped, at most
    MAX_DATA_CHARACTERS of it."""
    return {
        "id": letter.id,
        "queue": letter.queue.value,
        "topic": letter.topic,
        "published_at": letter.published_at.isoformat(),
        "died_at": letter.died_at.isoformat(),
        "attempts": letter.attempts,
        "job_id": letter.job_id,
        "job_now": (standings or {}).get(letter.job_id or ""),
        "upload": letter.upload,
        "why": letter.why,
        "attributes": {key: shortened(value, MAX_DATA_CHARACTERS) for key, value in letter.attributes.items()},
        "bytes": len(letter.data),
        "data": shortened(
            letter.data[: 4 * MAX_DATA_CHARACTERS].decode(errors="backslashreplace"), MAX_DATA_CHARACTERS
        ),
    }
