"""Each container and codec: the whole file, cut in half, with bytes missing inside, and with another session behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchmarks.media.edits import Appended, Cut, Removed
from benchmarks.media.format_table import FORMATS
from benchmarks.media.formats import BEHIND, SECOND, SECONDS, WHOLE, Format
from benchmarks.media.recipes import Edit, Recipe, Truth

CUT = 0.5
REMOVED = (0.45, 0.65)


def base_files() -> Iterator[Recipe]:
    """Four of each container and codec; of a third kind of plain samples, or another rate, the whole file alone."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in FORMATS:
        yield _file(one, "whole", (), one.truth((WHOLE,), SECONDS))
        codec = "pcm" if one.codec.startswith("pcm_") else one.codec
        seen[one.container, codec] += 1
        if seen[one.container, codec] > (2 if codec == "pcm" else 1):
            continue
        yield _file(one, "cut in half", (Cut(CUT),), one.truth((WHOLE,), SECONDS, is_damaged=True))
        yield _file(one, "bytes missing inside", (Removed(*REMOVED),), one.truth((WHOLE,), SECONDS, is_damaged=True))
        second = (Appended(one.encoding("B", SECOND)),)
        yield _file(one, "appended session", second, one.truth((WHOLE, BEHIND), SECONDS + SECOND))


def _file(one: Format, kind: str, edits: tuple[Edit, ...], truth: Truth) -> Recipe:
    return Recipe(f"{one.name}{f' {one.rate} Hz' if one.rate else ''}, {kind}", kind, one.encoding(), truth, edits)
