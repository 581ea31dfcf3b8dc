"""The one place where words are edited: between the engines' passages and `compose`, for every engine alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.redaction.find import find_entities
from shared.redaction.request import NOTHING_REDACTED, RedactionRequest
from shared.transcript.editing.fillers import without_fillers
from shared.transcript.editing.profanity import masked_profanity
from shared.transcript.editing.spoken_numbers import spoken_numbers
from shared.transcript.editing.word_edits import WordEdit, WordEditor, edit_passages
from shared.transcript.editing.written_numbers import written_numbers
from shared.transcript.model import Passage, Word


def edited(
    passages: Sequence[Passage],
    language: str,
    options: TextOptions,
    redaction: RedactionRequest = NOTHING_REDACTED,
) -> list[Passage]:
    """Passages as engines wrote them, with their speakers -> as they are to be written.

    The order: fillers first, for they stand between the words of a number; then numbers, then profanity. Redaction
    comes last, for it looks for numbers as they are written. What is one of its terms stays as the engine wrote it:
    `five one zero` would not be found in `510`, and less so in `5109`. A passage whose language was found is edited by
    that one's rules; `language`: that of the others.
    """
    edited_passages: list[Passage] = []
    for spoken, group in groupby(passages, key=lambda passage: passage.language or language):
        edited_passages.extend(edit_passages(list(group), _editors(spoken, options, redaction.of_terms)))
    return edited_passages


def _editors(language: str, options: TextOptions, terms: RedactionRequest) -> list[WordEditor]:
    asked = (
        without_fillers(language) if options.fillers is Fillers.DROP else None,
        written_numbers(language) if options.numbers is Numbers.WRITTEN else None,
        spoken_numbers(language) if options.numbers is Numbers.SPOKEN else None,
        masked_profanity(language) if options.profanity is Profanity.MASK else None,
    )
    editors = [editor for editor in asked if editor is not None]
    return [_sparing(editor, terms) for editor in editors] if terms.is_asked else editors


def _sparing(editor: WordEditor, terms: RedactionRequest) -> WordEditor:
    """The editor of what lies between the terms."""

    def edits(words: Sequence[Word]) -> Iterator[WordEdit]:
        done = 0
        for first, last in [*_places(words, terms), (len(words), len(words))]:
            for edit in editor(words[done:first]) if done < first else ():
                yield WordEdit(edit.first + done, edit.last + done, edit.texts)
            done = last + 1

    return edits


def _places(words: Sequence[Word], terms: RedactionRequest) -> Iterator[tuple[int, int]]:
    """The first and the last word of each term, in order."""
    return ((one.first, one.last) for one in find_entities([word.text for word in words], terms))
