"""What is dropped in a chaos run, and how it must end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.recordings import recording

SOUND = ("memo", "call", "interview", "podcast")
"""Shipped recordings of seconds, of three containers and codecs."""


@dataclass(frozen=True)
class Drop:
    """One upload to be made."""

    path: Path
    name: str
    options: dict[str, str] = field(default_factory=dict)
    is_sound: bool = True
    """Whether it must be completed; otherwise rejected."""


def drops(count: int, seed: int, corrupt: Path, long: Path | None) -> Sequence[Drop]:
    """`count` uploads: of forty, one is `long` (where there is one), two are `corrupt`, and a quarter of the others
    asks for Deepgram."""
    chosen = random.Random(seed)
    made = []
    for number in range(count):
        folder = f"folder-{chosen.randrange(4)}/{number:04}"
        kind = chosen.randrange(40)
        method = "deepgram" if chosen.random() < 0.25 else "parakeet"
        if kind == 0 and long is not None:
            made.append(Drop(long, f"{folder}-long{long.suffix}", {"method": method}))
        elif kind <= 2:
            made.append(Drop(corrupt, f"{folder}-corrupt.mp3", is_sound=False))
        else:
            path = recording(chosen.choice(SOUND)).path
            made.append(Drop(path, f"{folder}-{path.name}", {"method": method}))
    return made
