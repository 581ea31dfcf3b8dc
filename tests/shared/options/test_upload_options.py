"""An owner's options as metadata of the object, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enums import Channels, Method, Privacy
from shared.errors import Rejected
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options
from shared.options.speaker_count import SpeakerCount
from shared.options.subtitle_rules import SubtitleOptions
from shared.options.text_options import Fillers, Numbers, Profanity

amounts = st.none() | st.floats(1e-6, 1e9)
seconds = st.none() | st.floats(0.1, 5)
subtitles = st.builds(
    SubtitleOptions,
    line=st.none() | st.integers(8, 200),
    lines=st.none() | st.integers(1, 10),
    min=seconds,
    max=st.none() | st.floats(5, 60),
    cps=st.none() | st.floats(1, 100),
).filter(lambda wanted: str(wanted) != "")

counts = st.builds(
    lambda least, more: SpeakerCount(least=least, most=None if more is None else min(50, least + more)),
    st.integers(1, 50),
    st.none() | st.integers(0, 5),
)
names = st.text("Aäé字 .-'", min_size=1, max_size=80).map(lambda name: " ".join(name.split())).filter(bool)


@given(
    st.builds(
        UploadOptions,
        method=st.none() | st.just("auto") | st.sampled_from(Method),
        channels=st.just(Channels.MIX),
        track=st.none() | st.integers(1, 99) | st.sampled_from(["de", "deu", "pt-br", "all"]),
        subtitles=st.none() | subtitles,
        speakers=st.none() | counts,
        speaker_names=st.lists(names, max_size=3).map(tuple),
        privacy=st.sampled_from(Privacy),
        deadline_minutes=amounts,
        max_cost_usd=amounts,
    )
)
def test_options_come_back_from_metadata(options: UploadOptions) -> None:
    assert parse_upload_options(options.metadata()) == options


def test_split_channels_come_back_from_metadata() -> None:
    options = UploadOptions(channels=Channels.SPLIT, track=2)
    assert parse_upload_options(options.metadata()) == options


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("on", SpeakerCount()),
        ("2", SpeakerCount(least=2, most=2)),
        (" 2-5 ", SpeakerCount(least=2, most=5)),
        ("2-", SpeakerCount(least=2)),
        ("OFF", None),
        ("", None),
    ],
)
def test_speakers_are_asked_for_with_or_without_their_number(value: str, count: SpeakerCount | None) -> None:
    assert parse_upload_options({"transcribe-speakers": value}).speakers == count


@pytest.mark.parametrize("value", ["0", "51", "5-2", "-", "-3", "two", "2-3-4", "1e1", "\u0663", "2 5", "999999999999"])
def test_a_number_of_speakers_that_is_none_is_rejected(value: str) -> None:
    with pytest.raises(Rejected, match="transcribe-speakers"):
        parse_upload_options({"transcribe-speakers": value})


def test_speakers_names_keep_their_case_and_have_commas_between_them() -> None:
    assert parse_upload_options({"transcribe-speaker-names": "Anna  B., Émile"}).speaker_names == ("Anna B.", "Émile")


@pytest.mark.parametrize("value", [",", "Anna,,Ben", "A" * 81, "An\x1bna", ",".join("a" * 51)])
def test_names_that_cannot_be_shown_are_rejected(value: str) -> None:
    with pytest.raises(Rejected, match="transcribe-speaker-names"):
        parse_upload_options({"transcribe-speaker-names": value})


def test_split_channels_are_speakers_without_being_told_apart() -> None:
    asked = {"transcribe-speakers": "on", "transcribe-channels": "split"}
    assert not parse_upload_options(asked).tells_speakers_apart
    assert parse_upload_options({"transcribe-speakers": "on"}).tells_speakers_apart


def test_subtitles_are_asked_for_rule_by_rule() -> None:
    options = parse_upload_options({"transcribe-subtitles": " Line=37, lines=3,min=0.8,MAX=6,cps=20 "})
    assert options.subtitles == SubtitleOptions(line=37, lines=3, min=0.8, max=6, cps=20)
    assert parse_upload_options({"transcribe-subtitles": "cps=12.5"}).subtitles == SubtitleOptions(cps=12.5)


@pytest.mark.parametrize(
    "value",
    [
        "37",
        "line",
        "line=",
        "line=wide",
        "line=7",
        "line=201",
        "line=37.5",
        "lines=0",
        "lines=11",
        "min=0",
        "min=-1",
        "max=61",
        "max=nan",
        "min=3,max=2",
        "cps=inf",
        "line=37,line=38",
        "width=37",
        "line=37;lines=2",
        "line=37,",
        "=",
    ],
)
def test_what_is_no_rule_for_subtitles_is_rejected_with_what_they_are_like(value: str) -> None:
    expected = (
        r"transcribe-subtitles is .*; it has to be like line=37,lines=2,min=1,max=6,cps=17, with a line of 8 to 200"
    )
    with pytest.raises(Rejected, match=expected):
        parse_upload_options({"transcribe-subtitles": value})


@pytest.mark.parametrize("value", ["0", "-1", "german", "1.5", "first one"])
def test_what_names_no_track_is_rejected(value: str) -> None:
    with pytest.raises(Rejected, match=r"transcribe-track is .*; it has to be a track's number from 1, a language"):
        parse_upload_options({"transcribe-track": value})


def test_tracks_that_are_mixed_have_no_channels_to_split() -> None:
    with pytest.raises(Rejected, match="transcribe-track: all mixes tracks, and transcribe-channels: split takes one"):
        parse_upload_options({"transcribe-track": "all", "transcribe-channels": "split"})


def test_nothing_asked_is_no_metadata() -> None:
    assert UploadOptions().metadata() == {}
    assert parse_upload_options({"transcribe-privacy": " ", "other": "x"}) == UploadOptions()


def test_what_people_write_is_understood() -> None:
    asked = {"transcribe-privacy": " Local", "transcribe-deadline-minutes": "15", "transcribe-max-cost": "$0.50"}
    assert parse_upload_options(asked) == UploadOptions(privacy=Privacy.LOCAL, deadline_minutes=15, max_cost_usd=0.5)
    assert parse_upload_options(asked).is_private


def test_a_private_file_is_private_however_its_key_is_spelt() -> None:
    assert parse_upload_options({"Transcribe-Privacy": "LOCAL"}).is_private


def test_a_request_in_two_spellings_that_disagree_is_rejected() -> None:
    with pytest.raises(Rejected, match="transcribe-privacy is given twice, as 'local' and as 'any'"):
        parse_upload_options({"Transcribe-Privacy": "local", "transcribe-privacy": "any"})
    assert parse_upload_options({"Transcribe-Privacy": "local", "transcribe-privacy": "local"}).is_private


def test_a_deadline_that_is_no_date_is_rejected() -> None:
    with pytest.raises(Rejected, match="above 0 and up to 1e\\+09"):
        parse_upload_options({"transcribe-deadline-minutes": "1e15"})


def test_a_second_opinion_with_which_no_quote_is_a_number_is_rejected() -> None:
    with pytest.raises(Rejected, match="above 0 and up to 1000"):
        parse_upload_options({"transcribe-second-opinion": "1e308"})


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "1,5"])
@pytest.mark.parametrize("key", ["transcribe-deadline-minutes", "transcribe-max-cost", "transcribe-second-opinion"])
def test_what_is_no_amount_is_rejected_by_name(key: str, value: str) -> None:
    with pytest.raises(Rejected, match=f"The file's {key} is '{value}'; it has to be a number above 0"):
        parse_upload_options({key: value})


def test_an_unknown_privacy_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(Rejected, match="known are any, local"):
        parse_upload_options({"transcribe-privacy": "secret"})


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("transcribe-numbers", "Written", {"numbers": Numbers.WRITTEN}),
        ("transcribe-fillers", "drop", {"fillers": Fillers.DROP}),
        ("transcribe-profanity", "mask", {"profanity": Profanity.MASK}),
        ("transcribe-second-opinion", "$0.01", {"second_opinion_usd": 0.01}),
        ("transcribe-min-coverage", "0.98", {"min_coverage": 0.98}),
        ("transcribe-min-coverage", "98%", {"min_coverage": 0.98}),
        ("transcribe-min-coverage", "1", {"min_coverage": 1.0}),
    ],
)
def test_how_words_are_written_is_asked_for(key: str, value: str, field: dict[str, object]) -> None:
    options = parse_upload_options({key: value})
    assert options == UploadOptions.model_validate(field)
    assert parse_upload_options(options.metadata()) == options


@pytest.mark.parametrize("value", ["98", "0", "0%", "101%", "nan", "-0.5", "most", "0,98"])
def test_what_is_no_share_is_rejected(value: str) -> None:
    with pytest.raises(Rejected, match=r"transcribe-min-coverage.*such as 0\.98 or 98%, up to 1"):
        parse_upload_options({"transcribe-min-coverage": value})


@pytest.mark.parametrize("key", ["numbers", "fillers", "profanity", "second-opinion"])
def test_a_form_that_is_none_is_rejected(key: str) -> None:
    with pytest.raises(Rejected, match=f"transcribe-{key}"):
        parse_upload_options({f"transcribe-{key}": "perhaps"})
