"""In which language a text is: py3langid, whose model of 139 languages comes with its wheel. Offline, numpy alone."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

_ALIASES = {"nb": "no", "nn": "no"}
"""Codes of speech models that the detector has under another one."""

_lock = threading.Lock()
"""Around the model, which several files' threads ask."""


class TextLanguages:
    """Tells some languages apart. The model is loaded with the first text: 0.3 s, some 60 MB."""

    def __init__(self, codes: Iterable[str] = ()) -> None:
        """`codes`: languages without script and region; none: all that the model has."""
        self._codes = {_ALIASES.get(code, code): code for code in codes}

    def log_probabilities(self, text: str) -> Mapping[str, float]:
        """Of each language, the logarithm of its likelihood, up to what all have in common.

        Empty where the model has none of them.
        """
        with _lock:
            ranked = _loaded().rank(text)
        scores = {str(code): float(score) for code, score in ranked if code != "zxx"}
        if not self._codes:
            return scores
        return {self._codes[code]: score for code, score in scores.items() if code in self._codes}


@cache
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
