"""How much of what must not be read the recognizers find, and how much else they take: by kind, on a labelled set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.redaction.entities import Entity
from shared.redaction.find import find_entities
from shared.redaction.kinds import Redact
from shared.redaction.request import RedactionRequest

LABELLED = Path(__file__).with_name("labelled.txt")

_LABELLED = re.compile(r"\{(\w+):([^}]*)\}(\S*)|(\S+)")


@dataclass(frozen=True)
class Line:
    """The words of one speaker, and which of them must not be read."""

    words: tuple[str, ...]
    entities: tuple[Entity, ...]
    is_written: bool
    """With capitals, punctuation and digits."""


@dataclass
class Score:
    """Of some lines."""

    labelled: Counter[str] = field(default_factory=Counter)
    """Entities of each kind."""
    found: Counter[str] = field(default_factory=Counter)
    """Of those, entities of which every word is redacted."""
    labelled_words: int = 0
    found_words: int = 0
    """Words that are labelled and redacted."""
    redacted_words: int = 0
    words: int = 0

    @property
    def recall(self) -> float:
        """Share of the labelled words."""
        return self.found_words / self.labelled_words

    @property
    def precision(self) -> float:
        """Share of the redacted words."""
        return self.found_words / self.redacted_words


def lines(text: str) -> Iterator[Line]:
    """The lines of a labelled set."""
    is_written = False
    for row in text.splitlines():
        if row.startswith("#"):
            is_written = is_written or row.startswith("# written")
            continue
        words: list[str] = []
        entities: list[Entity] = []
        for label, inside, behind, word in _LABELLED.findall(row):
            first = len(words)
            words.extend(inside.split() if label else [word])
            if label:
                words[-1] += behind
                entities.append(Entity(first, len(words) - 1, label))
        yield Line(tuple(words), tuple(entities), is_written)


def score(of: list[Line]) -> Score:
    """What `Redact.PII` finds in them."""
    result, request = Score(), RedactionRequest(kinds=(Redact.PII,))
    for line in of:
        covered = {at for one in find_entities(line.words, request) for at in range(one.first, one.last + 1)}
        wanted: set[int] = set()
        for entity in line.entities:
            own = set(range(entity.first, entity.last + 1))
            wanted |= own
            result.labelled[entity.label] += 1
            result.found[entity.label] += own <= covered
        result.labelled_words += len(wanted)
        result.found_words += len(wanted & covered)
        result.redacted_words += len(covered)
        result.words += len(line.words)
    return result
