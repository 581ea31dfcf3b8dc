from __future__ import annotations

import pytest

from shared.deepgram_request import DeepgramRequest
from shared.options.model import UploadOptions
from shared.options.text_options import Fillers, Numbers


@pytest.mark.parametrize("numbers", [None, *Numbers])
def test_deepgram_formats_nothing_where_numbers_are_wanted_in_one_form(numbers: Numbers | None) -> None:
    options = UploadOptions(numbers=numbers)
    for request in (DeepgramRequest.of_upload(options, "en"), DeepgramRequest.of_chunks(options, "en")):
        asked = request.parameters("nova-3")
        assert asked["smart_format"] is (numbers is None)
        assert asked["punctuate"] is True


def test_deepgram_is_asked_for_fillers_only_where_they_are_to_be_kept() -> None:
    for fillers, wanted in ((None, None), (Fillers.DROP, None), (Fillers.KEEP, True)):
        asked = DeepgramRequest.of_upload(UploadOptions(fillers=fillers), "en").parameters("nova-3")
        assert asked["filler_words"] is wanted
