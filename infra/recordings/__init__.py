"""The recordings that ship with the project, and the truth about them: what is said, and when each word is heard.

They are synthetic speech in Tiny Parakeet's small language (`infra.tiny_parakeet`), in sentences it was not trained on,
made by `python -m tools.recordings.make_recordings`. Only the standard library is needed to read them.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_TRUTH_SUFFIX = ".truth.json"


@dataclass(frozen=True)
class TrueWord:
    """A word as written, with its punctuation, and when it is heard."""

    word: str
    start: float
    """Seconds into the file, as a player counts them."""
    end: float
    """Seconds."""


@dataclass(frozen=True)
class Recording:
    """One audio or video file and its truth."""

    path: Path
    text: str
    words: tuple[TrueWord, ...]
    voice: str
    """espeak-ng's names of the speakers, in the order in which they first speak, joined by ", "."""
    seen_voice: bool
    """Whether Tiny Parakeet was trained on these voices."""
    duration: float
    """Seconds."""


@cache
def shipped() -> tuple[Recording, ...]:
    """Every recording, by file name."""
    return tuple(_read(truth) for truth in sorted(_FOLDER.glob(f"*{_TRUTH_SUFFIX}")))


def recording(name: str) -> Recording:
    """The recording of a file name, with or without its suffix."""
    for candidate in shipped():
        if name in (candidate.path.name, candidate.path.stem):
            return candidate
    raise KeyError(f"no recording {name!r}; there are {', '.join(each.path.name for each in shipped())}")


def _read(truth_path: Path) -> Recording:
    truth = json.loads(truth_path.read_text())
    return Recording(
        path=truth_path.with_name(truth_path.name.removesuffix(_TRUTH_SUFFIX)),
        text=truth["text"],
        words=tuple(TrueWord(**word) for word in truth["words"]),
        voice=truth["voice"],
        seen_voice=truth["seen_voice"],
        duration=truth["duration"],
    )
