"""The one place where words are edited: between the engines' passages and `compose`, for every engine alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.transcript.editing.fillers import without_fillers
from shared.transcript.editing.profanity import masked_profanity
from shared.transcript.editing.spoken_numbers import spoken_numbers
from shared.transcript.editing.word_edits import WordEditor, edit_passages
from shared.transcript.editing.written_numbers import written_numbers
from shared.transcript.model import Passage


def edited(passages: Sequence[Passage], language: str, options: TextOptions) -> list[Passage]:
    """Passages as engines wrote them, with their speakers -> as they are to be written.

    The order: fillers first, for they stand between the words of a number; then numbers, then profanity. Redaction
    comes last, for it looks for numbers as they are written. A passage whose language was found is edited by that one's
    rules; `language`: that of the others.
    """
    edited_passages: list[Passage] = []
    for spoken, group in groupby(passages, key=lambda passage: passage.language or language):
        edited_passages.extend(edit_passages(list(group), _editors(spoken, options)))
    return edited_passages


def _editors(language: str, options: TextOptions) -> list[WordEditor]:
    asked = (
        without_fillers(language) if options.fillers is Fillers.DROP else None,
        written_numbers(language) if options.numbers is Numbers.WRITTEN else None,
        spoken_numbers(language) if options.numbers is Numbers.SPOKEN else None,
        masked_profanity(language) if options.profanity is Profanity.MASK else None,
    )
    return [editor for editor in asked if editor is not None]
