"""`dropscribe rules`: check rules before they are deployed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from infra.cli.exit_codes import ExitCode
from infra.cli.tables import plain_table, printable
from shared.errors import Rejected
from shared.options.rules import UploadRules, parse_rules
from shared.state.ledger_entry import folder_of


@dataclass(frozen=True)
class RulesForName:
    """What the rules give an upload of a name that asks for nothing itself."""

    name: str
    patterns: tuple[str, ...]
    """Of the rules that match."""
    options: Mapping[str, str]
    monthly_budget_usd: float | None
    """Of the folder."""
    problem: str | None = None
    """Why such an upload would be rejected."""


def show(file: Path, names: Sequence[str], *, as_json: bool) -> int:
    """Print the rules for each name; the exit code. Raises typer.BadParameter for what are no rules."""
    try:
        rules = parse_rules(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not text in UTF-8.") from None
    except ValueError as error:
        raise typer.BadParameter(f"{file}: {error}.") from None
    found = [_for_name(rules, name) for name in names]
    if as_json:
        sys.stdout.write(json.dumps({"rules": len(rules.rules), "uploads": [asdict(one) for one in found]}) + "\n")
    else:
        _print(rules, found)
    return ExitCode.REJECTED if any(one.problem for one in found) else ExitCode.COMPLETED


def _for_name(rules: UploadRules, name: str) -> RulesForName:
    patterns = tuple(rule.pattern for rule in rules.matching(name))
    budget = rules.folder_budgets().get(folder_of(name))
    try:
        return RulesForName(name, patterns, rules.options(name, {}).metadata(), budget)
    except Rejected as error:
        return RulesForName(name, patterns, {}, budget, error.reason)


def _print(rules: UploadRules, found: Sequence[RulesForName]) -> None:
    console = Console()
    console.print(f"{len(rules.rules)} rules, all of them valid.")
    if not found:
        return
    table = plain_table("upload", "rules", "options", "folder's budget")
    for one in found:
        asked = one.problem or ", ".join(f"{key} {value}" for key, value in one.options.items()) or "-"
        budget = "-" if one.monthly_budget_usd is None else f"${one.monthly_budget_usd:g} a month"
        patterns = Text(printable(", ".join(one.patterns) or "-"))
        table.add_row(Text(printable(one.name)), patterns, Text(printable(asked)), budget)
    console.print(table)
