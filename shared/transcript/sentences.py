"""Which written words end a sentence. The engine writes the punctuation; sentencex knows what only looks like an end.

sentencex (Wikimedia's) has the abbreviations and ordinals of some 300 languages: "Dr. Smith", "J. R. R. Tolkien",
"29. Juli".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

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


def ends_with_terminal(text: str) -> bool:
    """Whether a text closes with a full stop or its like; quotes and brackets after it do not hide it."""
    return text.rstrip(_CLOSERS).endswith(_TERMINALS)


def sentence_ends(texts: Sequence[str], language: str) -> list[bool]:
    """The words of one speaker in order -> of each, whether it ends a sentence. `language`: a BCP 47 tag.

    An end takes a full stop or its like, and that sentencex sees an end there too.
    """
    candidates = [ends_with_terminal(text) for text in texts]
    if not any(candidates):
        return candidates
    # Without quotes, which straight as they are say neither that they open nor that they close.
    plain = [" ".join(text.strip(_OPENERS + _CLOSERS).split()) for text in texts]
    agreed = _agreed_ends(plain, language)
    return [candidate and (index in agreed or _is_answer(plain, index)) for index, candidate in enumerate(candidates)]


def _agreed_ends(texts: Sequence[str], language: str) -> set[int]:
    """The indexes of the words in which a sentence ends, by sentencex."""
    from sentencex import segment

    starts, parts, length, before = [], [], 0, ""
    for text in texts:
        if needs_space(before, text):
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(text)
        length += len(text)
        before = text or before
    ends, at = set(), 0
    for sentence in segment(language, "".join(parts)):
        written = sentence.strip()
        last = at + len(sentence.rstrip()) - 1
        at += len(sentence)
        # "M." alone, in French, is the beginning of a name and no sentence.
        if written and not (len(written) == 2 and written[0].isalpha() and written[1] == "."):
            ends.add(bisect_right(starts, last) - 1)
    return ends


def _is_answer(texts: Sequence[str], index: int) -> bool:
    following = texts[index + 1] if index + 1 < len(texts) else ""
    return texts[index].lower() == _ALSO_A_WORD and not following[:1].isdigit()
