"""Numbers written in digits, and in words: how many of the labelled phrases come out as they should.

python -m benchmarks written-form
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Measurement
from shared.transcript.editing.spoken_numbers import spoken_numbers
from shared.transcript.editing.word_edits import WordEditor, apply_edits
from shared.transcript.editing.written_numbers import written_numbers
from shared.transcript.model import Word

PHRASES = Path(__file__).with_suffix(".toml")

_WORD_SECONDS, _PAUSE_SECONDS = 0.3, 0.1
"""Of made word times."""


@dataclass(frozen=True)
class Phrase:
    """A phrase, as it should be edited, and as it was."""

    language: str
    heard: str
    wanted: str
    got: str

    @property
    def is_right(self) -> bool:
        """Whether it is as wanted, apart from the kind of space."""
        return self.got.split() == self.wanted.split()


def phrases() -> tuple[list[Phrase], list[Phrase]]:
    """All phrases: those written in digits, and those written in words."""
    listed = tomllib.loads(PHRASES.read_text(encoding="utf-8"))
    written = list(_edited(listed["phrases"], written_numbers))
    return written, list(_edited(listed["spoken"], spoken_numbers))


def _edited(listed: list[list[str]], editor_of: Callable[[str], WordEditor | None]) -> Iterator[Phrase]:
    for language, heard, wanted in listed:
        editor = editor_of(language)
        assert editor is not None
        words = [
            Word(text=text, start=at * _WORD_SECONDS, end=(at + 1) * _WORD_SECONDS - _PAUSE_SECONDS)
            for at, text in enumerate(heard.split())
        ]
        got = " ".join(one.word.text for one in apply_edits(words, editor(words)))
        yield Phrase(language, heard, wanted, got)


def written_form() -> Iterator[Measurement]:
    """The share of phrases that come out as they should, by language."""
    for name, all_of_them in zip(("digits", "words"), phrases(), strict=True):
        for language in dict.fromkeys(one.language for one in all_of_them):
            own = [one for one in all_of_them if one.language == language]
            right = sum(one.is_right for one in own)
            label = f"phrases written in {name} as they should be, {language}, of {len(own)}"
            yield Measurement(label, right, "phrases", "-", "-", None)
