"""Sounds between words, such as "uh" and "um", left out: `fillers.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.transcript.editing.tokens import Token, tokens_of
from shared.transcript.editing.word_edits import WordEdit, WordEditor
from shared.transcript.editing.word_lists import WordList, words_of
from shared.transcript.model import Word

_ANSWERS = frozenset({"uh-huh", "mhm", "mm-hmm", "mhmm", "uh-uh", "mm-mm", "nuh-uh"})
"""Stand for yes or no: kept where they are all that somebody says."""

_ENDS = frozenset(".?!")


def without_fillers(language: str) -> WordEditor | None:
    """The editor that leaves fillers out; None for a language of which none are known (BCP 47)."""
    fillers = words_of(WordList.FILLERS, language)
    if fillers is None:
        return None

    def editor(words: Sequence[Word]) -> Iterator[WordEdit]:
        tokens = tokens_of(words)
        gone = [
            token.key in fillers and not token.core.isupper() and not _is_answer(tokens, index)
            for index, token in enumerate(tokens)
        ]
        begins = False  # whether a capital went with the filler before
        for index, token in enumerate(tokens):
            if gone[index]:
                begins = begins or token.core[:1].isupper()
                yield WordEdit(index, index, ())
                continue
            text = words[index].text
            if begins and token.core[:1].islower():
                text = f"{token.lead}{token.core[:1].upper()}{token.core[1:]}{token.trail}"
            behind = index + 1
            while behind < len(tokens) and gone[behind]:
                behind += 1
            # "So, uh. Then": the full stop of a filler is that of the sentence.
            trails = [one.trail for one in tokens[index + 1 : behind] if one.trail[-1:] in _ENDS]
            if trails and token.trail[-1:] not in _ENDS:
                text = f"{text[: len(text) - len(token.trail)]}{trails[-1]}"
            if text != words[index].text:
                yield WordEdit(index, index, (text,))
            begins = False

    return editor


def _is_answer(tokens: Sequence[Token], index: int) -> bool:
    """Whether it is a sentence by itself, said for yes or no."""
    ends_before = index == 0 or tokens[index - 1].trail[-1:] in _ENDS
    return tokens[index].key in _ANSWERS and ends_before and tokens[index].trail[-1:] in _ENDS
