from __future__ import annotations

import pytest

from shared.deepgram_request import DeepgramRequest
from shared.languages.choice import parse_language_choice
from shared.options.model import UploadOptions
from shared.options.text_options import Fillers, Numbers


@pytest.mark.parametrize("numbers", [None, *Numbers])
def test_deepgram_formats_nothing_where_numbers_are_wanted_in_one_form(numbers: Numbers | None) -> None:
    options = UploadOptions(numbers=numbers)
    for request in (DeepgramRequest.of_upload(options, "en"), DeepgramRequest.of_chunks(options, "en")):
        asked = request.parameters("nova-3")
        assert asked["smart_format"] is (numbers is None)
        assert asked["punctuate"] is True


@pytest.mark.parametrize(
    ("asked", "language", "model", "parameters"),
    [
        ("de", "en", "nova-3", ("de", None, None)),
        ("auto", "en", "nova-3", (None, True, None)),
        ("de,en", "en", "nova-3", ("multi", None, ["de", "en"])),
        ("de-AT,fi", "en", "nova-3-general", ("multi", None, ["de", "fi"])),
        ("de-AT,en", "en", "nova-3-medical", ("multi", None, ["de", "en"])),
        ("de,sv", "en", "nova-3-medical", (None, ["de", "sv"], None)),
        ("de,en", "en", "nova-2", (None, ["de", "en"], None)),
        ("en,es", "en", "nova-2-general", ("multi", None, ["en", "es"])),
        ("en,es", "en", "nova-2-meeting", (None, ["en", "es"], None)),
        ("de,is", "en", "nova-3", (None, ["de", "is"], None)),
        (None, "multi", "nova-3", ("multi", None, None)),
        (None, "en", "nova-3", ("en", None, None)),
    ],
)
def test_several_languages_are_asked_for_as_multi_where_the_model_has_all_of_them(
    asked: str | None, language: str, model: str, parameters: tuple[object, ...]
) -> None:
    options = UploadOptions(language=None if asked is None else parse_language_choice(asked))
    for request in (DeepgramRequest.of_upload(options, language), DeepgramRequest.of_chunks(options, language)):
        sent = request.parameters(model)
        assert (sent["language"], sent["detect_language"], sent["language_hint"]) == parameters
        assert request.is_multilingual(model) is (parameters[0] == "multi")


def test_deepgram_is_asked_for_fillers_only_where_they_are_to_be_kept() -> None:
    for fillers, wanted in ((None, None), (Fillers.DROP, None), (Fillers.KEEP, True)):
        asked = DeepgramRequest.of_upload(UploadOptions(fillers=fillers), "en").parameters("nova-3")
        assert asked["filler_words"] is wanted
