"""Which written words end a sentence. The engine writes the punctuation; sentencex knows what only looks like an end.

sentencex (Wikimedia's) has the abbreviations and ordinals of some 300 languages: "Dr. Smith", "J. R. R. Tolkien",
"29. Juli".
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from io import StringIO

from shared.transcript.spacing import needs_space

_TERMINALS = (
    *(".", "?", "!", "\u203c", "\u203d", "\u2047", "\u2048", "\u2049"),
    *("\u3002", "\uff0e", "\uff1f", "\uff01", "\uff61"),  # East Asian
    *("\u061f", "\u06d4"),  # Arabic, Urdu
    *("\u0964", "\u0965"),  # danda and double danda of Indic scripts
    *("\u0589", "\u1362", "\u1367", "\u104b", "\u17d4", "\u037e"),  # Armenian, Ethiopic, Myanmar, Khmer, Greek
)
_OPENERS = "\"'([{\u201c\u2018\u00ab\u2039\u201e\u201a\u300c\u300e\uff08\u00bf\u00a1"
_CLOSERS = "\"')]}\u201d\u2019\u00bb\u203a\u201c\u2018\u300d\u300f\uff09"

_ALSO_A_WORD = "no."
"""sentencex takes it for "number". In speech it is an answer, unless a number follows."""
_TITLES = frozenset({"dr.", "prof."})
"""Written alike in most languages; sentencex knows them in some."""


def ends_with_terminal(text: str) -> bool:
    """Whether a text closes with a full stop or its like; quotes and brackets after it do not hide it."""
    return text.rstrip(_CLOSERS).endswith(_TERMINALS)


def sentence_ends(texts: Sequence[str], language: str) -> list[bool]:
    """The words of one speaker in order -> of each, whether it ends a sentence. `language`: a BCP 47 tag.

    An end takes a full stop or its like, that sentencex sees an end there too, and that the sentence does not go on.
    """
    candidates = [ends_with_terminal(text) for text in texts]
    if not any(candidates):
        return candidates
    # Without quotes, which straight as they are say neither that they open nor that they close. Each text once: a day
    # of speech has 200,000 words and some thousand texts.
    cleaned = {text: " ".join(text.strip(_OPENERS + _CLOSERS).split()) for text in set(texts)}
    plain = [cleaned[text] for text in texts]
    agreed = _agreed_ends(plain, language)
    # An engine that writes no capitals says nothing by a small letter.
    has_capitals = any(text[:1].isupper() for text in plain)
    return [
        candidate
        and (index in agreed or _is_answer(text, following))
        and not (has_capitals and _goes_on(text, following))
        for index, (candidate, text, following) in enumerate(zip(candidates, plain, [*plain[1:], ""], strict=True))
    ]


def _agreed_ends(texts: Sequence[str], language: str) -> set[int]:
    """The indexes of the words in which a sentence ends, by sentencex."""
    from sentencex import segment

    starts, joined, before = array("q"), StringIO(), ""
    for text in texts:
        if needs_space(before, text):
            joined.write(" ")
        starts.append(joined.tell())
        joined.write(text)
        before = text or before
    ends, at = set(), 0
    for sentence in segment(language, joined.getvalue()):
        written = sentence.strip()
        last = at + len(sentence.rstrip()) - 1
        at += len(sentence)
        # "M." alone, in French, is the beginning of a name and no sentence.
        if written and not _is_initial(written):
            ends.add(bisect_right(starts, last) - 1)
    return ends


def _is_answer(text: str, following: str) -> bool:
    return text.lower() == _ALSO_A_WORD and not following[:1].isdigit()


def _goes_on(text: str, following: str) -> bool:
    """Whether a full stop ends no sentence in any language: before a small letter (UAX #29, SB8: "29. juli"), between
    two initials, and after a title."""
    if not text.endswith(".") or not following:
        return False
    return following[0].islower() or (_is_initial(text) and _is_initial(following)) or text.lower() in _TITLES


def _is_initial(text: str) -> bool:
    return len(text) == 2 and text[0].isupper() and text[1] == "."
