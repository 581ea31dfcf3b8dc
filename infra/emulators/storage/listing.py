"""A page of a bucket's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.emulators.storage.objects import StoredObject


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which names to list: those that begin with `prefix`, behind the entry `after`, `limit` entries at most."""

    prefix: str
    delimiter: str
    """Names that hold it behind the prefix are listed as one common prefix; empty for none."""
    after: str
    """The last entry of the page before; empty for the first page."""
    limit: int


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in the order of their names' bytes."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    next_after: str | None
    """What the next page is `after`; None when this is the last one."""


def page_of(objects: Iterable[StoredObject], query: ListQuery) -> Page:
    """The page of `objects` that `query` asks for."""
    listed: list[StoredObject] = []
    prefixes: list[str] = []
    last = query.after
    meant = (stored for stored in objects if stored.key.name.startswith(query.prefix))
    for stored in sorted(meant, key=lambda stored: stored.key.name):
        name = stored.key.name
        common_prefix = _common_prefix(name, query)
        entry = common_prefix or name
        if entry <= last:
            continue
        if len(listed) + len(prefixes) == query.limit:
            return Page(tuple(listed), tuple(prefixes), next_after=last)
        if common_prefix:
            prefixes.append(common_prefix)
        else:
            listed.append(stored)
        last = entry
    return Page(tuple(listed), tuple(prefixes), next_after=None)


def _common_prefix(name: str, query: ListQuery) -> str | None:
    """`name` up to its first delimiter behind the query's prefix; None when it has none there."""
    end = name.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
    return name[: end + len(query.delimiter)] if end >= 0 else None
