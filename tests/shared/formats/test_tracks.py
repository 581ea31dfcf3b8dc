"""The requested track, else the one marked as the default, else the first; what is not there is named."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.formats.languages import language_code
from shared.formats.tracks import AudioTrack, RequestedTrack, chosen_track


def track(number: int, **facts: object) -> AudioTrack:
    return AudioTrack.model_validate({"number": number, "index": number, "codec": "aac", **facts})


def test_without_marks_it_is_the_first() -> None:
    assert chosen_track([track(1), track(2)]).number == 1


def test_the_default_comes_before_the_first() -> None:
    assert chosen_track([track(1), track(2, is_default=True)]).number == 2


def test_of_several_defaults_it_is_the_first() -> None:
    assert chosen_track([track(1), track(2, is_default=True), track(3, is_default=True)]).number == 2


def test_commentary_comes_last_even_as_the_default() -> None:
    assert chosen_track([track(1, is_secondary=True, is_default=True), track(2)]).number == 2


def test_a_codec_that_can_be_read_comes_first() -> None:
    assert chosen_track([track(1, is_readable=False, is_default=True), track(2, is_secondary=True)]).number == 2


FILM = [
    track(1, language="eng"),
    track(2, language="ger", title="Kommentar", is_secondary=True),
    track(3, language="de-CH"),
    track(4, language="fre", is_default=True),
]


@pytest.mark.parametrize(
    ("requested", "number"),
    [
        (1, 1),
        (2, 2),
        ("de", 3),
        ("deu", 3),
        ("ger", 3),
        ("de-AT", 3),
        ("fr", 4),
        ("fra", 4),
        ("all", 4),
        (None, 4),
        ("EN", 1),
    ],
)
def test_the_request_decides(requested: RequestedTrack | None, number: int) -> None:
    assert chosen_track(FILM, requested).number == number


@pytest.mark.parametrize("requested", [5, "ja", "xx"])
def test_a_request_that_cannot_be_met_is_answered_with_what_there_is(requested: RequestedTrack) -> None:
    with pytest.raises(Rejected, match=r'it has 1 \(eng, aac\), 2 \(ger, "Kommentar", aac\), 3 \(de-CH, aac\), 4'):
        chosen_track(FILM, requested)


@pytest.mark.parametrize("codes", [("de", "deu", "ger"), ("zh", "zho", "chi"), ("en", "eng"), ("cy", "cym", "wel")])
def test_all_codes_of_a_language_are_one(codes: tuple[str, ...]) -> None:
    assert len({language_code(code) for code in codes}) == 1


def test_other_languages_stay_apart() -> None:
    assert language_code("gsw") == "gsw"
    assert len({language_code(code) for code in ("no", "nb", "nn", "gsw", "de")}) == 5


@pytest.mark.parametrize("tag", ["", "german", "d", "12", "de/en"])
def test_what_is_no_tag_is_no_language(tag: str) -> None:
    assert language_code(tag) is None
