"""An owner's options as metadata of the object, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.enums import Method
from shared.errors import Rejected
from shared.upload_options import Channels, Privacy, UploadOptions, parse_upload_options

amounts = st.none() | st.floats(1e-6, 1e9)


@given(
    st.builds(
        UploadOptions,
        method=st.none() | st.just("auto") | st.sampled_from(Method),
        channels=st.just(Channels.MIX),
        track=st.none() | st.integers(1, 99) | st.sampled_from(["de", "deu", "pt-br", "all"]),
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


def test_a_deadline_that_is_no_date_is_rejected() -> None:
    with pytest.raises(Rejected, match="above 0 and up to 1e\\+09"):
        parse_upload_options({"transcribe-deadline-minutes": "1e15"})


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "1,5"])
@pytest.mark.parametrize("key", ["transcribe-deadline-minutes", "transcribe-max-cost"])
def test_what_is_no_amount_is_rejected_by_name(key: str, value: str) -> None:
    with pytest.raises(Rejected, match=f"The file's {key} is '{value}'; it has to be a number above 0"):
        parse_upload_options({key: value})


def test_an_unknown_privacy_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(Rejected, match="known are any, local"):
        parse_upload_options({"transcribe-privacy": "secret"})
