"""Lists in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.emulators.pubsub.wire import Proto


class Named(Protocol):
    """An item of a list."""

    @property
    def name(self) -> str:
        """What the list is sorted by."""
        ...


Item = TypeVar("Item", bound=Named)


def page(items: Sequence[Item], request: Proto) -> tuple[Sequence[Item], str]:
    """The items, in the order of their names, that a list `request` is for, and the token of the next page or ""."""
    later = [item for item in items if item.name > request.page_token]
    size = request.page_size if request.page_size > 0 else len(later)
    return later[:size], later[size - 1].name if size < len(later) else ""
