"""Phrases -> the model's tokens, by the vocabulary alone: byte pair encoding as SentencePiece does it.

A vocabulary's ids are in the order in which pairs were merged in training, so the pair whose piece has the lowest id is
merged first. That needs no tokenizer file, which ONNX folders do not have.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gpu_job.asr.boosting.tree import BoostingTree, TokenPhrase, boosting_tree
from gpu_job.asr.recognizer import LeftOut
from gpu_job.asr.tdt_hypotheses import Vocabulary
from shared.keyterms.terms import Keyterm

KEPT_TREES = 64
"""Of lists of terms, for each model: a batch mixes chunks of several uploads."""


@dataclass(frozen=True)
class SpelledTerms:
    """Terms as a model can favour them."""

    tree: BoostingTree | None
    """None where it can spell none of them."""
    unspellable: tuple[str, ...]
    """Phrases with characters that the model never writes."""


class Speller:
    """Spells terms with one model's vocabulary. From any thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._size = len(vocabulary.pieces)
        pieces = [(piece.text, number) for number, piece in enumerate(vocabulary.pieces) if piece.text]
        self._ids: Mapping[str, int] = dict(reversed(pieces))
        """Of pieces that stand twice, the first."""
        self._bytes = {piece.byte: number for number, piece in enumerate(vocabulary.pieces) if piece.byte is not None}
        self._spelled = lru_cache(maxsize=KEPT_TREES)(self._spell_all)

    def spell(self, terms: tuple[Keyterm, ...]) -> SpelledTerms:
        """The tree of an upload's terms, and which of them are not in it."""
        return self._spelled(terms)

    def left_out(self, terms: tuple[Keyterm, ...]) -> LeftOut:
        """The terms that the model cannot spell."""
        unspellable = self.spell(terms).unspellable
        return LeftOut(unspellable, "The model never writes some of their characters." if unspellable else "")

    def _spell_all(self, terms: tuple[Keyterm, ...]) -> SpelledTerms:
        phrases: list[TokenPhrase] = []
        unspellable: list[str] = []
        for term in terms:
            spellings = self._spellings(term.phrase)
            phrases += [TokenPhrase(ids, term.weight) for ids in spellings]
            if not spellings:
                unspellable.append(term.phrase)
        return SpelledTerms(boosting_tree(phrases, self._size) if phrases else None, tuple(unspellable))

    def _spellings(self, phrase: str) -> list[tuple[int, ...]]:
        """As it is written, and at a sentence's beginning; in small letters where the model knows no others."""
        capitalized = phrase[0].upper() + phrase[1:]
        found = [ids for text in dict.fromkeys((phrase, capitalized)) if (ids := self.ids(text)) is not None]
        if not found and (ids := self.ids(phrase.lower())) is not None:
            found.append(ids)
        return found

    def ids(self, phrase: str) -> tuple[int, ...] | None:
        """The tokens of a phrase that begins a word; None where a character is in no token."""
        text = " " + " ".join(unicodedata.normalize("NFKC", phrase).split())
        pieces = self._merged(list(text))
        ids: list[int] = []
        for piece in pieces:
            if piece in self._ids:
                ids.append(self._ids[piece])
                continue
            spelled = [self._bytes.get(byte) for byte in piece.encode()]
            if None in spelled:
                return None
            ids += [number for number in spelled if number is not None]
        return tuple(ids)

    def _merged(self, pieces: Sequence[str]) -> Sequence[str]:
        pieces = list(pieces)
        while len(pieces) > 1:
            ranks = [self._ids.get(left + right, self._size) for left, right in pairwise(pieces)]
            best = min(ranks)
            if best == self._size:
                break
            at = ranks.index(best)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return pieces
