from __future__ import annotations

import pytest

from shared.enums import Engine
from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.transcript.editing.edit_words import edited
from shared.transcript.model import Passage, Word


def text(heard: str, options: TextOptions, language: str = "en") -> str:
    words = [Word(text=one, start=at * 0.4, end=at * 0.4 + 0.3) for at, one in enumerate(heard.split())]
    passages = edited([Passage(Engine.PARAKEET_CPU, words)], language, options)
    return " ".join(word.text for passage in passages for word in passage.words)


@pytest.mark.parametrize(
    ("language", "heard", "without"),
    [
        ("en", "Uh, so it was, um, good. Um.", "So it was, good."),
        ("en", "Well, uh. Then we left.", "Well. Then we left."),
        ("en", "Uh um the end", "The end"),
        ("en", "Really? Uh-huh. Mhm.", "Really? Uh-huh. Mhm."),
        ("en", "the ER was er full", "the ER was full"),
        ("en", "an umbrella", "an umbrella"),
        ("de", "Das ist, äh, gut", "Das ist, gut"),
        ("fr", "c'est euh bien", "c'est bien"),
        ("ru", "uh да", "uh да"),
    ],
)
def test_fillers_are_dropped(language: str, heard: str, without: str) -> None:
    assert text(heard, TextOptions(fillers=Fillers.DROP), language) == without
    assert text(heard, TextOptions(fillers=Fillers.KEEP), language) == heard


@pytest.mark.parametrize(
    ("language", "heard", "masked"),
    [
        ("en", "What the fuck, Fucking hell!", "What the f***, F****** hell!"),
        ("en", "bull-shit's MOTHERFUCKER", "bull-s***'s M***********"),
        ("en", "a class in Scunthorpe, assessed", "a class in Scunthorpe, assessed"),
        ("de", "So eine Scheiße.", "So eine S******."),
        ("es", "una mierda y un martillo", "una m***** y un martillo"),
        ("ja", "fuck", "fuck"),
    ],
)
def test_swear_words_are_masked(language: str, heard: str, masked: str) -> None:
    assert text(heard, TextOptions(profanity=Profanity.MASK), language) == masked
    assert text(heard, TextOptions(profanity=Profanity.KEEP), language) == heard


def test_a_filler_does_not_part_a_number() -> None:
    options = TextOptions(Numbers.WRITTEN, Fillers.DROP, Profanity.MASK)
    assert text("twenty uh three fucking dollars", options) == "23 f****** dollars"
