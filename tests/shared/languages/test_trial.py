"""Which models hear the first speech of an upload whose language nobody knows."""

from __future__ import annotations

import pytest

from shared.languages.choice import LanguageChoice, parse_language_choice
from shared.languages.models import LanguageModels
from shared.languages.table import LanguageTable
from shared.languages.trial import ModelsOnTrial, models_heard_beside, models_on_trial

TABLE = LanguageTable(models=LanguageModels.parse("nvidia/v3=de fr en;whisper-base=*"))


@pytest.mark.parametrize(
    ("asked", "on_gpu", "known", "other"),
    [
        ("auto", False, ("v2", "nvidia/v3"), "whisper-base"),
        ("auto", True, ("v2", "nvidia/v3"), None),
        ("de,fr", False, ("nvidia/v3",), "whisper-base"),
        ("en,de", False, ("v2", "nvidia/v3"), "whisper-base"),
    ],
)
def test_models_are_on_trial_that_may_have_the_languages_and_run_here(
    asked: str, on_gpu: bool, known: tuple[str, ...], other: str | None
) -> None:
    found = models_on_trial(TABLE, "v2", parse_language_choice(asked), on_gpu=on_gpu)
    assert found == ModelsOnTrial(known, other)


@pytest.mark.parametrize(("asked", "on_gpu"), [("ja,ko", False), ("de,fr", True), ("de", False), (None, False)])
def test_where_there_is_no_choice_none_is_on_trial(asked: str | None, on_gpu: bool) -> None:
    choice = None if asked is None else parse_language_choice(asked)
    assert models_on_trial(TABLE, "v2", choice, on_gpu=on_gpu) is None


def test_a_model_that_is_for_any_language_has_no_rival() -> None:
    table = LanguageTable(own=LanguageChoice())
    assert models_on_trial(table, "mine", LanguageChoice(), on_gpu=False) is None


def test_a_copy_has_the_place_and_the_languages_of_what_it_is_a_copy_of() -> None:
    table = LanguageTable(LanguageChoice(tags=("en",)), LanguageModels.parse("v2=en fr;v3=de;other=it"))
    asked = parse_language_choice("fr,de")
    for name in ("v2", "/models/copy"):
        found = models_on_trial(table, name, asked, on_gpu=False, copy_of="v2")
        assert found == ModelsOnTrial((name, "v3"), None)


def test_others_than_the_one_that_hears_the_upload_hear_its_first_speech_besides() -> None:
    on_trial = ModelsOnTrial(("v2", "v3"), "whisper-base")
    assert models_heard_beside(on_trial, "v3") == ("v2",)
    assert models_heard_beside(on_trial, "whisper-base") == ("v2", "v3")
    assert models_heard_beside(None, "v2") == ()
