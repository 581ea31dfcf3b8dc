"""Rules of a deployment: what uploads are given whose names match a pattern, where their owners do not ask otherwise.

    [[rule]]
    pattern = "**"                      # a default for every upload
    language = "en"

    [[rule]]
    pattern = "therapy/**"
    privacy = "local"
    speakers = 2
    monthly-budget-usd = 25

Every rule that matches applies, a later one over an earlier one, and the upload's own metadata over all of them; but
nothing takes back `privacy = "local"`, `voices = "off"` or what is redacted, and of two cost limits the lower one
counts. Whose voices an upload is compared with, rules alone say.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from shared.enums import Privacy
from shared.errors import Rejected
from shared.options.metadata_keys import KEYS, PREFIX, VIDEO_ID_METADATA, VOICES_METADATA
from shared.options.model import VOICES_OFF, UploadOptions
from shared.options.parsing import parse_upload_options

BUDGET = "monthly-budget-usd"
PATTERN = "pattern"

MAX_RULES = 200
"""Each is compared with the name of every upload."""

MAX_CHARACTERS = 32_000
"""Cloud Run takes 32 KiB in a variable: https://cloud.google.com/run/docs/configuring/services/environment-variables."""

_OF_ONE_UPLOAD = frozenset({VIDEO_ID_METADATA})
"""What no two uploads have in common."""

_FOLDER = re.compile(r"[^/*?]+/\*\*")


@dataclass(frozen=True)
class Rule:
    """What the uploads of a pattern are given."""

    pattern: str
    """Of names of objects: `*` and `?` stand for characters but `/`, `**` for any."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """By metadata key, as an upload's owner would ask for it."""
    monthly_budget_usd: float | None = None
    """Of all uploads in the folder, in US dollars; only where the pattern is `FOLDER/**`."""

    @cached_property
    def options(self) -> UploadOptions:
        """What it gives. Raises Rejected for a value that is not allowed."""
        return parse_upload_options(self.metadata)

    def matches(self, name: str) -> bool:
        """Whether the rule is for an object of this name."""
        return _matches(self.pattern, name)


@dataclass(frozen=True)
class UploadRules:
    """A deployment's rules in their order."""

    rules: tuple[Rule, ...] = ()

    def matching(self, name: str) -> tuple[Rule, ...]:
        """The rules for an object of this name."""
        return tuple(rule for rule in self.rules if rule.matches(name))

    def options(self, name: str, metadata: Mapping[str, str]) -> UploadOptions:
        """An upload's options: what its own metadata asks for, and what rules say where it asks nothing.

        Raises Rejected for a value that is not allowed, and where metadata and rules exclude each other.
        """
        own = parse_upload_options(metadata)
        if own.voices not in (None, VOICES_OFF):
            # Else a caller with a key of one folder would learn who speaks by another one's voices.
            raise Rejected(f"The file's {VOICES_METADATA} names a folder, which only a rule of the deployment may.")
        matching = self.matching(name)
        if not matching:
            return own
        asked = {key.lower(): value for key, value in metadata.items() if value.strip()}
        options = parse_upload_options({**_merged(matching), **asked})
        parts = [own, *(rule.options for rule in matching)]
        is_private = any(part.is_private for part in parts)
        is_unknown = any(part.voices == VOICES_OFF for part in parts)
        limits = [part.max_cost_usd for part in parts if part.max_cost_usd is not None]
        for part in parts:
            options = options.with_redaction_of(part.redaction)
        return options.model_copy(
            update={
                "privacy": Privacy.LOCAL if is_private else options.privacy,
                "voices": VOICES_OFF if is_unknown else options.voices,
                "max_cost_usd": min(limits, default=None),
            }
        )

    def folder_budgets(self) -> Mapping[str, float]:
        """What a month's uploads of a folder, by its name, may cost in US dollars."""
        limited = (rule for rule in self.rules if rule.monthly_budget_usd is not None)
        return {rule.pattern.partition("/")[0]: rule.monthly_budget_usd or 0.0 for rule in limited}


NO_RULES = UploadRules()


def parse_rules(text: str) -> UploadRules:
    """Rules as TOML has them. Raises ValueError, which names the rule and what is wrong with it."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the rules have more than {MAX_CHARACTERS} characters")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the rules are not TOML: {error}") from None
    tables = document.get("rule", [])
    if document.keys() - {"rule"} or not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise ValueError("the rules have to be tables that begin with [[rule]], and nothing else")
    if len(tables) > MAX_RULES:
        raise ValueError(f"there are {len(tables)} rules; {MAX_RULES} are the most")
    rules = UploadRules(tuple(_rule(number, table) for number, table in enumerate(tables, 1)))
    with_budget = [rule.pattern for rule in rules.rules if rule.monthly_budget_usd is not None]
    if len(set(with_budget)) < len(with_budget):
        raise ValueError("a folder has two budgets")
    return rules


def _rule(number: int, table: Mapping[str, object]) -> Rule:
    pattern, budget = table.get(PATTERN), table.get(BUDGET)
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f'rule {number} has no pattern, such as "calls/**"')
    where = f"rule {number} ({pattern[:100]})"
    if budget is not None:
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < float("inf"):
            raise ValueError(f"{where}: {BUDGET} has to be a number above 0")
        if not _FOLDER.fullmatch(pattern):
            raise ValueError(f"{where}: {BUDGET} is for one folder of the bucket, with a pattern such as calls/**")
    metadata = {f"{PREFIX}{name}": _text(where, name, value) for name, value in table.items() if name not in _OWN}
    if unknown := sorted(metadata.keys() - (KEYS - _OF_ONE_UPLOAD)):
        known = ", ".join(sorted(key.removeprefix(PREFIX) for key in KEYS - _OF_ONE_UPLOAD))
        raise ValueError(f"{where}: {unknown[0].removeprefix(PREFIX)!r} is no option; there are {known}")
    rule = Rule(pattern, metadata, None if budget is None else float(budget))
    try:
        _ = rule.options  # kept from here on for every upload
    except Rejected as error:
        raise ValueError(f"{where}: {error.reason}") from None
    return rule


_OWN = frozenset({PATTERN, BUDGET})


def _text(where: str, name: str, value: object) -> str:
    """A value as metadata has it."""
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int() | float():
            return str(value)
        case list() if all(isinstance(one, str | int | float) for one in value):
            return ", ".join(map(str, value))
    raise ValueError(f"{where}: {name} has to be a text, a number, true, false or a list of such")


def _merged(rules: Iterable[Rule]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for rule in rules:
        merged.update(rule.metadata)
    return merged


def _matches(pattern: str, name: str) -> bool:
    """In time that grows with both lengths alone: as a regular expression, some names would take hours."""
    end = len(name)
    positions = {0}
    for piece in _PIECE.findall(pattern):
        match piece:
            case "**":
                positions = set(range(min(positions), end + 1))
            case "*":
                positions = _to_slashes(positions, name)
            case "?":
                positions = {at + 1 for at in positions if at < end and name[at] != "/"}
            case _:
                positions = {at + len(piece) for at in positions if name.startswith(piece, at)}
        if not positions:
            return False
    return end in positions


_PIECE = re.compile(r"\*\*|\*|\?|[^*?]+")


def _to_slashes(positions: Iterable[int], name: str) -> set[int]:
    """What can be reached from the positions without passing a slash."""
    reached: set[int] = set()
    for at in positions:
        while at not in reached:
            reached.add(at)
            if at == len(name) or name[at] == "/":
                break
            at += 1
    return reached
